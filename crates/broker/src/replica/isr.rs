//! Changes of in-sync sets on their way to the controller: gathered from all partitions that this
//! broker leads, sent as one AlterPartition command at a time.
//!
//! Promises: every proposal is answered exactly once, `Lost` if no answer came, but for one that a
//! newer one of its partition overtook while it waited: that goes alone, and the queue is bounded by
//! partitions.
//! A leader acts on what was committed once this broker has followed the image that holds it, with
//! the `min.insync.replicas` of then: under a former, lower one it would commit alone what the
//! controller takes its eligible leaders to hold.

use super::partition::Partition;
use crate::context::BrokerCore;
use metadata::{
    AlterPartition, AlterPartitionItem, Command, IsrMember, LeaderRecovery, PartitionAlteration,
    Reply,
};
use replication::{AlterPartitionAnswer, IsrProposal};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use types::{ErrorCode, LeaderEpoch, PartitionEpoch, TopicIdPartition};

/// How long an answer waits for its image. One that comes no sooner is as good as none: to ask
/// again does no harm.
const IMAGE_WAIT: Duration = Duration::from_secs(2);

/// Most proposals in one command: its records stay far below the largest entry of the controllers' log.
const PROPOSALS_PER_COMMAND_MAX: usize = 10_000;

type Queued = (Arc<Partition>, IsrProposal);

/// Proposals that wait to be sent. Cheap to clone.
#[derive(Clone, Default)]
pub struct IsrQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// By partition: a newer one takes the place of an older, which its machine has given up. Answers
    /// tell partitions apart and not proposals: the refusal of the old one would pass for that of the
    /// new one, whose machine then waits for news that never come.
    proposals: Mutex<BTreeMap<TopicIdPartition, Queued>>,
    news: Notify,
}

impl IsrQueue {
    pub fn push(&self, partition: Arc<Partition>, proposal: IsrProposal) {
        self.lock().insert(partition.id, (partition, proposal));
        self.0.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TopicIdPartition, Queued>> {
        self.0.proposals.lock().expect("no thread panicked while it held the proposals")
    }

    /// Sends proposals until the task is aborted.
    pub async fn run(self, core: Arc<BrokerCore>) {
        loop {
            self.0.news.notified().await;
            // Those that are not taken may yet be overtaken.
            loop {
                let proposals = self.take(PROPOSALS_PER_COMMAND_MAX);
                if proposals.is_empty() {
                    break;
                }
                send(&core, proposals).await;
            }
        }
    }

    fn take(&self, max: usize) -> BTreeMap<TopicIdPartition, Queued> {
        let mut queue = self.lock();
        take_first(&mut queue, max)
    }
}

/// The first `max` entries.
fn take_first<V>(
    queue: &mut BTreeMap<TopicIdPartition, V>,
    max: usize,
) -> BTreeMap<TopicIdPartition, V> {
    let rest = match queue.keys().nth(max).copied() {
        Some(next) => queue.split_off(&next),
        None => BTreeMap::new(),
    };
    std::mem::replace(queue, rest)
}

async fn send(core: &BrokerCore, proposals: BTreeMap<TopicIdPartition, Queued>) {
    let command = Command::AlterPartition(AlterPartition {
        broker_id: core.node_id,
        broker_epoch: core.broker_epoch.get(),
        partitions: proposals.values().map(|(partition, p)| item(partition, p)).collect(),
    });
    let asked = core.env.clock.now();
    let result = core.controller.submit(command).await;
    let took = core.env.clock.now().since(asked);
    tracing::debug!(partitions = proposals.len(), ?took, "changes of in-sync replicas answered");
    let answers = match result {
        Ok((Reply::PartitionsAltered(answers), version)) => {
            match core.image.wait_for(version, IMAGE_WAIT).await {
                true => Ok(by_partition(answers)),
                false => Err(AlterPartitionAnswer::Lost),
            }
        }
        Ok((Reply::Refused(refusal), _)) => Err(AlterPartitionAnswer::Refused(refusal.code)),
        Ok((reply, _)) => {
            tracing::error!(?reply, "unexpected reply to a change of in-sync replicas");
            Err(AlterPartitionAnswer::Lost)
        }
        Err(error) => {
            tracing::warn!(%error, "change of in-sync replicas not answered");
            Err(AlterPartitionAnswer::Lost)
        }
    };
    for (id, (partition, proposal)) in proposals {
        let (epoch, leader_epoch) = (proposal.partition_epoch, proposal.leader_epoch);
        let answer = match &answers {
            Err(answer) => answer.clone(),
            Ok(answers) => answer_to(answers.get(&id)),
        };
        answer_one(&partition, epoch, leader_epoch, answer);
    }
}

fn answer_one(
    partition: &Arc<Partition>,
    proposed_on: PartitionEpoch,
    leader_epoch: LeaderEpoch,
    answer: AlterPartitionAnswer,
) {
    if !partition.is_suspect() {
        return partition.isr_answered(proposed_on, leader_epoch, answer);
    }
    // Its lock may be held by who hangs in the disk; the other answers go on.
    let partition = partition.clone();
    let tasks = partition.shared.tasks.clone();
    let room = partition.health.rooms.work.clone();
    tasks.spawn(async move {
        room.blocking(move || partition.isr_answered(proposed_on, leader_epoch, answer)).await;
    });
}

fn by_partition(
    answers: Vec<PartitionAlteration>,
) -> BTreeMap<TopicIdPartition, PartitionAlteration> {
    answers.into_iter().map(|answer| (answer.partition, answer)).collect()
}

fn answer_to(answer: Option<&PartitionAlteration>) -> AlterPartitionAnswer {
    match answer {
        None => AlterPartitionAnswer::Refused(ErrorCode::UnknownServerError),
        Some(answer) => match &answer.outcome {
            Ok(altered) => AlterPartitionAnswer::Committed {
                isr: altered.isr.clone(),
                partition_epoch: altered.partition_epoch,
            },
            Err(refusal) => AlterPartitionAnswer::Refused(refusal.code),
        },
    }
}

fn item(partition: &Partition, proposal: &IsrProposal) -> AlterPartitionItem {
    let member = |m: &replication::IsrMember| IsrMember {
        broker_id: m.broker,
        broker_epoch: m.broker_epoch,
    };
    AlterPartitionItem {
        partition: partition.id,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        new_isr: proposal.isr.iter().map(member).collect(),
        leader_recovery: LeaderRecovery::Recovered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{PartitionIndex, TopicId};

    #[test]
    fn many_proposals_go_in_parts_each_of_them_once() {
        let id = |index| TopicIdPartition {
            topic_id: TopicId::from_random(1),
            partition: PartitionIndex(index),
        };
        let mut queue: BTreeMap<_, i32> = (0..25).map(|index| (id(index), index)).collect();
        let mut parts = Vec::new();
        while !queue.is_empty() {
            parts.push(take_first(&mut queue, 10).into_values().collect::<Vec<_>>());
        }
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        assert!(parts.iter().flatten().copied().eq(0..25));
    }
}
