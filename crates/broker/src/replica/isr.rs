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
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use types::{ErrorCode, LeaderEpoch, PartitionEpoch};

/// How long an answer waits for its image. One that comes no sooner is as good as none: to ask
/// again does no harm.
const IMAGE_WAIT: Duration = Duration::from_secs(2);

type Queued = (Arc<Partition>, IsrProposal);

/// Proposals that wait to be sent. Cheap to clone.
#[derive(Clone, Default)]
pub struct IsrQueue(Arc<Inner>);

#[derive(Default)]
struct Inner {
    proposals: Mutex<Vec<Queued>>,
    news: Notify,
}

impl IsrQueue {
    pub fn push(&self, partition: Arc<Partition>, proposal: IsrProposal) {
        put(&mut self.lock(), partition, proposal);
        self.0.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Queued>> {
        self.0.proposals.lock().expect("no thread panicked while it held the proposals")
    }

    /// Sends proposals until the task is aborted.
    pub async fn run(self, core: Arc<BrokerCore>) {
        loop {
            self.0.news.notified().await;
            let proposals = std::mem::take(&mut *self.lock());
            if !proposals.is_empty() {
                send(&core, proposals).await;
            }
        }
    }
}

/// Puts a proposal in the place of an older one of the same partition, which its machine has given
/// up. Answers tell partitions apart and not proposals: the refusal of the old one would pass for that
/// of the new one, whose machine then waits for news that never come.
fn put<P>(queue: &mut Vec<(Arc<P>, IsrProposal)>, partition: Arc<P>, proposal: IsrProposal) {
    queue.retain(|(queued, _)| !Arc::ptr_eq(queued, &partition));
    queue.push((partition, proposal));
}

async fn send(core: &BrokerCore, proposals: Vec<Queued>) {
    let command = Command::AlterPartition(AlterPartition {
        broker_id: core.node_id,
        broker_epoch: core.broker_epoch.get(),
        partitions: proposals.iter().map(|(partition, p)| item(partition, p)).collect(),
    });
    let asked = core.env.clock.now();
    let result = core.controller.submit(command).await;
    let took = core.env.clock.now().since(asked);
    tracing::debug!(partitions = proposals.len(), ?took, "changes of in-sync replicas answered");
    let answers = match result {
        Ok((Reply::PartitionsAltered(answers), version)) => {
            match core.image.wait_for(version, IMAGE_WAIT).await {
                true => Ok(answers),
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
    for (partition, proposal) in proposals {
        let (epoch, leader_epoch) = (proposal.partition_epoch, proposal.leader_epoch);
        let answer = match &answers {
            Err(answer) => answer.clone(),
            Ok(answers) => find(answers, &partition),
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
    tasks.spawn(env::tasks::blocking(move || {
        partition.isr_answered(proposed_on, leader_epoch, answer);
    }));
}

fn find(answers: &[PartitionAlteration], partition: &Partition) -> AlterPartitionAnswer {
    match answers.iter().find(|answer| answer.partition == partition.id) {
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

    #[test]
    fn a_newer_proposal_of_a_partition_takes_the_place_of_an_older_one() {
        let proposal = |epoch| IsrProposal {
            leader_epoch: LeaderEpoch(1),
            partition_epoch: PartitionEpoch(epoch),
            isr: Vec::new(),
        };
        let (one, other) = (Arc::new(1), Arc::new(2));
        let mut queue = Vec::new();
        put(&mut queue, one.clone(), proposal(3));
        put(&mut queue, other.clone(), proposal(1));
        put(&mut queue, one.clone(), proposal(4));
        assert_eq!(queue, [(other, proposal(1)), (one, proposal(4))]);
    }
}
