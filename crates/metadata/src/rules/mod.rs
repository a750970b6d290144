//! One file for each family of commands. Every rule reads the draft, and writes records to it only
//! once it knows that it does not refuse.

mod alter_partition;
mod assignment;
mod brokers;
mod configs;
mod create_topics;
mod delete_topics;
mod elections;
mod partitions;
mod producer_ids;

use crate::draft::Draft;
use crate::{Command, Refusal, Reply};

/// Decides one command on the draft. A refused command writes nothing.
pub(crate) fn decide(draft: &mut Draft<'_>, command: &Command) -> Reply {
    let written = draft.record_count();
    match run(draft, command) {
        Ok(reply) => reply,
        Err(refusal) => {
            assert_eq!(draft.record_count(), written, "{} wrote and refused", command.name());
            Reply::Refused(refusal)
        }
    }
}

fn run(draft: &mut Draft<'_>, command: &Command) -> Result<Reply, Refusal> {
    match command {
        Command::NameCluster { cluster_id } => brokers::name_cluster(draft, cluster_id),
        Command::RegisterBroker(command) => brokers::register(draft, command),
        Command::UnregisterBroker { broker_id } => brokers::unregister(draft, *broker_id),
        Command::FenceBroker { broker_id, broker_epoch } => {
            brokers::fence(draft, *broker_id, *broker_epoch)
        }
        Command::UnfenceBroker { broker_id, broker_epoch } => {
            brokers::unfence(draft, *broker_id, *broker_epoch)
        }
        Command::BeginControlledShutdown { broker_id, broker_epoch } => {
            brokers::begin_controlled_shutdown(draft, *broker_id, *broker_epoch)
        }
        Command::FailReplicas(command) => brokers::fail_replicas(draft, command),
        Command::StepDown(command) => brokers::step_down(draft, command),
        Command::CreateTopics(command) => create_topics::create(draft, command),
        Command::DeleteTopics { topics } => Ok(delete_topics::delete(draft, topics)),
        Command::CreatePartitions(command) => partitions::create(draft, command),
        Command::AlterPartition(command) => alter_partition::alter(draft, command),
        Command::IncrementalAlterConfigs { resources, validate_only } => {
            Ok(configs::alter_incrementally(draft, resources, *validate_only))
        }
        Command::AlterConfigs { resources, validate_only } => {
            Ok(configs::replace(draft, resources, *validate_only))
        }
        Command::AllocateProducerIds { broker_id, broker_epoch } => {
            producer_ids::allocate(draft, *broker_id, *broker_epoch)
        }
        Command::ElectLeaders { election, partitions } => {
            Ok(elections::elect_leaders(draft, *election, partitions))
        }
    }
}
