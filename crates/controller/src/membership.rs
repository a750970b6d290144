//! Changes of the quorum's members, one at a time.
//!
//! Promises: a node is taken in only in the place of an old self that is silent: two live nodes
//! with one id are a mistake in the configuration, and the second is refused.

use crate::raft::{MemberId, MetaRaft};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait.
const WAITING_MAX: usize = 16;
/// An old self that answered a heartbeat within this time is alive.
const ALIVE_WITHIN: Duration = Duration::from_millis(500);

struct Admission {
    member: MemberId,
    address: String,
    answer: oneshot::Sender<Result<(), String>>,
}

/// Asks for members to be taken in. Cheap to clone.
#[derive(Clone)]
pub struct Admissions {
    sender: mpsc::Sender<Admission>,
}

impl Admissions {
    /// The handle, and the loop that owns all changes of the members.
    pub fn new(raft: MetaRaft) -> (Admissions, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Admissions { sender }, run(raft, receiver))
    }

    /// Makes a node a voter in the place of its old self. The error says why not.
    pub async fn admit(&self, member: MemberId, address: String) -> Result<(), String> {
        let (answer, receiver) = oneshot::channel();
        let busy = |_| "too many nodes are joining".to_owned();
        self.sender.try_send(Admission { member, address, answer }).map_err(busy)?;
        receiver.await.unwrap_or_else(|_| Err("the controller is stopping".to_owned()))
    }
}

async fn run(raft: MetaRaft, mut receiver: mpsc::Receiver<Admission>) {
    while let Some(admission) = receiver.recv().await {
        let result = admit(&raft, admission.member, &admission.address).await;
        match &result {
            Ok(()) => tracing::info!(member = %admission.member, "is a voter"),
            Err(reason) => {
                tracing::info!(member = %admission.member, reason, "is not made a voter");
            }
        }
        // The asker may have given up; it asks again and finds itself a member.
        drop(admission.answer.send(result));
    }
}

async fn admit(raft: &MetaRaft, member: MemberId, address: &str) -> Result<(), String> {
    if member.node_id() == raft.id().node_id() {
        return Err(format!("node {} is the active controller itself", member.node_id()));
    }
    let report = raft.report();
    let old = report
        .members
        .iter()
        .filter(|one| one.id.node_id() == member.node_id() && one.id != member);
    for old in old {
        if old.silent_for.is_some_and(|silent| silent < ALIVE_WITHIN) {
            return Err(format!("node {} is alive as {}", member.node_id(), old.id));
        }
    }
    raft.admit(member, address).await
}
