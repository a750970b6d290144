//! Metadata: brokers, topics, partitions and leaders, for the listener that the client came by.
//!
//! A topic that is not there is made on its first use where client and broker allow it. The answer
//! waits until this broker knows the new topic, so that most clients need not ask twice.

use super::RequestContext;
use super::topics::{self, BrokerAddress, PartitionView};
use metadata::{Image, Topic, check_topic_name};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{ErrorCode, TopicId, is_internal_topic};
use wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

/// The first version in which an empty list means no topics, and null all of them.
const EMPTY_IS_NONE_FROM: i16 = 1;
/// The first version in which a client may say that topics shall not be made.
const AUTO_CREATE_ASKED_FROM: i16 = 4;
/// The first version that knows LISTENER_NOT_FOUND.
const LISTENER_ERROR_FROM: i16 = 6;
/// The first version in which topics may be asked for by id.
const BY_ID_FROM: i16 = 12;

/// How long an answer waits for an election that seems to be under way: clients of a leader that
/// died ask at once, mostly before its followers have a new one, and ask again only after up to a
/// second.
const ELECTION_WAIT: Duration = Duration::from_millis(250);

pub async fn handle(ctx: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    await_election(ctx).await;
    let view = View {
        version: ctx.api_version,
        listener: &ctx.listener,
        operations: request.include_topic_authorized_operations,
    };
    let topics = match wanted(ctx.api_version, &request) {
        None => {
            let image = ctx.broker.image.load();
            image.topics_by_name().map(|topic| view.topic(&image, topic)).collect()
        }
        Some(wanted) => {
            let may_create = ctx.broker.config.requests.auto_create_topics_enable
                && (ctx.api_version < AUTO_CREATE_ASKED_FROM || request.allow_auto_topic_creation);
            let refused =
                if may_create { make_unknown(ctx, &wanted).await } else { Refused::new() };
            let image = ctx.broker.image.load();
            wanted.into_iter().map(|topic| one_topic(&image, &view, topic, &refused)).collect()
        }
    };
    let image = ctx.broker.image.load();
    let alive = topics::brokers_on(&image, &ctx.listener);
    let now = ctx.broker.env.clock.now();
    let departed = |id| ctx.broker.departed.is_named(id, now);
    let brokers = topics::brokers_where(&image, &ctx.listener, |b| !b.fenced || departed(b.id));
    let mut response = MetadataResponse {
        controller_id: topics::any_broker(&ctx.broker, &alive),
        brokers: brokers.into_iter().map(broker).collect(),
        cluster_id: image.cluster_id().map(Into::into),
        topics,
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = topics::CLUSTER_OPERATIONS;
    }
    response
}

async fn await_election(ctx: &RequestContext) {
    let mut applied = ctx.broker.image.watch();
    let election = async {
        while ctx.broker.replicas.expects_election(&ctx.broker.image.load(), ELECTION_WAIT) {
            // An error means that the broker stops.
            if applied.changed().await.is_err() {
                return;
            }
        }
    };
    // A time that runs out is no error: then there was no election.
    drop(tokio::time::timeout(ELECTION_WAIT, election).await);
}

/// The topics asked for, each once however often it is named; `None` for all.
fn wanted(version: i16, request: &MetadataRequest) -> Option<Vec<&MetadataRequestTopic>> {
    match &request.topics {
        None => None,
        Some(topics) if topics.is_empty() && version < EMPTY_IS_NONE_FROM => None,
        Some(topics) => {
            let mut seen = BTreeSet::new();
            let mut once = Vec::with_capacity(topics.len());
            for topic in topics {
                if seen.insert((topic.topic_id, topic.name.as_deref())) {
                    once.push(topic);
                }
            }
            Some(once)
        }
    }
}

/// Topics that could not be made, and why.
type Refused<'a> = BTreeMap<&'a str, ErrorCode>;

/// Makes what is asked for by name and not there.
async fn make_unknown<'a>(
    ctx: &RequestContext,
    wanted: &[&'a MetadataRequestTopic],
) -> Refused<'a> {
    let image = ctx.broker.image.load();
    let by_name = wanted.iter().filter(|topic| topic.topic_id.is_zero());
    let names = by_name.filter_map(|topic| topic.name.as_deref());
    let is_new =
        |name: &&str| image.topic_by_name(name).is_none() && check_topic_name(name).is_ok();
    let names: Vec<&str> = names.filter(is_new).collect();
    drop(image);
    let made = topics::auto_create_all(&ctx.broker, &names).await;
    names.into_iter().zip(made).filter_map(|(name, made)| Some((name, made.err()?))).collect()
}

fn one_topic(
    image: &Image,
    view: &View<'_>,
    wanted: &MetadataRequestTopic,
    refused: &Refused<'_>,
) -> MetadataResponseTopic {
    if !wanted.topic_id.is_zero() || wanted.name.is_none() {
        return by_id(image, view, wanted);
    }
    let name = wanted.name.as_deref().unwrap_or_default();
    if let Some(topic) = image.topic_by_name(name) {
        return view.topic(image, topic);
    }
    if check_topic_name(name).is_err() {
        return missing(name, ErrorCode::InvalidTopicException);
    }
    missing(name, refused.get(name).copied().unwrap_or(ErrorCode::UnknownTopicOrPartition))
}

fn by_id(image: &Image, view: &View<'_>, wanted: &MetadataRequestTopic) -> MetadataResponseTopic {
    if view.version < BY_ID_FROM {
        let name = wanted.name.clone().unwrap_or_default();
        return missing(&name, ErrorCode::InvalidRequest);
    }
    match image.topic(wanted.topic_id) {
        Some(topic) => view.topic(image, topic),
        None => MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicId.into(),
            name: None,
            topic_id: wanted.topic_id,
            ..Default::default()
        },
    }
}

fn missing(name: &str, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.into(),
        name: Some(name.into()),
        topic_id: TopicId::ZERO,
        is_internal: is_internal_topic(name),
        ..Default::default()
    }
}

fn broker(broker: BrokerAddress) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: broker.id.0,
        host: broker.host.into(),
        port: broker.port,
        rack: broker.rack.map(Into::into),
    }
}

/// How one client sees topics.
struct View<'a> {
    version: i16,
    listener: &'a str,
    /// The client wants to know what it may do.
    operations: bool,
}

impl View<'_> {
    fn topic(&self, image: &Image, topic: &Topic) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().map(|(index, partition)| {
            let view = PartitionView::new(image, partition, self.listener);
            MetadataResponsePartition {
                error_code: self.partition_error(&view),
                partition_index: index.0,
                leader_id: view.leader.0,
                leader_epoch: partition.leader_epoch.0,
                replica_nodes: topics::ids(&partition.replicas),
                isr_nodes: topics::ids(partition.known_isr()),
                offline_replicas: view.offline,
            }
        });
        let mut response = MetadataResponseTopic {
            error_code: 0,
            name: Some(topic.name.as_str().into()),
            topic_id: topic.id,
            is_internal: is_internal_topic(&topic.name),
            partitions: partitions.collect(),
            ..Default::default()
        };
        if self.operations {
            response.topic_authorized_operations = topics::TOPIC_OPERATIONS;
        }
        response
    }

    fn partition_error(&self, view: &PartitionView) -> i16 {
        let known = self.version >= LISTENER_ERROR_FROM;
        if view.error == Some(ErrorCode::ListenerNotFound) && !known {
            return ErrorCode::LeaderNotAvailable.into();
        }
        view.error_code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_means_all_topics_and_so_did_an_empty_list_in_version_0() {
        let request = |topics| MetadataRequest { topics, ..Default::default() };
        assert!(wanted(0, &request(Some(Vec::new()))).is_none());
        assert!(wanted(1, &request(None)).is_none());
        assert_eq!(wanted(1, &request(Some(Vec::new()))).map(|topics| topics.len()), Some(0));
    }

    #[test]
    fn a_topic_named_twice_is_answered_once() {
        let named = |name: &'static str| MetadataRequestTopic {
            name: Some(name.into()),
            ..Default::default()
        };
        let topics = Some(vec![named("b"), named("a"), named("b")]);
        let request = MetadataRequest { topics, ..Default::default() };
        let wanted = wanted(9, &request).expect("topics");
        let names: Vec<_> = wanted.iter().filter_map(|topic| topic.name.as_deref()).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn an_id_in_a_version_without_ids_is_an_invalid_request() {
        let image = Image::default();
        let view = |version| View { version, listener: "PLAINTEXT", operations: false };
        let topic = MetadataRequestTopic { topic_id: types::Uuid([7; 16]), name: None };
        let old = by_id(&image, &view(11), &topic);
        assert_eq!(old.error_code, i16::from(ErrorCode::InvalidRequest));
        assert!(old.name.is_some(), "a null name cannot be sent in version 11");
        let new = by_id(&image, &view(12), &topic);
        assert_eq!(new.error_code, i16::from(ErrorCode::UnknownTopicId));
        assert_eq!(new.topic_id, topic.topic_id);
    }
}
