//! What Raft knows of itself and the others, in this crate's words.

use super::types::{Address, MemberId, Membership, TypeConfig};
use openraft::RaftMetrics;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::NodeId;

/// One member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: MemberId,
    /// `host:port` of its controller listener.
    pub address: String,
    pub is_voter: bool,
    /// Known to the leader alone: the last entry known to be on that member.
    pub matched_index: Option<u64>,
    /// Known to the leader alone: how long ago, when the report was made, it last answered.
    pub silent_for: Option<Duration>,
}

/// The state of Raft on this member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub leader: Option<MemberId>,
    pub is_leader: bool,
    pub term: u64,
    pub last_log_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub applied_index: Option<u64>,
    /// As of the newest membership in the log, committed or not.
    pub members: Vec<Member>,
    /// As of the newest committed membership known here.
    pub committed_members: Vec<Member>,
    /// The voters are being changed.
    pub is_joint: bool,
    /// Raft has stopped, and why.
    pub failure: Option<String>,
}

/// Whether the term that is told is one that this member was elected in. A Raft that stopped because
/// it could not write its vote for another tells that vote's term, and the leader of the one before.
fn is_of_its_term(metrics: &RaftMetrics<TypeConfig>, leader: MemberId) -> bool {
    metrics.vote.leader_id.member == leader
}

/// Whether this member leads in its current term, confirmed or not.
pub(super) fn leads(metrics: &RaftMetrics<TypeConfig>) -> bool {
    metrics.current_leader == Some(metrics.id) && is_of_its_term(metrics, metrics.id)
}

impl Report {
    pub(super) fn of(
        metrics: &RaftMetrics<TypeConfig>,
        addresses: &BTreeMap<NodeId, String>,
    ) -> Report {
        let membership = metrics.membership_config.membership();
        let matched = |id: &MemberId| {
            let known = metrics.replication.as_ref()?.get(id)?.as_ref();
            known.map(|log_id| log_id.index)
        };
        let silent = |id: &MemberId| {
            let at = metrics.heartbeat.as_ref()?.get(id)?.as_ref();
            at.map(|at| openraft::Instant::elapsed(&**at))
        };
        let members = |membership: &Membership| {
            let voters: BTreeSet<MemberId> = membership.voter_ids().collect();
            let member = |(id, address): (&MemberId, &Address)| Member {
                id: *id,
                address: addresses.get(&id.node_id()).unwrap_or(&address.0).clone(),
                is_voter: voters.contains(id),
                matched_index: matched(id),
                silent_for: silent(id),
            };
            membership.nodes().map(member).collect()
        };
        Report {
            leader: metrics.current_leader.filter(|leader| is_of_its_term(metrics, *leader)),
            is_leader: leads(metrics),
            term: metrics.current_term,
            last_log_index: metrics.last_log_index,
            committed_index: metrics.local_committed.map(|id| id.index),
            applied_index: metrics.last_applied.map(|id| id.index),
            members: members(membership),
            committed_members: members(metrics.committed_membership_config.membership()),
            is_joint: membership.get_joint_config().len() > 1,
            failure: metrics.running_state.as_ref().err().map(|error| error.to_string()),
        }
    }

    /// Whether there is news in another report besides how long members have been silent.
    pub(super) fn differs_from(&self, other: &Report) -> bool {
        let heard = |member: &Member| Member { silent_for: None, ..member.clone() };
        let same = |ours: &[Member], theirs: &[Member]| {
            ours.iter().map(heard).eq(theirs.iter().map(heard))
        };
        let without = |report: &Report| Report {
            members: Vec::new(),
            committed_members: Vec::new(),
            ..report.clone()
        };
        !same(&self.members, &other.members)
            || !same(&self.committed_members, &other.committed_members)
            || without(self) != without(other)
    }

    pub fn voters(&self) -> BTreeSet<MemberId> {
        self.members.iter().filter(|member| member.is_voter).map(|member| member.id).collect()
    }

    pub fn has_voter(&self, id: MemberId) -> bool {
        self.members.iter().any(|member| member.is_voter && member.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Vote;
    use super::*;
    use crate::raft::leader_id::LeaderId;
    use types::Uuid;

    #[test]
    fn a_raft_that_stopped_at_another_terms_vote_leads_nothing() {
        let [me, other] = [1, 2].map(|node| MemberId::new(NodeId(node), Uuid([node as u8; 16])));
        let mut metrics = RaftMetrics::<TypeConfig>::new_initial(me);
        metrics.current_term = 2;
        metrics.current_leader = Some(me);
        metrics.vote = Vote { leader_id: LeaderId { term: 2, member: me }, committed: true };
        assert!(leads(&metrics));
        metrics.current_term = 3;
        metrics.vote = Vote { leader_id: LeaderId { term: 3, member: other }, committed: false };
        assert!(!leads(&metrics));
        assert_eq!(Report::of(&metrics, &BTreeMap::new()).leader, None);
    }
}
