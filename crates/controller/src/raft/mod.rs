//! Raft: the one place that knows openraft, so that its next version touches this module alone.
//!
//! Promises: [`MetaRaft`] says in its own words who leads and who is a member; `propose` answers
//! only when the entry is applied here; a proposal that was refused for sure and one whose fate
//! is not known are told apart.

mod codec;
mod elections;
mod gate;
mod inspection;
mod leader_id;
mod log_store;
mod network;
mod report;
mod service;
mod state_machine;
#[cfg(test)]
mod suite_test;
mod types;

pub use inspection::{EntryFacts, Inspection, RaftFacts};
pub use network::MESSAGE_BYTES_MAX;
pub use report::{Member, Report};
pub use service::RaftService;
pub use types::{Address, Applied, MemberId, Proposal};

use crate::cluster_name::ClusterName;
use crate::options::RaftOptions;
use crate::store::applied::AppliedStore;
use crate::store::journal::Journal;
use crate::store::snapshot_files::SnapshotFiles;
use crate::view::View;
use ::types::NodeId;
use elections::Elections;
use env::{Env, Tasks};
use gate::Gate;
use log_store::LogStore;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Config, ReadPolicy, SnapshotPolicy};
use state_machine::StateMachine;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::TypeConfig;

type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// Time for a proposal to be committed and applied: longer than an election, so that only a lost
/// quorum runs into it.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a quorum to confirm the leader.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a change of the members; a new one may first need a snapshot.
const MEMBERSHIP_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a proposal was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another member leads, or none; nothing was written.
    #[error("not the leader")]
    NotLeader,
    /// It may or may not take effect later.
    #[error("fate unknown: {0}")]
    Unknown(String),
}

/// What [`MetaRaft::open`] needs.
pub struct Setup {
    pub env: Env,
    pub id: MemberId,
    pub cluster: ClusterName,
    pub options: RaftOptions,
    /// Addresses from the configuration: they win over those in the membership, which may be old.
    pub addresses: BTreeMap<NodeId, String>,
    pub journal: Journal,
    pub snapshots: SnapshotFiles,
    pub store: Option<AppliedStore>,
    pub batches_kept_max: usize,
}

/// A member of the quorum. Cheap to clone.
#[derive(Clone)]
pub struct MetaRaft {
    raft: Raft,
    elections: Elections,
    id: MemberId,
    log: LogStore,
    addresses: Arc<BTreeMap<NodeId, String>>,
    report: watch::Receiver<Report>,
    gate: Gate,
    quorum_lost_after: Duration,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn config(options: &RaftOptions) -> Config {
    let election_max = millis(options.election_timeout_max);
    Config {
        cluster_name: "ottla".to_owned(),
        heartbeat_interval: millis(options.heartbeat_interval),
        election_timeout_min: millis(options.election_timeout_min),
        election_timeout_max: election_max,
        install_snapshot_timeout: 60_000,
        max_payload_entries: 256,
        replication_lag_threshold: options.snapshot_entries.saturating_mul(2),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_entries),
        max_in_snapshot_log_to_keep: options.keep_entries,
        purge_batch_size: options.keep_entries.clamp(1, 256),
        api_channel_size: Some(1024),
        notification_channel_size: Some(1024),
        // `elections` says when.
        enable_elect: false,
        // Without it, heartbeats of a leader that has lost its quorum to one member that it still
        // reaches keep a connected majority from electing another.
        quorum_loss_probe_interval: Some(election_max * 2),
        // A leader whose last entries reached others and not its own disk would write other ones at
        // the same indexes of the same term when it goes on after a restart; a new term tells them
        // apart.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

impl MetaRaft {
    /// Recovers the member from its files and starts it. Its metadata as applied comes back too.
    pub async fn open(setup: Setup, tasks: &Tasks) -> Result<(MetaRaft, View), String> {
        let config = config(&setup.options).validate().map_err(|error| error.to_string())?;
        let log = LogStore::new(setup.journal.clone());
        let (snapshots, store) = (setup.snapshots.clone(), setup.store.clone());
        let machine = StateMachine::open(snapshots, store, setup.batches_kept_max)
            .map_err(|error| format!("snapshot: {error}"))?;
        let view = machine.view();
        let addresses = Arc::new(setup.addresses.clone());
        let (env, cluster) = (setup.env.clone(), setup.cluster.clone());
        let network = network::Network::new(env, setup.id, cluster, addresses.clone());
        let raft = Raft::new(setup.id, Arc::new(config), network.clone(), log.clone(), machine)
            .await
            .map_err(|error| error.to_string())?;
        let elections = Elections::new(raft.clone(), log.clone(), network, &setup);
        tasks.spawn(elections.clone().run());
        let mut metrics = raft.metrics();
        let first = Report::of(&metrics.borrow_watched(), &addresses);
        let (sender, report) = watch::channel(first);
        let known = addresses.clone();
        tasks.spawn(async move {
            while metrics.changed().await.is_ok() {
                let next = Report::of(&metrics.borrow_watched(), &known);
                // Heartbeats alone wake nobody.
                sender.send_if_modified(|report| {
                    let differs = report.differs_from(&next);
                    *report = next;
                    differs
                });
            }
        });
        let quorum_lost_after = setup.options.election_timeout_max * 2;
        let id = setup.id;
        let configured = addresses.keys().copied().collect();
        let gate = Gate::new(id, setup.cluster, configured, report.clone());
        let member =
            MetaRaft { raft, elections, id, log, addresses, report, gate, quorum_lost_after };
        Ok((member, view))
    }

    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The gRPC service for the other members.
    pub fn service(&self) -> RaftService {
        RaftService::new(self.raft.clone(), self.gate.clone())
    }

    /// Tells who has answered, and in which term, at the configured address with the number `place`:
    /// it is heard from now on, though it may have joined while this member was away.
    pub fn meet(&self, place: usize, member: MemberId, term: u64) {
        self.gate.meet(place, member, term);
    }

    /// Who leads, who is a member, how far everyone is.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// For tests that look inside.
    pub fn inspection(&self) -> Inspection {
        Inspection::new(self.raft.clone(), self.log.clone())
    }

    pub fn watch(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// Whether nothing was ever logged here.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Forms a cluster of these members. Only an empty member can; again with the same members is
    /// refused without harm.
    pub async fn initialize(&self, members: BTreeMap<MemberId, Address>) -> Result<(), String> {
        self.raft.initialize(members).await.map_err(|error| error.to_string())
    }

    /// Replicates a proposal and waits until it is applied here.
    pub async fn propose(&self, proposal: Proposal) -> Result<Applied, ProposeError> {
        let write = self.raft.client_write(proposal);
        match tokio::time::timeout(PROPOSE_TIMEOUT, write).await {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                Err(ProposeError::NotLeader)
            }
            Ok(Err(error)) => Err(ProposeError::Unknown(error.to_string())),
            Err(_) => Err(ProposeError::Unknown("no quorum has answered in time".to_owned())),
        }
    }

    /// Succeeds if this member leads, a quorum says so after this call began, and everything
    /// committed before is applied here.
    pub async fn confirm(&self) -> Result<(), ProposeError> {
        let read = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        match tokio::time::timeout(CONFIRM_TIMEOUT, read).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ProposeError::NotLeader),
        }
    }

    /// Whether this member leads, but a quorum has not answered for longer than an election takes:
    /// another one may lead by now. A quorum of one is never lost (and is never noted as heard).
    pub fn has_lost_quorum(&self) -> bool {
        if self.report().voters().len() <= 1 {
            return false;
        }
        let acked = self.raft.metrics().borrow_watched().last_quorum_acked;
        acked.is_some_and(|at| openraft::Instant::elapsed(&*at) > self.quorum_lost_after)
    }

    /// Whether this member does not lead, and nobody who does has spoken to it for so long.
    pub async fn leader_is_silent(&self, time: Duration) -> bool {
        if self.report().is_leader {
            return false;
        }
        let silent = move |state: &openraft::RaftState<TypeConfig>| {
            let heard_at = state.vote_last_modified();
            heard_at.is_none_or(|at| openraft::Instant::elapsed(&at) > time)
        };
        self.raft.with_raft_state(silent).await.unwrap_or(false)
    }

    /// Makes `member` a voter in the place of every other member of the same node: first a learner
    /// that catches up, then a change of the voters. Safe to repeat.
    pub async fn admit(&self, member: MemberId, address: &str) -> Result<(), String> {
        let change = async {
            let report = self.report();
            if !report.members.iter().any(|one| one.id == member) {
                let node = Address(address.to_owned());
                let added = self.raft.add_learner(member, node, true).await;
                added.map_err(|error| error.to_string())?;
            }
            let report = self.report();
            let mut voters: BTreeSet<MemberId> = report
                .members
                .iter()
                .filter(|one| one.is_voter && one.id.node_id() != member.node_id())
                .map(|one| one.id)
                .collect();
            voters.insert(member);
            if voters == report.voters() && !report.is_joint {
                return Ok(());
            }
            let change = ChangeMembers::ReplaceAllVoters(voters);
            let changed = self.raft.change_membership(change, false).await;
            changed.map(|_| ()).map_err(|error| error.to_string())
        };
        let late = |_| Err("the quorum has not answered in time".to_owned());
        tokio::time::timeout(MEMBERSHIP_TIMEOUT, change).await.unwrap_or_else(late)
    }

    /// If this member leads, asks the voter whose log is longest to take over.
    pub async fn hand_over(&self) {
        let report = self.report();
        let others = report.members.iter().filter(|one| one.is_voter && one.id != self.id);
        let next = others.max_by_key(|one| (one.matched_index, one.id)).map(|one| one.id);
        if let (true, Some(next)) = (report.is_leader, next)
            && let Err(error) = self.raft.trigger().transfer_leader(next).await
        {
            tracing::debug!(%error, "leadership is not handed over");
        }
    }

    /// Stands for election now, as if the leader of `term` had asked this member to take over:
    /// voters that still count on that leader vote all the same. For a leader that is known to be
    /// gone. Where it is not, the cost is a change of the leader; votes and logs are as safe as in
    /// every election, since nothing here rests on a leader's lease.
    pub async fn succeed(&self, term: u64) {
        let vote = self.raft.metrics().borrow_watched().vote;
        if vote.leader_id.term != term {
            return;
        }
        self.elections.succeed(vote).await;
    }

    /// How much later than another member this one should act, for that one to be elected first.
    pub fn turn(&self, base: Duration) -> Duration {
        base + self.elections.slowness()
    }

    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "raft ended badly");
        }
    }

    /// Where a member is reached.
    pub fn address(&self, node: NodeId) -> String {
        if let Some(address) = self.addresses.get(&node) {
            return address.clone();
        }
        let report = self.report.borrow();
        let member = report.members.iter().find(|member| member.id.node_id() == node);
        member.map(|member| member.address.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_leader_is_elected_anew() {
        let config = config(&RaftOptions::default()).validate().expect("valid options");
        assert_eq!(config.enable_leader_restore, Some(false));
    }
}
