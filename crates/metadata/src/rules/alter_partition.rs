//! AlterPartition: a leader changes its ISR, by compare and set on the partition epoch.

use super::brokers::check_epoch;
use crate::draft::Draft;
use crate::leader::{Election, PartitionTarget, choose};
use crate::{
    AlterPartition, AlterPartitionItem, AlteredPartition, IsrMember, LeaderRecovery, Partition,
    PartitionAlteration, Refusal, Reply,
};
use std::sync::Arc;
use types::{BrokerEpoch, ErrorCode, NodeId};

pub fn alter(draft: &mut Draft<'_>, command: &AlterPartition) -> Result<Reply, Refusal> {
    check_epoch(draft, command.broker_id, command.broker_epoch)?;
    let mut alterations = Vec::with_capacity(command.partitions.len());
    for item in &command.partitions {
        let outcome = alter_one(draft, command.broker_id, item);
        alterations.push(PartitionAlteration { partition: item.partition, outcome });
    }
    Ok(Reply::PartitionsAltered(alterations))
}

fn alter_one(
    draft: &mut Draft<'_>,
    sender: NodeId,
    item: &AlterPartitionItem,
) -> Result<AlteredPartition, Refusal> {
    let state = find(draft, item)?;
    check_epochs(&state, sender, item)?;
    check_isr(&state, item)?;
    check_recovery(&state, item)?;
    for member in &item.new_isr {
        check_member(draft, member)?;
    }
    let target = PartitionTarget {
        isr: item.new_isr.iter().map(|member| member.broker_id).collect(),
        election: Election::Online,
        leader_recovery: item.leader_recovery,
        min_isr: draft.image().min_isr_of(item.partition),
        lost: None,
    };
    let altered = match choose(&state, &target, &|replica| draft.is_live(replica)) {
        Some(next) => {
            let altered = describe(&next);
            draft.push_partition(item.partition, next);
            altered
        }
        None => describe(&state),
    };
    Ok(altered)
}

fn find(draft: &Draft<'_>, item: &AlterPartitionItem) -> Result<Arc<Partition>, Refusal> {
    let topic = draft.image().topic(item.partition.topic_id).ok_or_else(|| {
        let message = format!("no topic has the id {}", item.partition.topic_id);
        Refusal::new(ErrorCode::UnknownTopicId, message)
    })?;
    topic.partitions.get(&item.partition.partition).cloned().ok_or_else(|| {
        let message = format!("topic {} has no partition {}", topic.name, item.partition.partition);
        Refusal::new(ErrorCode::UnknownTopicOrPartition, message)
    })
}

/// Higher epochs than ours mean that this image is behind the one that the leader saw, so the
/// leader must ask the controller that told it.
fn check_epochs(
    state: &Partition,
    sender: NodeId,
    item: &AlterPartitionItem,
) -> Result<(), Refusal> {
    let refuse = |code, what: &str, given: i32, known: i32| {
        let message = format!("{what} {given} in the request, {known} here");
        Err(Refusal::new(code, message))
    };
    let (given, known) = (item.leader_epoch, state.leader_epoch);
    if given > known {
        return refuse(ErrorCode::NotController, "leader epoch", given.0, known.0);
    }
    let (given_version, known_version) = (item.partition_epoch, state.partition_epoch);
    if given_version > known_version {
        let (given, known) = (given_version.0, known_version.0);
        return refuse(ErrorCode::NotController, "partition epoch", given, known);
    }
    if given < known {
        return refuse(ErrorCode::FencedLeaderEpoch, "leader epoch", given.0, known.0);
    }
    if sender != state.leader {
        let message = format!("broker {sender} asks, the leader is {}", state.leader);
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    if given_version < known_version {
        let (given, known) = (given_version.0, known_version.0);
        return refuse(ErrorCode::InvalidUpdateVersion, "partition epoch", given, known);
    }
    Ok(())
}

fn check_isr(state: &Partition, item: &AlterPartitionItem) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    for (index, member) in item.new_isr.iter().enumerate() {
        let id = member.broker_id;
        if !state.is_replica(id) {
            return refuse(format!("broker {id} is in the new isr and is not a replica"));
        }
        if item.new_isr[..index].iter().any(|other| other.broker_id == id) {
            return refuse(format!("broker {id} is in the new isr twice"));
        }
    }
    if !item.new_isr.iter().any(|member| member.broker_id == state.leader) {
        return refuse(format!("the leader {} is not in the new isr", state.leader));
    }
    Ok(())
}

fn check_recovery(state: &Partition, item: &AlterPartitionItem) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    match (state.leader_recovery, item.leader_recovery) {
        (LeaderRecovery::Recovered, LeaderRecovery::Recovering) => {
            refuse("a leader that has recovered cannot be recovering again")
        }
        (LeaderRecovery::Recovering, LeaderRecovery::Recovering) if item.new_isr.len() > 1 => {
            refuse("the isr of a recovering leader cannot have other members")
        }
        (LeaderRecovery::Recovering, LeaderRecovery::Recovering)
        | (LeaderRecovery::Recovering, LeaderRecovery::Recovered)
        | (LeaderRecovery::Recovered, LeaderRecovery::Recovered) => Ok(()),
    }
}

/// A member must be live, and be the very registration that the leader saw in sync: a broker that
/// has restarted since then may have lost its log (KIP-903).
fn check_member(draft: &Draft<'_>, member: &IsrMember) -> Result<(), Refusal> {
    let id = member.broker_id;
    let refuse = |why: &str| {
        let message = format!("broker {id} cannot be in the isr: {why}");
        Err(Refusal::new(ErrorCode::IneligibleReplica, message))
    };
    let Some(broker) = draft.image().broker(id) else {
        return refuse("it is not registered");
    };
    if broker.fenced {
        return refuse("it is fenced");
    }
    if broker.in_controlled_shutdown {
        return refuse("it is shutting down");
    }
    if member.broker_epoch != BrokerEpoch::NONE && member.broker_epoch != broker.epoch {
        let (given, known) = (member.broker_epoch, broker.epoch);
        return refuse(&format!("its epoch is {known}, not {given}"));
    }
    Ok(())
}

fn describe(state: &Partition) -> AlteredPartition {
    AlteredPartition {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        leader_recovery: state.leader_recovery,
        partition_epoch: state.partition_epoch,
    }
}
