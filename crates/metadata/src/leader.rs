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
    /// The wished ISR. Empty means that the last member would go; then the ISR stays as it is, but
    /// where that member lost all it held and is not the only replica.
    pub isr: Vec<NodeId>,
    pub election: Election,
    pub leader_recovery: LeaderRecovery,
    /// While the ISR is smaller, nothing more is committed, so whoever leaves it stays eligible.
    pub min_isr: usize,
    /// A replica that lost records, or may have: not eligible.
    pub lost: Option<(NodeId, Loss)>,
}

/// What a replica may lack of what it held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It stopped without a word: what was not on its disk is gone.
    Some,
    /// Its disk is another one.
    All,
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
/// Promises: the leader is a member of the ISR or NONE; the ISR becomes empty only where its last
/// member lost its disk, nobody is eligible and there are other replicas; the eligible leader
/// replicas hold every committed record, and there are none while the ISR holds the minimum;
/// the partition epoch rises by one with every change; the leader epoch rises by one exactly when the leader
/// changes, so that a leader which is kept keeps serving through ISR changes.
pub fn choose(
    partition: &Partition,
    target: &PartitionTarget,
    is_live: &dyn Fn(NodeId) -> bool,
) -> Option<Partition> {
    let mut next = partition.clone();
    next.leader_recovery = target.leader_recovery;
    let loss = loss_among_others(partition, target.lost);
    if !target.isr.is_empty() || loss.is_some_and(|(_, loss)| loss == Loss::All) {
        next.isr.clone_from(&target.isr);
    }
    let lost = loss.map(|(broker, _)| broker);
    next.elr = eligible(partition, &next.isr, lost);
    next.last_known_elr = last_known(partition, loss);
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
            next.elr = eligible(partition, &next.isr, lost);
        }
        Elected::LastKnown(leader) => {
            next.leader = leader;
            next.isr = vec![leader];
            next.leader_recovery = LeaderRecovery::Recovering;
        }
        Elected::Unclean(leader) => {
            // Whatever the others hold beyond this replica's log is given up.
            next.leader = leader;
            next.isr = vec![leader];
            next.elr.clear();
            next.last_known_elr.clear();
            next.leader_recovery = LeaderRecovery::Recovering;
        }
        Elected::Nobody => {
            next.leader = NodeId::NONE;
            replace_lost(&mut next, lost);
        }
    }
    forget_where_in_sync(&mut next, target.min_isr);
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
    let is_eligible =
        |id: &NodeId| was_whole(partition, *id) && !next_isr.contains(id) && lost != Some(*id);
    partition.replicas.iter().copied().filter(is_eligible).collect()
}

/// The only replica that there is leads again in any case: no other disk holds a record.
fn loss_among_others(
    partition: &Partition,
    lost: Option<(NodeId, Loss)>,
) -> Option<(NodeId, Loss)> {
    let (broker, loss) = lost?;
    let is_alone = partition.replicas.len() == 1;
    Some((broker, if is_alone { Loss::Some } else { loss }))
}

/// Whoever was in the ISR or eligible and may have lost some of its records since, while the ISR was
/// below the minimum: they lead where nobody is left who holds more. In replica order.
fn last_known(partition: &Partition, lost: Option<(NodeId, Loss)>) -> Vec<NodeId> {
    let is_known = |id: &NodeId| match lost {
        Some((broker, Loss::All)) if broker == *id => false,
        Some((broker, Loss::Some)) if broker == *id && was_whole(partition, *id) => true,
        _ => partition.last_known_elr.contains(id),
    };
    partition.replicas.iter().copied().filter(is_known).collect()
}

fn was_whole(partition: &Partition, id: NodeId) -> bool {
    partition.in_isr(id) || partition.elr.contains(&id)
}

/// The last member of the ISR lost records, or may have, while an eligible replica that is away has
/// not: that one is waited for. Without any, the last leader is the best there is, and is said to be
/// that alone; if it lost everything, nobody in particular is waited for.
fn replace_lost(next: &mut Partition, lost: Option<NodeId>) {
    if next.isr.iter().all(|member| lost == Some(*member)) && !next.elr.is_empty() {
        next.isr = vec![next.elr.remove(0)];
    }
}

/// With the minimum in sync nobody else is eligible. The last known replicas of a partition without
/// a leader are kept as far as they stand in the ISR, so that they are not taken for whole.
fn forget_where_in_sync(next: &mut Partition, min_isr: usize) {
    let is_full = next.is_full(min_isr);
    if is_full {
        next.elr.clear();
    }
    let (isr, has_leader) = (&next.isr, next.has_leader());
    next.last_known_elr.retain(|id| match (isr.contains(id), has_leader) {
        (true, has_leader) => !has_leader,
        (false, _) => !is_full,
    });
}

enum Elected {
    Clean(NodeId),
    /// Outside of the ISR, with every committed record.
    Eligible(NodeId),
    /// It may lack some of them, but nobody is known to hold more.
    LastKnown(NodeId),
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
    // While a member of the ISR or an eligible replica is away, it is waited for.
    let is_alone = partition.isr.is_empty() && partition.elr.is_empty();
    let mut last_known = partition.last_known_elr.iter().filter(|_| is_alone);
    if let Some(replica) = last_known.find(|replica| is_live(**replica)) {
        return Elected::LastKnown(*replica);
    }
    match election {
        Election::Online | Election::Preferred => Elected::Nobody,
        Election::Unclean => match partition.replicas.iter().find(|replica| is_live(**replica)) {
            Some(replica) => Elected::Unclean(*replica),
            None => Elected::Nobody,
        },
    }
}
