//! Who leads a partition next: the one place where leaders are chosen and epochs raised.

use crate::{LeaderRecovery, Partition};
use types::{LeaderEpoch, NodeId, PartitionEpoch};

/// How a leader may be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// Keep a valid leader; else the first in-sync replica that is live, in replica order.
    Online,
    /// Like `Online`, but the first replica is taken before a valid leader is kept.
    Preferred,
    /// Like `Online`, but where no in-sync replica is live any live replica is taken.
    Unclean,
}

/// Where a partition should go.
#[derive(Clone, Debug)]
pub struct PartitionTarget {
    /// The wished ISR. Empty means that the last member would go; then the ISR stays as it is.
    pub isr: Vec<NodeId>,
    pub election: Election,
    pub leader_recovery: LeaderRecovery,
}

impl PartitionTarget {
    /// The partition as it is, with an election where it is needed.
    pub fn elect(partition: &Partition, election: Election) -> PartitionTarget {
        PartitionTarget {
            isr: partition.isr.clone(),
            election,
            leader_recovery: partition.leader_recovery,
        }
    }

    /// The partition without `broker` in its ISR.
    pub fn without(partition: &Partition, broker: NodeId, election: Election) -> PartitionTarget {
        let mut target = PartitionTarget::elect(partition, election);
        target.isr.retain(|member| *member != broker);
        target
    }
}

/// The partition's next state, or `None` where nothing changes. `is_live` says who may lead.
///
/// Promises: the ISR never becomes empty and the leader is a member of it or NONE; the partition
/// epoch rises by one with every change; the leader epoch rises by one exactly when the leader
/// changes, so that a leader which is kept keeps serving through ISR changes.
pub fn choose(
    partition: &Partition,
    target: &PartitionTarget,
    is_live: &dyn Fn(NodeId) -> bool,
) -> Option<Partition> {
    let mut next = partition.clone();
    next.leader_recovery = target.leader_recovery;
    if !target.isr.is_empty() {
        next.isr.clone_from(&target.isr);
    }
    match elect(&next, target.election, is_live) {
        Elected::Clean(leader) => next.leader = leader,
        Elected::Unclean(leader) => {
            // Whatever the others hold beyond this replica's log is given up.
            next.leader = leader;
            next.isr = vec![leader];
            next.leader_recovery = LeaderRecovery::Recovering;
        }
        Elected::Nobody => next.leader = NodeId::NONE,
    }
    if next == *partition {
        return None;
    }
    next.partition_epoch = PartitionEpoch(partition.partition_epoch.0.saturating_add(1));
    if next.leader != partition.leader {
        next.leader_epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
    }
    Some(next)
}

enum Elected {
    Clean(NodeId),
    Unclean(NodeId),
    Nobody,
}

fn elect(partition: &Partition, election: Election, is_live: &dyn Fn(NodeId) -> bool) -> Elected {
    let is_valid = |replica: NodeId| partition.in_isr(replica) && is_live(replica);
    let preferred = partition.preferred_leader();
    if election == Election::Preferred && is_valid(preferred) {
        return Elected::Clean(preferred);
    }
    if is_valid(partition.leader) {
        return Elected::Clean(partition.leader);
    }
    if let Some(replica) = partition.replicas.iter().find(|replica| is_valid(**replica)) {
        return Elected::Clean(*replica);
    }
    match election {
        Election::Online | Election::Preferred => Elected::Nobody,
        Election::Unclean => match partition.replicas.iter().find(|replica| is_live(**replica)) {
            Some(replica) => Elected::Unclean(*replica),
            None => Elected::Nobody,
        },
    }
}
