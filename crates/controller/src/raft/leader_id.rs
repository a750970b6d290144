//! Who stands for election or leads, as votes and entries name it.
//!
//! Promises: a term has one leader at most, as in Raft's paper: of two candidates of one term neither
//! is above the other, so that a member that has voted for one does not vote for the other.
//! Entries name the leader beside the term: journals written while a term could have several leaders,
//! in the order of their ids, read and compare as they did then.

use super::types::MemberId;
use openraft::vote::{LeaderIdCompare, RaftLeaderId};
use std::cmp::Ordering;
use std::fmt;

/// A candidate, or a leader, of a term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderId {
    pub term: u64,
    pub member: MemberId,
}

/// A leader: a quorum has voted for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Elected {
    pub term: u64,
    pub member: MemberId,
}

impl fmt::Display for LeaderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}-N{}", self.term, self.member)
    }
}

impl fmt::Display for Elected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}-N{}", self.term, self.member)
    }
}

impl PartialOrd for LeaderId {
    fn partial_cmp(&self, other: &LeaderId) -> Option<Ordering> {
        LeaderIdCompare::std(self, other)
    }
}

impl PartialEq<Elected> for LeaderId {
    /// As in openraft's own: who is elected is never the same as who may not be.
    fn eq(&self, _: &Elected) -> bool {
        false
    }
}

impl PartialOrd<Elected> for LeaderId {
    /// Who is elected is above everyone else of its term.
    fn partial_cmp(&self, other: &Elected) -> Option<Ordering> {
        Some(self.term.cmp(&other.term).then(Ordering::Less))
    }
}

impl RaftLeaderId for LeaderId {
    type Term = u64;
    type NodeId = MemberId;
    type Committed = Elected;

    fn new(term: u64, member: MemberId) -> LeaderId {
        LeaderId { term, member }
    }

    fn term(&self) -> u64 {
        self.term
    }

    fn node_id(&self) -> &MemberId {
        &self.member
    }

    fn to_committed(&self) -> Elected {
        Elected { term: self.term, member: self.member }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Vote;
    use super::*;
    use types::{NodeId, Uuid};

    fn vote(term: u64, node: i32, committed: bool) -> Vote {
        let member = MemberId::new(NodeId(node), Uuid([node as u8; 16]));
        Vote { leader_id: LeaderId { term, member }, committed }
    }

    #[test]
    fn a_member_votes_once_in_a_term() {
        let given = vote(3, 1, false);
        // openraft grants what is not below the vote that was given last.
        let other = vote(3, 2, false).partial_cmp(&given);
        assert_eq!(other, None, "another candidate of the term");
        assert!(vote(3, 1, false) >= given, "the same one asks again");
        assert!(vote(4, 2, false) > given, "the next term");
    }

    #[test]
    fn whoever_was_elected_is_above_every_candidate_of_its_term() {
        assert!(vote(3, 1, true) > vote(3, 2, false));
        assert!(vote(3, 2, true) > vote(3, 2, false));
        assert!(vote(4, 1, false) > vote(3, 2, true));
        let elected = vote(3, 2, true).leader_id.to_committed();
        assert!(vote(3, 2, false).leader_id < elected);
        assert!(vote(4, 1, false).leader_id > elected);
    }

    #[test]
    fn entries_of_two_leaders_of_an_old_term_stay_apart() {
        let elected = |node| vote(3, node, true).leader_id.to_committed();
        assert!(elected(1) < elected(2));
        assert_ne!(elected(1), elected(2));
        assert!(elected(2) < vote(4, 1, true).leader_id.to_committed());
    }
}
