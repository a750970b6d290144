//! Whose messages Raft takes: what is looked at before openraft sees anything.
//!
//! Nobody is authenticated here, so whoever reaches the port can claim to be anyone. What is kept out
//! is what no member says, and what no later election could undo: a vote for the last term that there
//! is, once given and synced, leaves no term to elect anybody in.
//!
//! Rules:
//! - The message names this cluster, once its id is known here, and this very member.
//! - The sender is a member, as of the newest membership or the newest committed one; or it has
//!   introduced itself at an address that this node was configured with, or knows as a member's (one
//!   that was away does not know who has joined meanwhile, see `birth`); or nothing was ever logged here, and its node is
//!   a configured voter.
//! - Its term is at most [`TERM_STEP_MAX`] beyond what is known: this member's own term, or one that
//!   was told at a configured address.
//! - Who asks for votes has not been elected yet, and all others have: a vote that was given must not be
//!   stored as that of a leader, nor entries be taken of who never became one.
//! - Its positions are of its own term or an earlier one, and none is beyond [`NUMBER_MAX`].
//!
//! Does not: doubt answers. Who is asked was dialled at an address of the configuration or of the
//! membership; only their numbers are bounded ([`check_answer`]).

use super::codec::{self, CodecError};
use super::report::Report;
use super::types::{LogId, MemberId, Vote};
use crate::cluster_name::{ClusterName, OtherCluster};
use rpc::raft as pb;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use tonic::Status;
use types::NodeId;

/// The most by which one message may raise the term that is known here. An election raises it by one
/// and takes about a second: this is half a year of elections without a pause. At a thousand messages
/// a second it is 30 years to the last term.
pub const TERM_STEP_MAX: u64 = 1 << 24;
/// No term and no index of a peer is above this, so that counting on from one never overflows.
pub const NUMBER_MAX: u64 = u64::MAX >> 1;

/// Why a message is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Cluster(#[from] OtherCluster),
    #[error("{0}")]
    Unreadable(#[from] CodecError),
    #[error("this is {own}, not {target}")]
    Target { own: MemberId, target: MemberId },
    #[error("{0} is not a member of this quorum")]
    Stranger(MemberId),
    #[error("term {term} is more than {max} beyond {known}, the newest known here", max = TERM_STEP_MAX)]
    Term { term: u64, known: u64 },
    #[error("a vote with committed={committed} does not go with this message")]
    Kind { committed: bool },
    #[error("entry {index} of term {entry_term} cannot be known in term {term}")]
    Position { index: u64, entry_term: u64, term: u64 },
}

/// Whom this node has met at an address of its configuration, by the place of the address in it.
type Met = BTreeMap<usize, (MemberId, u64)>;

/// The rules, with what they need to know. A clone is the same gate.
#[derive(Clone)]
pub struct Gate {
    own: MemberId,
    cluster: ClusterName,
    configured: Arc<BTreeSet<NodeId>>,
    report: watch::Receiver<Report>,
    met: Arc<Mutex<Met>>,
    refused: Arc<AtomicU64>,
}

impl Gate {
    pub fn new(
        own: MemberId,
        cluster: ClusterName,
        configured: BTreeSet<NodeId>,
        report: watch::Receiver<Report>,
    ) -> Gate {
        let (configured, met, refused) = (Arc::new(configured), Arc::default(), Arc::default());
        Gate { own, cluster, configured, report, met, refused }
    }

    /// Who answered at the address with the number `place`, and the term that it told. Callers have
    /// a bounded number of places.
    pub fn meet(&self, place: usize, member: MemberId, term: u64) {
        self.met().insert(place, (member, term.min(NUMBER_MAX)));
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().expect("no thread panicked while it met somebody")
    }

    /// Checks what every message has: cluster, receiver, sender with its vote, and positions in logs.
    pub fn check(&self, envelope: &Envelope<'_>) -> Result<(), Status> {
        self.judge(envelope).map_err(|refusal| self.refuse(&refusal))
    }

    fn judge(&self, envelope: &Envelope<'_>) -> Result<(), Refusal> {
        self.cluster.require(envelope.cluster_id)?;
        let target = codec::member_from_pb(envelope.target)?;
        if target != self.own {
            return Err(Refusal::Target { own: self.own, target });
        }
        let sender = envelope.vote.leader_id.member;
        let known_term = {
            let (report, met) = (self.report.borrow(), self.met());
            if sender == self.own || !is_known(sender, &report, &met, &self.configured) {
                return Err(Refusal::Stranger(sender));
            }
            met.values().map(|(_, term)| *term).fold(report.term, u64::max)
        };
        let committed = envelope.vote.committed;
        if committed != envelope.is_leaders {
            return Err(Refusal::Kind { committed });
        }
        let term = envelope.vote.leader_id.term;
        check_term(term, known_term)?;
        envelope.positions.iter().flatten().try_for_each(|position| check_position(position, term))
    }

    /// Says so, the less often the more there are: an outsider may go on for ever.
    fn refuse(&self, refusal: &Refusal) -> Status {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(member = %self.own, count, %refusal, "refused a raft message");
        }
        Status::failed_precondition(refusal.to_string())
    }
}

/// What the gate looks at in a message.
pub struct Envelope<'a> {
    pub cluster_id: &'a str,
    pub target: Option<&'a pb::Member>,
    /// The sender's: whom it names is the sender.
    pub vote: Vote,
    /// Whether such a message comes from a leader: all do but requests for votes.
    pub is_leaders: bool,
    pub positions: &'a [Option<LogId>],
}

fn is_known(sender: MemberId, report: &Report, met: &Met, configured: &BTreeSet<NodeId>) -> bool {
    let mut members = report.members.iter().chain(&report.committed_members);
    let is_unborn = report.members.is_empty() && report.committed_members.is_empty();
    members.any(|member| member.id == sender)
        || met.values().any(|(member, _)| *member == sender)
        || (is_unborn && configured.contains(&sender.node_id()))
}

fn check_term(term: u64, known: u64) -> Result<(), Refusal> {
    let max = known.saturating_add(TERM_STEP_MAX).min(NUMBER_MAX);
    if term > max {
        return Err(Refusal::Term { term, known });
    }
    Ok(())
}

/// Nobody knows an entry of a term that is still to come.
fn check_position(position: &LogId, term: u64) -> Result<(), Refusal> {
    let entry_term = position.leader_id.term;
    if entry_term > term || position.index > NUMBER_MAX {
        return Err(Refusal::Position { index: position.index, entry_term, term });
    }
    Ok(())
}

/// The numbers of an answer, or in a snapshot: those that openraft goes on counting from.
pub fn check_answer(vote: Option<&Vote>, position: Option<&LogId>) -> Result<(), CodecError> {
    let term = vote.map_or(0, |vote| vote.leader_id.term);
    let (entry_term, index) = position.map_or((0, 0), |id| (id.leader_id.term, id.index));
    if term.max(entry_term).max(index) > NUMBER_MAX {
        return Err(CodecError("number"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::leader_id::{Elected, LeaderId};
    use super::super::report::Member;
    use super::*;
    use types::Uuid;

    fn member(node: i32, directory: u8) -> MemberId {
        MemberId::new(NodeId(node), Uuid([directory; 16]))
    }

    fn in_report(id: MemberId) -> Member {
        let address = String::new();
        Member { id, address, is_voter: true, matched_index: None, silent_for: None }
    }

    struct Scene {
        gate: Gate,
        target: pb::Member,
        _sender: watch::Sender<Report>,
    }

    /// The gate of member 1 with voters 1 and 2 (and 3, which is configured and not a member).
    fn scene(term: u64, is_unborn: bool) -> Scene {
        let members = [member(1, 1), member(2, 2)].map(in_report).to_vec();
        let members = if is_unborn { Vec::new() } else { members };
        let report = Report { term, members, ..Report::default() };
        let (sender, report) = watch::channel(report);
        let cluster = ClusterName::new(Some("ours"));
        let configured = [1, 2, 3].map(NodeId).into();
        let gate = Gate::new(member(1, 1), cluster, configured, report);
        Scene { gate, target: codec::member_to_pb(&member(1, 1)), _sender: sender }
    }

    impl Scene {
        fn of(&self, cluster_id: &str, sender: MemberId, term: u64) -> Result<(), Refusal> {
            self.at(cluster_id, sender, term, None)
        }

        fn at(
            &self,
            cluster_id: &str,
            sender: MemberId,
            term: u64,
            position: Option<LogId>,
        ) -> Result<(), Refusal> {
            let vote = Vote { leader_id: LeaderId { term, member: sender }, committed: false };
            let target = Some(&self.target);
            let is_leaders = false;
            let positions = &[position];
            self.gate.judge(&Envelope { cluster_id, target, vote, is_leaders, positions })
        }
    }

    #[test]
    fn only_this_cluster_is_obeyed_and_only_what_is_meant_for_this_member() {
        let mut scene = scene(5, false);
        assert_eq!(scene.of("ours", member(2, 2), 6), Ok(()));
        for other in ["", "theirs"] {
            let refused = scene.of(other, member(2, 2), 6);
            assert!(matches!(refused, Err(Refusal::Cluster(_))), "{refused:?}");
        }
        scene.target = codec::member_to_pb(&member(1, 9));
        let refused = scene.of("ours", member(2, 2), 6);
        assert!(matches!(refused, Err(Refusal::Target { .. })), "{refused:?}");
    }

    #[test]
    fn only_members_and_those_met_at_a_configured_address_are_heard() {
        let scene = scene(5, false);
        for stranger in [member(9, 9), member(2, 3), member(3, 3), member(1, 1)] {
            let refused = scene.of("ours", stranger, 6);
            assert_eq!(refused, Err(Refusal::Stranger(stranger)));
        }
        scene.gate.meet(0, member(3, 3), 5);
        assert_eq!(scene.of("ours", member(3, 3), 6), Ok(()));
        scene.gate.meet(0, member(3, 4), 5);
        assert!(scene.of("ours", member(3, 3), 6).is_err(), "its old self is forgotten");
    }

    #[test]
    fn before_anything_is_logged_the_configured_voters_are_heard() {
        let scene = scene(0, true);
        assert_eq!(scene.of("ours", member(3, 3), 1), Ok(()));
        assert!(scene.of("ours", member(9, 9), 1).is_err());
    }

    #[test]
    fn a_leaders_message_names_who_was_elected_and_a_candidates_does_not() {
        let scene = scene(5, false);
        let leader_id = LeaderId { term: 6, member: member(2, 2) };
        for (committed, is_leaders) in [(true, true), (false, false), (true, false), (false, true)]
        {
            let vote = Vote { leader_id, committed };
            let target = Some(&scene.target);
            let envelope =
                Envelope { cluster_id: "ours", target, vote, is_leaders, positions: &[] };
            let expected =
                if committed == is_leaders { Ok(()) } else { Err(Refusal::Kind { committed }) };
            assert_eq!(scene.gate.judge(&envelope), expected);
        }
    }

    #[test]
    fn a_term_does_not_jump_and_no_arithmetic_on_it_overflows() {
        let scene = scene(5, false);
        let sender = member(2, 2);
        assert_eq!(scene.of("ours", sender, 5 + TERM_STEP_MAX), Ok(()));
        for term in [6 + TERM_STEP_MAX, NUMBER_MAX, NUMBER_MAX + 1, u64::MAX] {
            assert_eq!(scene.of("ours", sender, term), Err(Refusal::Term { term, known: 5 }));
        }
        // A configured controller says that there is such a term.
        scene.gate.meet(0, sender, 1 << 30);
        assert_eq!(scene.of("ours", sender, (1 << 30) + 1), Ok(()));
        scene.gate.meet(0, sender, u64::MAX);
        assert!(scene.of("ours", sender, u64::MAX).is_err());
        assert_eq!(check_term(NUMBER_MAX, u64::MAX), Ok(()));
    }

    #[test]
    fn nobody_knows_an_entry_of_a_later_term_or_beyond_all_counting() {
        let scene = scene(5, false);
        let sender = member(2, 2);
        let position =
            |term, index| Some(LogId { leader_id: Elected { term, member: sender }, index });
        assert_eq!(scene.at("ours", sender, 6, position(6, NUMBER_MAX)), Ok(()));
        for bad in [position(7, 1), position(u64::MAX, 1), position(1, NUMBER_MAX + 1)] {
            let refused = scene.at("ours", sender, 6, bad);
            assert!(matches!(refused, Err(Refusal::Position { .. })), "{refused:?}");
        }
        let id = position(1, u64::MAX);
        assert!(check_answer(None, id.as_ref()).is_err());
        assert!(check_answer(None, position(1, 1).as_ref()).is_ok());
    }
}
