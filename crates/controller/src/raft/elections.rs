//! When this member stands for election, and how.
//!
//! openraft counts votes that come within its election timeout, which has to be short for elections
//! to be quick. A vote is synced before it is given: where that takes longer, no member is ever
//! elected, and each attempt raises the term and costs another sync. So the timing is here:
//!
//! - Silence is borne for as long as the configured election timeouts say, and a few times what this
//!   member's own disk takes for a sync now; the pause after an election doubles until one is won.
//! - Votes are collected ahead, again and again if need be: the others vote for this member in the
//!   next term before it stands in it, and a vote that came too late counts the next time. openraft's
//!   own request for the same votes is then answered without a sync.
//!
//! Does not: decide who is elected. A vote that is given ahead is a vote: it is synced, given once a
//! term, and refused to a shorter log; the request that counts is openraft's, and is judged anew.

use super::log_store::LogStore;
use super::network::{Network, Peer};
use super::types::{LogId, MemberId, Membership, TypeConfig, Vote};
use super::{Raft, Setup, millis};
use crate::options::RaftOptions;
use crate::store::pace::Pace;
use env::Env;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{TransferLeaderRequest, VoteRequest, VoteResponse};
use openraft::storage::RaftLogStorage;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Syncs from the vote that a member gives until it hears of the leader that it has helped to make:
/// the leader's own vote, the leader's noting that it leads, and one that was under way.
const SYNCS: u32 = 4;
/// Most that is added to the time of silence for a slow disk.
const SLOW_MAX: Duration = Duration::from_secs(15);
/// After so many elections that nobody has won, the pause is not doubled again.
const DOUBLED_MAX: u32 = 3;
/// Between looks at a member that is of no cluster yet.
const BIRTH_PAUSE: Duration = Duration::from_millis(50);

/// Stands for election on behalf of one member. Cheap to clone.
#[derive(Clone)]
pub struct Elections {
    env: Env,
    raft: Raft,
    id: MemberId,
    network: Arc<Network>,
    log: LogStore,
    options: RaftOptions,
    pace: Pace,
}

/// What one member knows when it considers an election.
struct Facts {
    vote: Vote,
    /// The time since it last heard of a leader, or voted; none since it was started.
    silent_for: Option<Duration>,
    last: Option<LogId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Whether the others would vote.
    WouldVote,
    Vote {
        although_led: bool,
    },
}

impl Elections {
    pub(super) fn new(raft: Raft, log: LogStore, network: Network, setup: &Setup) -> Elections {
        Elections {
            env: setup.env.clone(),
            raft,
            id: setup.id,
            network: Arc::new(network),
            log,
            options: setup.options.clone(),
            pace: setup.journal.pace(),
        }
    }

    /// Watches for silence until Raft ends.
    pub(super) async fn run(self) {
        let mut lost = 0;
        let mut timeout = self.random_timeout();
        while let Some(facts) = self.facts().await {
            let metrics = self.raft.metrics().borrow_watched().clone();
            let voters = metrics.membership_config.membership();
            if metrics.current_leader == Some(self.id) || !is_voter(voters, self.id) {
                lost = 0;
                let is_new = voters.nodes().next().is_none();
                let pause = if is_new { BIRTH_PAUSE } else { self.options.election_timeout_min };
                tokio::time::sleep(pause).await;
                continue;
            }
            let left = self.left(&facts, voters, timeout);
            if !left.is_zero() {
                lost = if facts.is_led() { 0 } else { lost };
                tokio::time::sleep(left).await;
                continue;
            }
            timeout = self.random_timeout();
            let mut pause = timeout;
            if self.campaign(&facts, voters).await {
                pause = timeout * (1 << lost) + self.slowness();
                lost = (lost + 1).min(DOUBLED_MAX);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Stands for election now, although the voters may count on the leader of `vote`; without
    /// effect if this member has voted for another one since.
    pub(super) async fn succeed(&self, vote: Vote) {
        let voters = self.raft.metrics().borrow_watched().membership_config.membership().clone();
        let Some(facts) = self.facts().await else { return };
        let ask = Ask::Vote { although_led: true };
        if facts.vote != vote || !self.collect(&voters, &facts, ask).await {
            return;
        }
        let request = TransferLeaderRequest::new(vote, self.id, None);
        if let Err(error) = self.raft.handle_transfer_leader(request).await {
            tracing::debug!(%error, "no election is held");
        }
    }

    /// What the disks of others should be given more, if they are like this member's: a few syncs.
    pub(super) fn slowness(&self) -> Duration {
        (self.pace.slowest() * SYNCS).min(SLOW_MAX)
    }

    /// None once Raft has ended.
    async fn facts(&self) -> Option<Facts> {
        let known = self.raft.with_raft_state(|state| {
            let heard_at = state.vote_last_modified();
            (*state.vote_ref(), heard_at.map(|at| openraft::Instant::elapsed(&at)))
        });
        let (vote, silent_for) = known.await.ok()?;
        let last = self.log.clone().get_log_state().await.ok()?.last_log_id;
        Some(Facts { vote, silent_for, last })
    }

    fn random_timeout(&self) -> Duration {
        let (min, max) = (self.options.election_timeout_min, self.options.election_timeout_max);
        min + Duration::from_millis(self.env.rng.below(millis(max - min).max(1)))
    }

    /// How long silence still has to last: in all as long as a leader is trusted, and a random time
    /// more. Nothing is waited for after a start, or where there is nobody else.
    fn left(&self, facts: &Facts, voters: &Membership, timeout: Duration) -> Duration {
        let Some(silent_for) = facts.silent_for else { return Duration::ZERO };
        if voters.voter_ids().count() == 1 {
            return Duration::ZERO;
        }
        let trusted =
            if facts.is_led() { self.options.election_timeout_max } else { Duration::ZERO };
        (trusted + timeout + self.slowness()).saturating_sub(silent_for)
    }

    /// Holds an election if it can be won. Whether it was held, or tried for.
    async fn campaign(&self, facts: &Facts, voters: &Membership) -> bool {
        if !self.collect(voters, facts, Ask::WouldVote).await {
            return false;
        }
        let has_votes = self.collect(voters, facts, Ask::Vote { although_led: false }).await;
        let unchanged = self.facts().await.is_some_and(|now| now.vote == facts.vote);
        if has_votes
            && unchanged
            && let Err(error) = self.raft.trigger().elect(false).await
        {
            tracing::debug!(%error, "no election is held");
        }
        true
    }

    /// Whether enough of the voters say yes. This member counts as one that does.
    async fn collect(&self, voters: &Membership, facts: &Facts, ask: Ask) -> bool {
        let Some(request) = self.request(facts, ask) else {
            tracing::error!(term = facts.vote.leader_id.term, "there is no term left to elect in");
            return false;
        };
        let mut asked = FuturesUnordered::new();
        for (member, address) in voters.nodes() {
            if *member != self.id && is_voter(voters, *member) {
                let peer = self.network.client(*member, address);
                asked.push(self.answer(*member, peer, request.clone(), ask));
            }
        }
        let mut yes = BTreeSet::from([self.id]);
        let mut seen = facts.vote;
        while !is_quorum(voters, &yes) {
            match asked.next().await {
                Some(Some((member, answer))) if answer.vote_granted => drop(yes.insert(member)),
                Some(Some((_, answer))) if answer.vote > seen => seen = answer.vote,
                Some(_) => {}
                None => {
                    self.catch_up(facts, seen).await;
                    return false;
                }
            }
        }
        true
    }

    /// Adopts the term of a later vote that another member has given, as Raft does with every term
    /// it sees: else those who missed an election that nobody has won could never hold the next
    /// (openraft #1796). It counts as this member's own vote there, and nobody is told of it.
    async fn catch_up(&self, facts: &Facts, seen: Vote) {
        if seen.leader_id.term <= facts.vote.leader_id.term {
            return;
        }
        let vote = Vote { committed: false, ..seen };
        let request = VoteRequest { vote, last_log_id: facts.last, leadership_transfer: false };
        if let Err(error) = self.raft.vote(request).await {
            tracing::debug!(%error, "a later term is not adopted");
        }
    }

    /// None where no term is left.
    fn request(&self, facts: &Facts, ask: Ask) -> Option<VoteRequest<TypeConfig>> {
        let term = facts.vote.leader_id.term.checked_add(1)?;
        Some(VoteRequest {
            vote: Vote::new(term, self.id),
            last_log_id: facts.last,
            leadership_transfer: ask == Ask::Vote { although_led: true },
        })
    }

    async fn answer(
        &self,
        member: MemberId,
        peer: Peer,
        request: VoteRequest<TypeConfig>,
        ask: Ask,
    ) -> Option<(MemberId, VoteResponse<TypeConfig>)> {
        // A vote that comes later is given all the same, and told at once when it is asked for again.
        let timeout = self.options.election_timeout_max + self.slowness();
        let answer = match ask {
            Ask::WouldVote => peer.would_vote(&request, timeout).await,
            Ask::Vote { .. } => peer.ask_vote(&request, timeout).await,
        };
        let failed = |error| tracing::debug!(%member, %error, "no vote");
        answer.map_err(failed).ok().map(|answer| (member, answer))
    }
}

impl Facts {
    /// Whether it last heard of a leader that a quorum had elected, and has voted for nobody since.
    fn is_led(&self) -> bool {
        self.vote.committed && self.vote.leader_id.term > 0
    }
}

fn is_voter(voters: &Membership, member: MemberId) -> bool {
    voters.voter_ids().any(|voter| voter == member)
}

/// Whether these are a majority of each set of voters.
fn is_quorum(voters: &Membership, members: &BTreeSet<MemberId>) -> bool {
    let majority = |set: &BTreeSet<MemberId>| 2 * set.intersection(members).count() > set.len();
    voters.get_joint_config().iter().all(majority)
}
