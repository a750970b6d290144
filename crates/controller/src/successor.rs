//! Takes over from an active controller whose process is gone, without waiting for its silence.
//!
//! Every other voter keeps a stream open to the active controller. A process that dies closes it,
//! and its port refuses new connections: that is certain enough to stand for election at once,
//! where silence has to last for more than a second before it means anything on a busy machine. The
//! voters do so one after the other, in the order of their ids, so that they do not share the
//! votes. Where the host died with its process, or the network is cut, nothing refuses, and Raft's
//! own election timeouts decide.
//!
//! Does not: touch any rule of Raft. An election that was not necessary changes the leader, and
//! nothing else.

use crate::channel;
use crate::raft::{MESSAGE_BYTES_MAX, MemberId, MetaRaft, Report};
use env::Env;
use rpc::controller as pb;
use rpc::controller::controller_client::ControllerClient;
use std::io::ErrorKind;
use std::time::Duration;
use types::NodeId;

/// Tries to find the active controller's port closed, after its stream has ended.
const PROBES: u32 = 10;
/// Time for a connection to come up or be refused.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// Between tries: a dying process closes its connections one after the other.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// Before a stream that could not be opened is tried again.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// What the voters before this one have for their election: a few round trips and syncs.
const TURN: Duration = Duration::from_millis(150);
/// A follower of the metadata that is ahead of everything: it is sent nothing.
const AHEAD_OF_ALL: u64 = u64::MAX;

/// Watches the active controller on behalf of one voter.
pub struct Successor {
    pub env: Env,
    pub raft: MetaRaft,
}

/// The leader of a term.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Followed {
    leader: MemberId,
    term: u64,
}

impl Successor {
    /// Runs until the controller's tasks end.
    pub async fn run(self) {
        let mut reports = self.raft.watch();
        loop {
            let followed = self.followed(&reports.borrow_and_update());
            let changed = reports.wait_for(|report| self.followed(report) != followed);
            let Some(followed) = followed else {
                if changed.await.is_err() {
                    return;
                }
                continue;
            };
            tokio::select! {
                changed = changed => if changed.is_err() {
                    return;
                },
                () = self.watch(followed) => {}
            }
        }
    }

    /// Whom this node follows as a voter.
    fn followed(&self, report: &Report) -> Option<Followed> {
        let own = self.raft.id();
        let leader = report.leader.filter(|leader| *leader != own)?;
        let follows = report.has_voter(own) && report.failure.is_none();
        follows.then_some(Followed { leader, term: report.term })
    }

    /// Returns once the stream has ended and, if the leader is gone, an election was held.
    async fn watch(&self, followed: Followed) {
        let address = self.raft.address(followed.leader.node_id());
        if !self.stream_ends(&address).await {
            // A leader that was never reached from here may be reached by everyone else.
            return tokio::time::sleep(REOPEN_PAUSE).await;
        }
        for _ in 0..PROBES {
            tokio::time::sleep(PROBE_PAUSE).await;
            if !self.refuses(&address).await {
                continue;
            }
            tokio::time::sleep(self.raft.turn(TURN) * self.turn(followed)).await;
            tracing::info!(leader = %followed.leader, "the active controller is gone");
            self.raft.succeed(followed.term).await;
            tokio::time::sleep(TURN).await;
            return;
        }
    }

    /// Waits until a stream to an address has ended; false where it cannot be opened.
    async fn stream_ends(&self, address: &str) -> bool {
        let Ok(channel) = channel::connect(&self.env, address) else { return false };
        let mut client =
            ControllerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request =
            pb::FollowMetadataRequest { broker_id: NodeId::NONE.0, applied_version: AHEAD_OF_ALL };
        let Ok(updates) = client.follow_metadata(request).await else { return false };
        let mut updates = updates.into_inner();
        while let Ok(Some(_)) = updates.message().await {}
        true
    }

    async fn refuses(&self, address: &str) -> bool {
        let connect = self.env.net.connect(address);
        match tokio::time::timeout(PROBE_TIMEOUT, connect).await {
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// How many voters come before this one.
    fn turn(&self, followed: Followed) -> u32 {
        let own = self.raft.id();
        let voters = self.raft.report().voters();
        voters.iter().filter(|voter| **voter < own && **voter != followed.leader).count() as u32
    }
}
