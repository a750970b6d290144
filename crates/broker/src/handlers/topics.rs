//! Topics and brokers as a client sees them: what Metadata, DescribeTopicPartitions and
//! DescribeCluster have in common, and topics made on first use.

use crate::context::BrokerContext;
use crate::controller_client::SubmitOptions;
use metadata::{
    Broker, Command, CreateTopics, Image, NewTopic, Partition, Reply, Topic, TopicCreation,
};
use std::sync::Arc;
use std::time::Duration;
use types::{
    CONSUMER_OFFSETS_TOPIC, ErrorCode, MetadataVersion, NodeId, TRANSACTION_STATE_TOPIC,
    is_internal_topic,
};

/// How long an answer waits for the live brokers to know what it tells.
pub const APPLIED_WAIT: Duration = Duration::from_millis(1000);
/// How long a topic's making on first use may hold its request up.
const AUTO_CREATE_TIMEOUT: Duration = Duration::from_millis(2000);
/// So many are made by one command, whose partitions are bounded ([`types::PARTITIONS_PER_REQUEST_MAX`]).
const AUTO_CREATED_AT_ONCE: usize = 10;

/// All operations that a client without an authorizer may do on a topic, as bits of Kafka's
/// operation numbers: read, write, create, delete, alter, describe, describe and alter configs.
pub const TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same for the cluster: create, alter, describe, cluster action, describe and alter configs,
/// idempotent write.
pub const CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);

const fn bits(operations: &[u8]) -> i32 {
    let mut all = 0;
    let mut index = 0;
    while index < operations.len() {
        all |= 1 << operations[index];
        index += 1;
    }
    all
}

/// An unfenced broker on one listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerAddress {
    pub id: NodeId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

/// The brokers that clients of a listener may go to, by id.
pub fn brokers_on(image: &Image, listener: &str) -> Vec<BrokerAddress> {
    brokers_where(image, listener, |broker| !broker.fenced)
}

/// The brokers on a listener that satisfy the predicate, by id.
pub fn brokers_where(
    image: &Image,
    listener: &str,
    wanted: impl Fn(&Broker) -> bool,
) -> Vec<BrokerAddress> {
    let brokers = image.brokers().filter(|broker| wanted(broker));
    let reachable = brokers.filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(BrokerAddress {
            id: broker.id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
        })
    });
    reachable.collect()
}

/// The controller that clients are told of: any broker, since every broker passes commands on.
/// Spread, so that not all admin clients gather on one.
pub fn any_broker(ctx: &BrokerContext, brokers: &[BrokerAddress]) -> i32 {
    match brokers.len() {
        0 => NodeId::NONE.0,
        count => brokers[ctx.env.rng.below(count as u64) as usize].id.0,
    }
}

/// A partition as clients of one listener see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionView {
    pub error: Option<ErrorCode>,
    pub leader: NodeId,
    pub offline: Vec<i32>,
}

impl PartitionView {
    pub fn new(image: &Image, partition: &Partition, listener: &str) -> PartitionView {
        let reachable = |id: NodeId| {
            let broker = image.broker(id).filter(|broker| !broker.fenced);
            broker.is_some_and(|broker| broker.endpoint(listener).is_some())
        };
        let offline = partition.replicas.iter().filter(|id| !reachable(**id));
        let offline = offline.map(|id| id.0).collect();
        let leader = partition.leader;
        if !partition.has_leader() || image.broker(leader).is_none_or(|broker| broker.fenced) {
            let error = Some(ErrorCode::LeaderNotAvailable);
            return PartitionView { error, leader: NodeId::NONE, offline };
        }
        if !reachable(leader) {
            let error = Some(ErrorCode::ListenerNotFound);
            return PartitionView { error, leader: NodeId::NONE, offline };
        }
        PartitionView { error: None, leader, offline }
    }

    /// The error as a number, 0 for none.
    pub fn error_code(&self) -> i16 {
        self.error.map_or(0, i16::from)
    }
}

/// Numbers of brokers for a response.
pub fn ids(brokers: &[NodeId]) -> Vec<i32> {
    brokers.iter().map(|id| id.0).collect()
}

/// Makes a topic on its first use, as [`auto_create_all`] makes several.
pub async fn auto_create(ctx: &BrokerContext, name: &str) -> Result<Arc<Topic>, ErrorCode> {
    let mut made = auto_create_all(ctx, &[name]).await;
    made.pop().unwrap_or(Err(ErrorCode::LeaderNotAvailable))
}

/// Makes topics on their first use, many by one command, and answers each, in the order of the
/// names, once this broker knows them. The error is what a client is told; where a retry may find
/// the topic, it is a retriable one. No name may be there twice.
pub async fn auto_create_all(
    ctx: &BrokerContext,
    names: &[&str],
) -> Vec<Result<Arc<Topic>, ErrorCode>> {
    let mut made = Vec::with_capacity(names.len());
    for names in names.chunks(AUTO_CREATED_AT_ONCE) {
        let topics = names.iter().map(|name| new_topic(ctx, name)).collect();
        let command = Command::CreateTopics(CreateTopics { topics, validate_only: false });
        let options = SubmitOptions { timeout: AUTO_CREATE_TIMEOUT, wait_applied: APPLIED_WAIT };
        let submitted = ctx.controller.submit_with(command, options).await;
        let (outcomes, version) = match auto_create_outcomes(submitted) {
            Ok(answer) => answer,
            Err(error) => {
                // The controller is away: the rest would wait for it as long, one after the other.
                made.resize(made.len() + names.len(), Err(error));
                break;
            }
        };
        ctx.image.wait_for(version, APPLIED_WAIT).await;
        let image = ctx.image.load();
        let topic = |name| image.topic_by_name(name).cloned().ok_or(ErrorCode::LeaderNotAvailable);
        let answers = names.iter().zip(outcomes);
        made.extend(answers.map(|(name, outcome)| outcome.and_then(|()| topic(name))));
    }
    made.resize(names.len(), Err(ErrorCode::LeaderNotAvailable));
    made
}

type Outcomes = (Vec<Result<(), ErrorCode>>, MetadataVersion);

fn auto_create_outcomes(
    submitted: Result<(Reply, MetadataVersion), crate::controller_client::SubmitError>,
) -> Result<Outcomes, ErrorCode> {
    let (reply, version) = match submitted {
        Ok(answer) => answer,
        Err(error) => {
            tracing::info!(%error, "topics could not be made on first use");
            return Err(ErrorCode::LeaderNotAvailable);
        }
    };
    let Reply::TopicsCreated(creations) = reply else {
        tracing::info!(?reply, "topics could not be made on first use");
        return Err(ErrorCode::LeaderNotAvailable);
    };
    Ok((creations.into_iter().map(auto_create_outcome).collect(), version))
}

fn auto_create_outcome(creation: TopicCreation) -> Result<(), ErrorCode> {
    let refusal = match creation.outcome {
        Ok(_) => return Ok(()),
        // Someone else was faster.
        Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => return Ok(()),
        Err(refusal) => refusal,
    };
    let (topic, reason) = (&creation.name, &refusal.message);
    if is_internal_topic(topic) {
        // No client can do anything about it.
        tracing::warn!(%topic, %reason, "the broker's own topic could not be made");
    } else {
        tracing::info!(%topic, %reason, "a topic could not be made on first use");
    }
    Err(refusal.code)
}

/// How a topic is made when nobody says how: the cluster's defaults, and for the brokers' own
/// topics what `offsets.topic.*` and `transaction.state.log.*` say, with no more replicas than
/// there are brokers. A registered broker that is away counts: its replica catches up when it is
/// back, while a topic made with too few replicas would stay so.
fn new_topic(ctx: &BrokerContext, name: &str) -> NewTopic {
    let internal = &ctx.config.internal_topics;
    let known = i16::try_from(ctx.image.load().brokers().count()).unwrap_or(i16::MAX).max(1);
    let replicas = |wanted: u16| i16::try_from(wanted).unwrap_or(i16::MAX).min(known);
    let own = |partitions: u32, factor: u16, configs: &[(&str, String)]| NewTopic {
        configs: configs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(value.clone())))
            .collect(),
        ..NewTopic::placed(name, i32::try_from(partitions).unwrap_or(i32::MAX), replicas(factor))
    };
    match name {
        CONSUMER_OFFSETS_TOPIC => own(
            internal.offsets_partitions,
            internal.offsets_replication_factor,
            &[
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", internal.offsets_segment_bytes.to_string()),
            ],
        ),
        TRANSACTION_STATE_TOPIC => own(
            internal.transactions_partitions,
            internal.transactions_replication_factor,
            &[
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "uncompressed".to_owned()),
                ("min.insync.replicas", internal.transactions_min_isr.to_string()),
                ("segment.bytes", internal.transactions_segment_bytes.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        _ => NewTopic::placed(name, -1, -1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{Broker, Endpoint, Record};
    use types::{BrokerEpoch, IncarnationId};

    fn image(fenced: &[i32]) -> Image {
        let records = (1..=3).map(|id| {
            let port = 9090 + id as u16;
            let endpoint = |name: &str, port| Endpoint {
                name: name.to_owned(),
                host: format!("host{id}"),
                port,
                security_protocol: 0,
            };
            let mut endpoints = vec![endpoint("PLAINTEXT", port)];
            if id != 3 {
                endpoints.push(endpoint("OUTSIDE", port + 100));
            }
            Record::Broker(Broker {
                id: NodeId(id),
                epoch: BrokerEpoch(i64::from(id)),
                incarnation_id: IncarnationId::ZERO,
                endpoints,
                rack: None,
                fenced: fenced.contains(&id),
                in_controlled_shutdown: false,
                log_dirs: Vec::new(),
                failed_log_dirs: Vec::new(),
                lost_log_dirs: Vec::new(),
                features: Vec::new(),
                previous_epoch: BrokerEpoch::NONE,
                registered_version: MetadataVersion(1),
            })
        });
        Image::from_records(MetadataVersion(1), &records.collect::<Vec<_>>())
    }

    fn partition(leader: i32) -> Partition {
        let replicas = vec![NodeId(1), NodeId(2), NodeId(3)];
        let mut partition = Partition::new(replicas.clone(), replicas);
        partition.leader = NodeId(leader);
        partition
    }

    #[test]
    fn a_client_is_told_the_addresses_of_its_own_listener() {
        let image = image(&[]);
        let ports = |listener| {
            let brokers = brokers_on(&image, listener);
            brokers.iter().map(|broker| (broker.id.0, broker.port)).collect::<Vec<_>>()
        };
        assert_eq!(ports("PLAINTEXT"), [(1, 9091), (2, 9092), (3, 9093)]);
        assert_eq!(ports("OUTSIDE"), [(1, 9191), (2, 9192)]);
    }

    #[test]
    fn a_fenced_broker_is_not_told_of_and_its_replicas_are_offline() {
        let image = image(&[2]);
        assert_eq!(brokers_on(&image, "PLAINTEXT").len(), 2);
        let view = PartitionView::new(&image, &partition(1), "PLAINTEXT");
        assert_eq!((view.error, view.leader, view.offline), (None, NodeId(1), vec![2]));
    }

    #[test]
    fn a_partition_without_a_reachable_leader_carries_its_error() {
        let image = image(&[]);
        let view = PartitionView::new(&image, &partition(-1), "PLAINTEXT");
        assert_eq!(view.error, Some(ErrorCode::LeaderNotAvailable));
        let view = PartitionView::new(&image, &partition(3), "OUTSIDE");
        assert_eq!(view.error, Some(ErrorCode::ListenerNotFound));
        assert_eq!(view.leader, NodeId::NONE);
    }
}
