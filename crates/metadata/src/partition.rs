//! A partition's place in the cluster.

use types::{LeaderEpoch, NodeId, PartitionEpoch};

/// Whether the leader's log is known to be whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LeaderRecovery {
    #[default]
    Recovered,
    /// The leader was elected outside the ISR and has not said that it is whole.
    Recovering,
}

/// Who holds, follows and leads a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// In order of preference; the first is the preferred leader. No duplicates, never empty.
    pub replicas: Vec<NodeId>,
    /// In-sync replicas: a part of `replicas`. Empty where the last of them lost its disk, with it
    /// what was committed, and nobody was eligible.
    pub isr: Vec<NodeId>,
    /// Eligible leader replicas (KIP-966): those that left the ISR while it was below
    /// `min.insync.replicas`, or brought it there. They hold every committed record and may lead
    /// where no member of the ISR is live. Disjoint from `isr`; empty while that holds the minimum.
    pub elr: Vec<NodeId>,
    /// Replicas that were in `isr` or `elr` and may have lost records since, while `isr` was below
    /// the minimum (KIP-966), and those that were away when the partition was made with fewer than
    /// that in sync (no KIP has these). They lead where both are empty. One of `isr` is among them
    /// where it is the last and nobody is eligible: it is the one to wait for, and
    /// [`Partition::known_isr`] does not name it.
    pub last_known_elr: Vec<NodeId>,
    /// A member of `isr`, or [`NodeId::NONE`].
    pub leader: NodeId,
    /// Raised with every change of the leader.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change.
    pub partition_epoch: PartitionEpoch,
    pub leader_recovery: LeaderRecovery,
}

impl Partition {
    /// A new partition: led by the first of the in-sync replicas, epochs 0.
    pub fn new(replicas: Vec<NodeId>, isr: Vec<NodeId>) -> Partition {
        Partition {
            leader: isr.first().copied().unwrap_or(NodeId::NONE),
            replicas,
            isr,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            leader_recovery: LeaderRecovery::Recovered,
        }
    }

    pub fn has_leader(&self) -> bool {
        self.leader != NodeId::NONE
    }

    pub fn preferred_leader(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NodeId::NONE)
    }

    /// The replicas known to hold every committed record, as users are told: empty where the last
    /// of them may have lost some.
    pub fn known_isr(&self) -> &[NodeId] {
        let is_known = !self.isr.iter().any(|member| self.last_known_elr.contains(member));
        if is_known { &self.isr } else { &[] }
    }

    pub fn is_replica(&self, broker: NodeId) -> bool {
        self.replicas.contains(&broker)
    }

    pub fn in_isr(&self, broker: NodeId) -> bool {
        self.isr.contains(&broker)
    }

    /// Whether the ISR holds the minimum, or all replicas where those are fewer.
    pub fn is_full(&self, min_isr: usize) -> bool {
        self.isr.len() >= min_isr.min(self.replicas.len())
    }
}
