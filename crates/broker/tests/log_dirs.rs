//! A broker on a disk that is full or fails: what clients and the controller are told.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use env::Env;
use env::disk::MemDisk;
use records::{BatchBuilder, BatchOptions, NewRecord};
use std::sync::Arc;
use std::time::Duration;
use support::Node;
use support::kafka::Connection;
use types::ErrorCode;
use wire::Records;
use wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use wire::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResult};
use wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

const TWO: (&str, &str) = ("log.dirs", "/a/logs,/b/logs");

async fn node(disk: &MemDisk) -> Node {
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real() };
    Node::start_with(env, &[TWO]).await
}

async fn create(client: &mut Connection, name: &str, partitions: i32, durability: &str) {
    let config =
        CreatableTopicConfig { name: "ottla.durability".into(), value: Some(durability.into()) };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: vec![config],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

/// The error of one record for a partition, with acks=all.
async fn produce(client: &mut Connection, topic: &str, index: i32) -> i16 {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = Some(wire::Bytes::from(vec![b'v'; 100]));
    builder.push(&NewRecord { value, timestamp: types::Timestamp(1), ..Default::default() });
    let records = Some(Records::new(builder.build().bytes));
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 500,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index, records }],
            ..Default::default()
        }],
        ..Default::default()
    };
    client.call(9, &request).await.responses[0].partition_responses[0].error_code
}

async fn describe(client: &mut Connection) -> Vec<DescribeLogDirsResult> {
    client.call(4, &DescribeLogDirsRequest { topics: None }).await.results
}

/// Asks until a produce gives this error; nothing happens by the clock of the test.
async fn until(client: &mut Connection, topic: &str, index: i32, error: ErrorCode) {
    let asked = async {
        while produce(client, topic, index).await != i16::from(error) {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), asked).await;
    done.unwrap_or_else(|_| panic!("partition {index} of {topic} never answered {error:?}"));
}

#[tokio::test]
async fn directories_are_described_with_the_sizes_of_their_partitions() {
    let disk = MemDisk::new();
    let node = node(&disk).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 4, "replicated").await;
    assert_eq!(produce(&mut client, "t", 0).await, 0);
    let dirs = describe(&mut client).await;
    let paths: Vec<&str> = dirs.iter().map(|dir| &*dir.log_dir).collect();
    assert_eq!(paths, ["/a/logs", "/b/logs"]);
    let partitions: Vec<_> = dirs.iter().flat_map(|dir| &dir.topics[0].partitions).collect();
    assert_eq!(partitions.len(), 4);
    assert!(dirs.iter().all(|dir| dir.error_code == 0 && dir.topics[0].partitions.len() == 2));
    let sized = |index| partitions.iter().find(|p| p.partition_index == index).expect("held");
    assert!(sized(0).partition_size > 100 && sized(1).partition_size == 0);
}

#[tokio::test]
async fn a_failed_sync_takes_the_directory_and_nothing_else_offline() {
    let disk = MemDisk::new();
    let node = node(&disk).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 4, "synced").await;
    for index in 0..4 {
        assert_eq!(produce(&mut client, "t", index).await, 0);
    }
    let dirs = describe(&mut client).await;
    let held = |at: usize| -> Vec<i32> {
        dirs[at].topics[0].partitions.iter().map(|p| p.partition_index).collect()
    };
    let (lost, kept) = (held(0), held(1));
    disk.fail_syncs(Some("/a/logs/t-"));
    assert_ne!(produce(&mut client, "t", lost[0]).await, 0, "never acknowledged");
    disk.fail_syncs(None);
    // Not tried again: the directory is offline, with the partition beside the one that failed.
    for index in lost {
        until(&mut client, "t", index, ErrorCode::KafkaStorageError).await;
    }
    for index in kept {
        assert_eq!(produce(&mut client, "t", index).await, 0);
    }
    let dirs = describe(&mut client).await;
    assert_eq!(dirs[0].error_code, i16::from(ErrorCode::KafkaStorageError));
    assert!(dirs[0].topics.is_empty());
    assert_eq!(dirs[1].error_code, 0);
    // What is new goes where there is a directory.
    create(&mut client, "u", 2, "synced").await;
    until(&mut client, "u", 1, ErrorCode::None).await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_space_is_back() {
    let disk = MemDisk::new();
    let node = node(&disk).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1, "replicated").await;
    assert_eq!(produce(&mut client, "t", 0).await, 0);
    disk.set_capacity(Some(disk.used() + 90));
    for _ in 0..3 {
        let error = produce(&mut client, "t", 0).await;
        assert_eq!(error, i16::from(ErrorCode::KafkaStorageError));
    }
    disk.set_capacity(None);
    assert_eq!(produce(&mut client, "t", 0).await, 0);
    assert!(describe(&mut client).await.iter().all(|dir| dir.error_code == 0));
}
