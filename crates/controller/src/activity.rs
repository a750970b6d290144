//! Whether this node is the active controller.
//!
//! Promises: active only after a quorum has confirmed the leader in this term and everything
//! committed before is applied here, so that decisions rest on a current image; inactive as soon as
//! Raft knows of another leader, or when no quorum has answered for a while, so that a controller
//! that is cut off does not go on calling itself the active one.

use crate::raft::MetaRaft;
use std::time::Duration;
use tokio::sync::watch;

/// Pause before another try to be confirmed; right after an election the leader's lease is not
/// there yet.
const CONFIRM_PAUSE: Duration = Duration::from_millis(10);

/// How often an active controller looks whether a quorum still answers.
const QUORUM_CHECK: Duration = Duration::from_millis(250);

/// The term in which this node is active, if it is. Cheap to clone.
#[derive(Clone)]
pub struct Activity {
    term: watch::Receiver<Option<u64>>,
}

impl Activity {
    /// The activity and what keeps it.
    pub fn new() -> (watch::Sender<Option<u64>>, Activity) {
        let (sender, term) = watch::channel(None);
        (sender, Activity { term })
    }

    pub fn is_active(&self) -> bool {
        self.term.borrow().is_some()
    }

    /// Not merely in an earlier term, of which it has not yet been seen that it is over.
    pub fn is_active_in(&self, term: u64) -> bool {
        *self.term.borrow() == Some(term)
    }

    pub fn watch(&self) -> watch::Receiver<Option<u64>> {
        self.term.clone()
    }
}

/// Follows Raft until it ends.
pub async fn run(raft: MetaRaft, active: watch::Sender<Option<u64>>) {
    let mut reports = raft.watch();
    loop {
        let (is_leader, term) = {
            let report = reports.borrow_and_update();
            (report.is_leader && report.failure.is_none(), report.term)
        };
        let is_leader = is_leader && !raft.has_lost_quorum();
        let now = *active.borrow();
        if !is_leader {
            active.send_if_modified(|term| term.take().is_some());
        } else if now != Some(term) {
            active.send_if_modified(|term| term.take().is_some());
            if raft.confirm().await.is_ok() {
                let report = raft.report();
                if report.is_leader && report.term == term {
                    tracing::info!(term, "this node is the active controller");
                    active.send_replace(Some(term));
                }
            } else {
                tokio::time::sleep(CONFIRM_PAUSE).await;
            }
            continue;
        }
        let leads = reports.borrow().is_leader;
        tokio::select! {
            changed = reports.changed() => if changed.is_err() {
                active.send_replace(None);
                return;
            },
            // A lost quorum is no event: it has to be looked for.
            () = tokio::time::sleep(QUORUM_CHECK), if leads => {}
        }
    }
}
