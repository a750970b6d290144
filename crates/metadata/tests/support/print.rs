//! Records, replies and images in lines that people read.

use metadata::{Broker, Image, LeaderRecovery, Partition, Record, Refusal, Reply, TopicCreation};
use std::collections::BTreeMap;
use types::{NodeId, TopicId};

/// The names of all topics that the script has made, so that ids need not be printed.
pub type TopicNames = BTreeMap<TopicId, String>;

pub fn nodes(list: &[NodeId]) -> String {
    let list: Vec<String> = list.iter().map(|node| node.to_string()).collect();
    list.join(",")
}

pub fn partition(state: &Partition) -> String {
    let recovering = match state.leader_recovery {
        LeaderRecovery::Recovered => "",
        LeaderRecovery::Recovering => " RECOVERING",
    };
    let known = match state.last_known_elr.is_empty() {
        true => String::new(),
        false => format!(" last_known={}", nodes(&state.last_known_elr)),
    };
    let elr = match state.elr.is_empty() {
        true => String::new(),
        false => format!(" elr={}", nodes(&state.elr)),
    };
    format!(
        "replicas={} isr={}{elr}{known} leader={} leader_epoch={} epoch={}{recovering}",
        nodes(&state.replicas),
        nodes(&state.isr),
        state.leader,
        state.leader_epoch,
        state.partition_epoch,
    )
}

pub fn broker(broker: &Broker) -> String {
    let mut line = format!("broker {} epoch={}", broker.id, broker.epoch);
    if let Some(rack) = &broker.rack {
        line += &format!(" rack={rack}");
    }
    line += &format!(" since={}", broker.registered_version);
    line += if broker.fenced { " fenced" } else { " unfenced" };
    if broker.in_controlled_shutdown {
        line += " shutting-down";
    }
    for (what, dirs) in [("failed", &broker.failed_log_dirs), ("lost", &broker.lost_log_dirs)] {
        if !dirs.is_empty() {
            line += &format!(" {what}_dirs={}", dirs.len());
        }
    }
    let endpoints: Vec<String> = broker
        .endpoints
        .iter()
        .map(|endpoint| format!("{}://{}:{}", endpoint.name, endpoint.host, endpoint.port))
        .collect();
    format!("{line} {}", endpoints.join(","))
}

pub fn record(names: &mut TopicNames, record: &Record) -> String {
    let name = |names: &TopicNames, id: &TopicId| names.get(id).cloned().unwrap_or("?".to_owned());
    match record {
        Record::Cluster { cluster_id } => format!("cluster {cluster_id}"),
        Record::BrokerEpoch { last } => format!("last broker epoch {last}"),
        Record::Broker(state) => broker(state),
        Record::BrokerRemoved { broker_id } => format!("broker {broker_id} removed"),
        Record::Topic { topic_id, name } => {
            names.insert(*topic_id, name.clone());
            format!("topic {name}")
        }
        Record::TopicRemoved { topic_id } => format!("topic {} removed", name(names, topic_id)),
        Record::Partition { topic_id, partition: index, state } => {
            format!("{}-{index} {}", name(names, topic_id), partition(state))
        }
        Record::Config { resource, name, value: Some(value) } => {
            format!("config of {resource}: {name}={value}")
        }
        Record::Config { resource, name, value: None } => {
            format!("config of {resource}: {name} removed")
        }
        Record::ProducerIds { next } => format!("next producer id {next}"),
    }
}

/// The reply, one line for each of its items.
pub fn reply(names: &TopicNames, reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Refused(refusal) => vec![format!("refused {refusal}")],
        Reply::Done => vec!["done".to_owned()],
        Reply::BrokerRegistered { broker_epoch } => vec![format!("broker epoch {broker_epoch}")],
        Reply::TopicsCreated(topics) => topics.iter().map(creation).collect(),
        Reply::TopicsDeleted(topics) => {
            let line = |topic: &metadata::TopicDeletion| {
                let known = names.get(&topic.topic_id).cloned();
                let name = topic.name.clone().or(known).unwrap_or("?".to_owned());
                format!("{name} {}", outcome(&topic.outcome))
            };
            topics.iter().map(line).collect()
        }
        Reply::PartitionsCreated(topics) => topics
            .iter()
            .map(|topic| format!("{} {}", topic.name, outcome(&topic.outcome)))
            .collect(),
        Reply::PartitionsAltered(partitions) => {
            let line = |item: &metadata::PartitionAlteration| {
                let id = item.partition;
                let name = names.get(&id.topic_id).cloned().unwrap_or("?".to_owned());
                let outcome = match &item.outcome {
                    Ok(state) => format!(
                        "isr={} leader={} leader_epoch={} epoch={}",
                        nodes(&state.isr),
                        state.leader,
                        state.leader_epoch,
                        state.partition_epoch
                    ),
                    Err(refusal) => refusal.to_string(),
                };
                format!("{name}-{} {outcome}", id.partition)
            };
            partitions.iter().map(line).collect()
        }
        Reply::ConfigsAltered(resources) => {
            let line = |item: &metadata::ConfigOutcome| {
                format!("{} {}", item.resource, outcome(&item.outcome))
            };
            resources.iter().map(line).collect()
        }
        Reply::ProducerIdsAllocated { first, count } => {
            vec![format!("producer ids from {first}, {count} of them")]
        }
        Reply::LeadersElected(partitions) => partitions
            .iter()
            .map(|item| format!("{} {}", item.partition, outcome(&item.outcome)))
            .collect(),
    }
}

fn creation(topic: &TopicCreation) -> String {
    match &topic.outcome {
        Ok(created) => {
            let configs: Vec<String> =
                created.configs.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!(
                "{} created partitions={} rf={}{}",
                topic.name,
                created.num_partitions,
                created.replication_factor,
                configs.concat()
            )
        }
        Err(refusal) => format!("{} {refusal}", topic.name),
    }
}

fn outcome(outcome: &Result<(), Refusal>) -> String {
    match outcome {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

/// The whole image.
pub fn image(image: &Image) -> Vec<String> {
    let mut lines = vec![format!("version {}", image.version())];
    lines.extend(image.brokers().map(|state| broker(state)));
    for topic in image.topics_by_name() {
        for (index, state) in &topic.partitions {
            lines.push(format!("{}-{index} {}", topic.name, partition(state)));
        }
    }
    for (resource, values) in image.config_resources() {
        let values: Vec<String> = values.iter().map(|(k, v)| format!(" {k}={v}")).collect();
        lines.push(format!("config of {resource}:{}", values.concat()));
    }
    lines
}

/// How many leaders and replicas each broker has.
pub fn spread(image: &Image) -> Vec<String> {
    let line = |broker: &Broker| {
        let leaders = image.leaders_of(broker.id).count();
        let replicas = image.replicas_of(broker.id).count();
        let rack = broker.rack.as_deref().unwrap_or("-");
        format!("broker {} rack {rack}: {leaders} leaders, {replicas} replicas", broker.id)
    };
    let mut lines: Vec<String> = image.brokers().map(|broker| line(broker)).collect();
    let racks = |state: &Partition| {
        let mut racks: Vec<Option<&str>> = state
            .replicas
            .iter()
            .filter_map(|id| image.broker(*id))
            .map(|broker| broker.rack.as_deref())
            .collect();
        racks.sort();
        racks.dedup();
        racks.len()
    };
    let fewest = image.partitions().map(|(_, state)| racks(state)).min().unwrap_or(0);
    lines.push(format!("every partition is in at least {fewest} racks"));
    lines
}
