//! Elections: after a broker left or came back, and when someone asks.

use crate::draft::Draft;
use crate::leader::{Election, Loss, PartitionTarget, choose};
use crate::{ElectionKind, ElectionScope, Image, LeaderElection, Partition, Refusal, Reply, Topic};
use std::sync::Arc;
use types::{ErrorCode, NodeId, PartitionEpoch, TopicIdPartition, TopicPartition};

/// `unclean.leader.election.enable`, as a topic's and as a broker default's key.
pub const UNCLEAN_LEADER_ELECTION: &str = "unclean.leader.election.enable";

/// What a broker that leaves the ISRs still has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Records {
    /// Everything: it stays eligible where that matters.
    Whole,
    /// It stopped without a word, or is another: some may be lost.
    MaybeLost,
    /// None of its directories is one that it had.
    Lost,
}

impl Records {
    fn loss(self) -> Option<Loss> {
        match self {
            Records::Whole => None,
            Records::MaybeLost => Some(Loss::Some),
            Records::Lost => Some(Loss::All),
        }
    }
}

/// Takes a broker out of every ISR, except where it is the last member that holds anything, and
/// moves what it led.
/// The broker counts as dead whatever the image says.
pub fn remove_from_isrs(draft: &mut Draft<'_>, broker: NodeId, records: Records) {
    let loss = records.loss();
    let held = |partition: &Partition| counts_on(partition, broker, loss);
    for (id, partition) in draft.partitions_where(held) {
        if let Some(next) = without(draft, id, &partition, broker, loss) {
            draft.push_partition(id, next);
        }
    }
}

/// Takes a broker that lives, and has lost its replica, out of one partition. As the last member,
/// with nobody eligible, it stays the leader on paper: it says itself what it cannot serve, and leads
/// again without an election once it can. Where another holds the records, that one is waited for:
/// the broker may come back with an empty directory, and nothing to tell that it lost anything.
///
/// Outside of the ISR the partition epoch rises all the same: a leader may just be asking to let it
/// join, by what it had before.
///
/// A replica whose records are gone is not even the one to wait for (but where it is the only one):
/// it would lead with an empty log, and the others would cut theirs to that.
pub fn remove_lost_replica(
    draft: &mut Draft<'_>,
    id: TopicIdPartition,
    broker: NodeId,
    records: Records,
) {
    let Some(partition) = draft.image().partition(id).cloned() else { return };
    if !partition.is_replica(broker) {
        return;
    }
    let loss = records.loss();
    if !counts_on(&partition, broker, loss) {
        let mut next = partition.as_ref().clone();
        next.partition_epoch = PartitionEpoch(partition.partition_epoch.0.saturating_add(1));
        draft.push_partition(id, next);
    } else if let Some(next) = without(draft, id, &partition, broker, loss)
        && (next.has_leader() || !next.in_isr(broker) || !draft.is_live(broker))
    {
        draft.push_partition(id, next);
    }
}

/// Another live member of the ISR leads in the broker's place, and where enough of them remain to
/// commit, they do so without it. Nothing changes where nobody could lead instead: a slow leader is
/// better than none.
pub fn yield_partition(draft: &mut Draft<'_>, id: TopicIdPartition, broker: NodeId) {
    let Some(partition) = draft.image().partition(id).cloned() else { return };
    let is_live = |replica| replica != broker && draft.is_live(replica);
    let others = partition.isr.iter().filter(|member| is_live(**member)).count();
    if !partition.in_isr(broker) || others == 0 {
        return;
    }
    let min_isr = draft.image().min_isr_of(id);
    let is_enough = others >= min_isr.min(partition.replicas.len());
    let target = match is_enough {
        true => PartitionTarget::without(&partition, broker, Election::Online, min_isr),
        false => PartitionTarget::elect(&partition, Election::Online, min_isr),
    };
    if let Some(next) = choose(&partition, &target, &is_live) {
        draft.push_partition(id, next);
    }
}

fn counts_on(partition: &Partition, broker: NodeId, loss: Option<Loss>) -> bool {
    let is_eligible = loss.is_some() && partition.elr.contains(&broker);
    let is_known = loss == Some(Loss::All) && partition.last_known_elr.contains(&broker);
    partition.in_isr(broker) || partition.leader == broker || is_eligible || is_known
}

/// The partition without the broker, if that changes it.
fn without(
    draft: &Draft<'_>,
    id: TopicIdPartition,
    partition: &Partition,
    broker: NodeId,
    loss: Option<Loss>,
) -> Option<Partition> {
    let election = automatic_election(draft, id);
    let min_isr = draft.image().min_isr_of(id);
    let mut target = PartitionTarget::without(partition, broker, election, min_isr);
    target.lost = loss.map(|loss| (broker, loss));
    let is_live = |replica| replica != broker && draft.is_live(replica);
    choose(partition, &target, &is_live)
}

/// Looks for leaders of the partitions without one that satisfy the predicate.
pub fn elect_leaderless(draft: &mut Draft<'_>, wanted: impl Fn(&Partition, &Topic) -> bool) {
    for (id, partition) in draft.partitions_where(|partition| !partition.has_leader()) {
        if draft.image().topic(id.topic_id).is_some_and(|topic| wanted(&partition, topic)) {
            let election = automatic_election(draft, id);
            let _ = elect(draft, id, &partition, election);
        }
    }
}

/// Forgets eligible replicas where a changed `min.insync.replicas` lets the ISR commit without them.
pub fn review_eligible(draft: &mut Draft<'_>, wanted: impl Fn(&Topic) -> bool) {
    let has_others =
        |partition: &Partition| !partition.elr.is_empty() || !partition.last_known_elr.is_empty();
    for (id, partition) in draft.partitions_where(has_others) {
        if draft.image().topic(id.topic_id).is_some_and(|topic| wanted(topic)) {
            let _ = elect(draft, id, &partition, Election::Online);
        }
    }
}

/// How the controller itself elects in this partition: uncleanly only where the topic allows it.
pub fn automatic_election(draft: &Draft<'_>, id: TopicIdPartition) -> Election {
    let topic = draft.image().topic(id.topic_id);
    let value =
        topic.and_then(|topic| draft.image().topic_config(&topic.name, UNCLEAN_LEADER_ELECTION));
    let unclean = match value {
        Some(value) => value.eq_ignore_ascii_case("true"),
        None => draft.context.unclean_leader_election,
    };
    if unclean { Election::Unclean } else { Election::Online }
}

/// Answers ElectLeaders. For all partitions it leaves out those that need nothing, and stops after
/// [`Image::ELECTIONS_PER_COMMAND_MAX`].
pub fn elect_leaders(draft: &mut Draft<'_>, kind: ElectionKind, scope: &ElectionScope) -> Reply {
    let mut elections = Vec::new();
    match scope {
        ElectionScope::Partitions(partitions) => {
            for partition in partitions {
                let outcome = elect_named(draft, kind, partition);
                elections.push(LeaderElection { partition: partition.clone(), outcome });
            }
        }
        ElectionScope::All => {
            let candidates = draft.partitions_where(|state| is_needed(kind, state));
            for (id, state) in candidates.into_iter().take(Image::ELECTIONS_PER_COMMAND_MAX) {
                let outcome = elect_one(draft, kind, id, &state);
                let topic = draft.image().topic(id.topic_id).map(|topic| topic.name.clone());
                let topic = topic.unwrap_or_default();
                let partition = TopicPartition { topic, partition: id.partition };
                elections.push(LeaderElection { partition, outcome });
            }
        }
    }
    Reply::LeadersElected(elections)
}

fn is_needed(kind: ElectionKind, state: &Partition) -> bool {
    match kind {
        ElectionKind::Preferred => state.leader != state.preferred_leader(),
        ElectionKind::Unclean => !state.has_leader(),
    }
}

fn elect_named(
    draft: &mut Draft<'_>,
    kind: ElectionKind,
    partition: &TopicPartition,
) -> Result<(), Refusal> {
    let unknown = || {
        let message = format!("partition {partition} does not exist");
        Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
    };
    let topic = draft.image().topic_by_name(&partition.topic).ok_or_else(unknown)?;
    let state = topic.partitions.get(&partition.partition).ok_or_else(unknown)?.clone();
    let id = TopicIdPartition { topic_id: topic.id, partition: partition.partition };
    elect_one(draft, kind, id, &state)
}

fn elect_one(
    draft: &mut Draft<'_>,
    kind: ElectionKind,
    id: TopicIdPartition,
    state: &Arc<Partition>,
) -> Result<(), Refusal> {
    if !is_needed(kind, state) {
        let message = match kind {
            ElectionKind::Preferred => format!("broker {} leads already", state.leader),
            ElectionKind::Unclean => format!("broker {} leads", state.leader),
        };
        return Err(Refusal::new(ErrorCode::ElectionNotNeeded, message));
    }
    let (election, code) = match kind {
        ElectionKind::Preferred => (Election::Preferred, ErrorCode::PreferredLeaderNotAvailable),
        ElectionKind::Unclean => (Election::Unclean, ErrorCode::EligibleLeadersNotAvailable),
    };
    if elect(draft, id, state, election) {
        return Ok(());
    }
    let message = match kind {
        ElectionKind::Preferred => {
            let preferred = state.preferred_leader();
            format!("preferred leader {preferred} is not live or not in the isr {:?}", state.isr)
        }
        ElectionKind::Unclean => format!("none of the replicas {:?} is live", state.replicas),
    };
    Err(Refusal::new(code, message))
}

/// Elects, and says whether anything changed.
fn elect(
    draft: &mut Draft<'_>,
    id: TopicIdPartition,
    partition: &Partition,
    election: Election,
) -> bool {
    let min_isr = draft.image().min_isr_of(id);
    let target = PartitionTarget::elect(partition, election, min_isr);
    match choose(partition, &target, &|replica| draft.is_live(replica)) {
        Some(next) => {
            draft.push_partition(id, next);
            true
        }
        None => false,
    }
}
