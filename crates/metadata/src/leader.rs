//! Who leads a partition next: the one place where leaders are chosen and epochs raised.

use crate::{LeaderRecovery, Partition};
use types::{LeaderEpoch, NodeId, PartitionEpoch};

/// How a leader may be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// Keep a valid leader; else the first in-sync replica that is live, in replica order; else the
    /// first eligible one (KIP-966).
    Online,
    /// Like `Online`, but the first replica is taken before a valid leader is kept.
    Preferred,
    /// Like `Online`, but where none of these is live any live replica is taken.
    Unclean,
}

/// Where a partition should go.
#[derive(Clone, Debug)]
pub struct PartitionTarget {
    /// The wished ISR. Empty means that the last member would go; then the ISR stays as it is.
    pub isr: Vec<NodeId>,
    pub election: Election,
    pub leader_recovery: LeaderRecovery,
    /// While the ISR is smaller, nothing more is committed, so whoever leaves it stays eligible.
    pub min_isr: usize,
    /// A replica that may have lost records: not eligible.
    pub lost: Option<NodeId>,
}

impl PartitionTarget {
    /// The partition as it is, with an election where it is needed.
    pub fn elect(partition: &Partition, election: Election, min_isr: usize) -> PartitionTarget {
        PartitionTarget {
            min_isr,
            lost: None,
            isr: partition.isr.clone(),
            election,
            leader_recovery: partition.leader_recovery,
        }
    }

    /// The partition without `broker` in its ISR.
    pub fn without(
        partition: &Partition,
        broker: NodeId,
        election: Election,
        min_isr: usize,
    ) -> PartitionTarget {
        let mut target = PartitionTarget::elect(partition, election, min_isr);
        target.isr.retain(|member| *member != broker);
        target
    }
}

/// The partition's next state, or `None` where nothing changes. `is_live` says who may lead.
///
/// Promises: the ISR never becomes empty and the leader is a member of it or NONE; the eligible
/// leader replicas hold every committed record, and there are none while the ISR holds the minimum;
/// the partition epoch rises by one with every change; the leader epoch rises by one exactly when the leader
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
    next.elr = eligible(partition, &next.isr, target.lost);
    match elect(&next, target.election, is_live) {
        Elected::Clean(leader) => {
            // The last leader known (KIP-966's balanced recovery): it comes back by itself, though
            // it may have lost records, since nobody has more. It is not said to be whole.
            if partition.last_known_elr.contains(&leader) {
                next.leader_recovery = LeaderRecovery::Recovering;
            }
            next.leader = leader;
        }
        Elected::Eligible(leader) => {
            // The last members of the ISR are not live, but what they hold is whole.
            next.leader = leader;
            next.isr = vec![leader];
            next.elr = eligible(partition, &next.isr, target.lost);
        }
        Elected::Unclean(leader) => {
            // Whatever the others hold beyond this replica's log is given up.
            next.leader = leader;
            next.isr = vec![leader];
            next.elr.clear();
            next.leader_recovery = LeaderRecovery::Recovering;
        }
        Elected::Nobody => {
            next.leader = NodeId::NONE;
            replace_lost(&mut next, target.lost);
        }
    }
    if next.isr.len() >= target.min_isr.min(next.replicas.len()) {
        next.elr.clear();
    }
    if next.has_leader() {
        next.last_known_elr.clear();
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

/// Those that were in the ISR or eligible and are not in the next ISR, in replica order.
fn eligible(partition: &Partition, next_isr: &[NodeId], lost: Option<NodeId>) -> Vec<NodeId> {
    let was_whole = |id: &NodeId| partition.in_isr(*id) || partition.elr.contains(id);
    let is_eligible = |id: &NodeId| was_whole(id) && !next_isr.contains(id) && lost != Some(*id);
    partition.replicas.iter().copied().filter(is_eligible).collect()
}

/// The last member of the ISR may have lost records, while an eligible replica that is away has
/// not: that one is waited for. Without any, the last leader is the best there is, and is said to be
/// that alone.
fn replace_lost(next: &mut Partition, lost: Option<NodeId>) {
    if next.isr.iter().any(|member| lost != Some(*member)) {
        return;
    }
    if next.elr.is_empty() {
        next.last_known_elr.clone_from(&next.isr);
    } else {
        next.isr = vec![next.elr.remove(0)];
        next.last_known_elr.clear();
    }
}

enum Elected {
    Clean(NodeId),
    /// Outside of the ISR, with every committed record.
    Eligible(NodeId),
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
    if let Some(replica) = partition.elr.iter().find(|replica| is_live(**replica)) {
        return Elected::Eligible(*replica);
    }
    match election {
        Election::Online | Election::Preferred => Elected::Nobody,
        Election::Unclean => match partition.replicas.iter().find(|replica| is_live(**replica)) {
            Some(replica) => Elected::Unclean(*replica),
            None => Elected::Nobody,
        },
    }
}
