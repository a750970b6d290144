//! Groups of one whole broker: what its coordinator keeps, forgets and refuses.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use metadata::{
    Command, CreateTopics, Endpoint, NewTopic, NewTopicAssignment, RegisterBroker, Reply,
};
use std::path::Path;
use std::time::Duration;
use support::Node;
use support::kafka::Connection;
use types::{BrokerEpoch, ErrorCode, NodeId, PartitionIndex, Uuid};
use wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use wire::delete_groups::DeleteGroupsRequest;
use wire::delete_topics::DeleteTopicsRequest;
use wire::find_coordinator::FindCoordinatorRequest;
use wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};

const GROUP: &str = "g";
const PAUSE: Duration = Duration::from_millis(100);
/// How often something is asked that is to come true.
const ATTEMPTS: usize = 100;

/// A node with a topic and one coordinator, which is loaded.
async fn start() -> (Node, Connection) {
    let node = Node::start(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = node.connect().await;
    create(&mut client).await;
    let request = FindCoordinatorRequest { key: GROUP.into(), ..Default::default() };
    for _ in 0..ATTEMPTS {
        if client.call(1, &request).await.error_code == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    until_loaded(&mut client).await;
    (node, client)
}

async fn create(client: &mut Connection) {
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    assert_eq!(client.call(7, &request).await.topics[0].error_code, 0);
}

async fn commit(client: &mut Connection, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        ..Default::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request =
        OffsetCommitRequest { group_id: GROUP.into(), topics: vec![topic], ..Default::default() };
    client.call(8, &request).await.topics[0].partitions[0].error_code
}

/// The committed offset of the topic's partition, or the group's error.
async fn fetch(client: &mut Connection) -> Result<i64, i16> {
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request = OffsetFetchRequest { groups: vec![group], ..Default::default() };
    let group = client.call(8, &request).await.groups.remove(0);
    match group.error_code {
        0 => Ok(group.topics[0].partitions[0].committed_offset),
        code => Err(code),
    }
}

/// Waits until the group is served; its offset.
async fn until_loaded(client: &mut Connection) -> i64 {
    for _ in 0..ATTEMPTS {
        if let Ok(offset) = fetch(client).await {
            return offset;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the group is not served");
}

async fn delete_group(client: &mut Connection) -> i16 {
    let request = DeleteGroupsRequest { groups_names: vec![GROUP.into()] };
    client.call(1, &request).await.results[0].error_code
}

/// Turns a bit of the committed offset 40 in the coordinator's log: it reads 41.
fn turn_a_bit(log_dir: &Path) {
    let path = log_dir.join("__consumer_offsets-0").join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).expect("the coordinator's log");
    // The offset, and the leader epoch that the client did not give.
    let value: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 40, 0xff, 0xff, 0xff, 0xff];
    let at = bytes.windows(value.len()).position(|window| window == value);
    bytes[at.expect("the commit is in the log") + 7] ^= 1;
    std::fs::write(&path, bytes).expect("written");
}

#[tokio::test]
async fn an_offset_from_a_damaged_log_is_never_told() {
    let (node, mut client) = start().await;
    assert_eq!(commit(&mut client, 40).await, 0);
    let node = node.restart_after(turn_a_bit).await;
    let mut client = node.connect().await;
    let mut told = Vec::new();
    for _ in 0..30 {
        told.push(fetch(&mut client).await);
        tokio::time::sleep(PAUSE).await;
    }
    assert!(told.iter().all(Result::is_err), "{told:?}");
    let loading: i16 = ErrorCode::CoordinatorLoadInProgress.into();
    assert_eq!(told.last(), Some(&Err(loading)));
    // The damage is known to those who repair replicas.
    let page = node.metrics.render();
    assert!(page.contains("ottla_damaged_replicas 1"), "{page}");
}

#[tokio::test]
async fn an_offset_goes_with_its_topic() {
    let (node, mut client) = start().await;
    assert_eq!(commit(&mut client, 40).await, 0);
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        timeout_ms: 5000,
        ..Default::default()
    };
    assert_eq!(client.call(5, &request).await.responses[0].error_code, 0);
    create(&mut client).await;
    assert_eq!(fetch(&mut client).await, Ok(-1));
    let node = node.restart().await;
    let mut client = node.connect().await;
    assert_eq!(until_loaded(&mut client).await, -1);
    assert_eq!(commit(&mut client, 3).await, 0);
    assert_eq!(fetch(&mut client).await, Ok(3));
    let node = node.restart().await;
    assert_eq!(until_loaded(&mut node.connect().await).await, 3);
}

/// Lets the coordinator's log take batches of this size at most; `None`: of any usual one.
async fn limit_batches(node: &Node, client: &mut Connection, bytes: Option<&'static str>) {
    let change = AlterableConfig {
        name: "max.message.bytes".into(),
        config_operation: i8::from(bytes.is_none()),
        value: bytes.map(Into::into),
    };
    let resource = AlterConfigsResource {
        resource_type: 2,
        resource_name: "__consumer_offsets".into(),
        configs: vec![change],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 0);
    let image = &node.broker.context().core.image;
    let is_applied = image.wait_for(image.load().version(), Duration::from_secs(10)).await;
    assert!(is_applied, "the partition has the setting");
}

#[tokio::test]
async fn a_group_that_cannot_be_deleted_is_there_and_the_client_is_told() {
    let (node, mut client) = start().await;
    assert_eq!(commit(&mut client, 7).await, 0);
    limit_batches(&node, &mut client, Some("10")).await;
    let refused: i16 = ErrorCode::UnknownServerError.into();
    assert_eq!(delete_group(&mut client).await, refused);
    assert_eq!(until_loaded(&mut client).await, 7, "as its log says");
    limit_batches(&node, &mut client, None).await;
    assert_eq!(delete_group(&mut client).await, 0);
    assert_eq!(fetch(&mut client).await, Ok(-1));
    let not_found: i16 = ErrorCode::GroupIdNotFound.into();
    assert_eq!(delete_group(&mut client).await, not_found);
}

/// Registers a second broker, which nobody runs: it fetches nothing.
fn add_silent_broker(node: &Node) -> BrokerEpoch {
    let endpoint = Endpoint {
        name: "PLAINTEXT".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        security_protocol: 0,
    };
    let registration = RegisterBroker {
        broker_id: NodeId(2),
        cluster_id: "stand-in-cluster-id-0".to_owned(),
        incarnation_id: Uuid([2; 16]),
        endpoints: vec![endpoint],
        rack: None,
        log_dirs: vec![Uuid([22; 16])],
        features: Vec::new(),
        previous_epoch: BrokerEpoch::NONE,
        session_alive: false,
    };
    let (reply, _) = node.controller.decide(Command::RegisterBroker(registration));
    let Reply::BrokerRegistered { broker_epoch } = reply else { panic!("{reply:?}") };
    node.controller.decide(Command::UnfenceBroker { broker_id: NodeId(2), broker_epoch });
    broker_epoch
}

/// Makes the coordinators' topic with one partition, which the first of these brokers leads.
fn make_offsets_topic(node: &Node, replicas: Vec<NodeId>) {
    let topic = NewTopic {
        assignments: vec![NewTopicAssignment { partition: PartitionIndex(0), replicas }],
        ..NewTopic::placed("__consumer_offsets", -1, -1)
    };
    let create = CreateTopics { topics: vec![topic], validate_only: false };
    let (reply, _) = node.controller.decide(Command::CreateTopics(create));
    let Reply::TopicsCreated(created) = &reply else { panic!("{reply:?}") };
    assert!(created[0].outcome.is_ok(), "{reply:?}");
}

#[tokio::test]
async fn a_coordinator_that_is_loaded_again_tells_only_what_is_committed() {
    let node = Node::start(&[("offsets.commit.timeout.ms", "500")]).await;
    let mut client = node.connect().await;
    create(&mut client).await;
    let broker_epoch = add_silent_broker(&node);
    make_offsets_topic(&node, vec![NodeId(1), NodeId(2)]);
    assert_eq!(until_loaded(&mut client).await, -1);
    // In the log of broker 1 only.
    let late: i16 = ErrorCode::CoordinatorNotAvailable.into();
    assert_eq!(commit(&mut client, 40).await, late);
    // What the log refuses has the coordinator loaded again.
    limit_batches(&node, &mut client, Some("10")).await;
    let refused: i16 = ErrorCode::UnknownServerError.into();
    assert_eq!(delete_group(&mut client).await, refused);
    assert_eq!(until_loaded(&mut client).await, -1, "broker 2 may lead next");
    // Without broker 2 it is committed, and told although nothing is committed after it.
    node.controller.decide(Command::FenceBroker { broker_id: NodeId(2), broker_epoch });
    for _ in 0..ATTEMPTS {
        if fetch(&mut client).await == Ok(40) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the offset is not told: {:?}", fetch(&mut client).await);
}
