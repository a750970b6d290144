//! What a broker keeps of a topic that was deleted: nothing.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use env::disk::MemDisk;
use env::{Disk, Env};
use metadata::{Command, CreateTopics, NewTopic, TopicSelector};
use records::{BatchBuilder, BatchOptions, NewRecord};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::Node;
use support::kafka::Connection;
use types::MetadataVersion;
use wire::Records;
use wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

const TOPIC: &str = "orders";

async fn node(disk: &MemDisk) -> Node {
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real() };
    Node::start_with(env, &[("log.dirs", "/a/logs")]).await
}

fn made() -> Command {
    let topics = vec![NewTopic::placed(TOPIC, 3, 1)];
    Command::CreateTopics(CreateTopics { topics, validate_only: false })
}

fn deleted() -> Command {
    Command::DeleteTopics { topics: vec![TopicSelector::Name(TOPIC.to_owned())] }
}

/// Commits commands as one batch, and waits until the broker has followed it.
async fn commit(node: &Node, commands: &[Command]) {
    let (_, version) = node.controller.decide_all(commands);
    let image = &node.broker.context().image;
    assert!(image.wait_for(MetadataVersion(version), Duration::from_secs(20)).await);
}

/// The error of one record for each partition.
async fn produce(client: &mut Connection) -> Vec<i16> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = Some(wire::Bytes::from(vec![b'v'; 100]));
    builder.push(&NewRecord { value, timestamp: types::Timestamp(1), ..Default::default() });
    let records = builder.build().bytes;
    let data = |index| PartitionProduceData { index, records: Some(Records::new(records.clone())) };
    let topic = TopicProduceData {
        name: TOPIC.into(),
        partition_data: (0..3).map(data).collect(),
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![topic],
        ..Default::default()
    };
    let response = client.call(9, &request).await;
    response.responses[0].partition_responses.iter().map(|answer| answer.error_code).collect()
}

/// Looks until it is so: whoever walks over the partitions just now may hold one a moment longer.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looked = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), looked).await;
    done.unwrap_or_else(|_| panic!("never came true: {what}"));
}

fn directories(disk: &MemDisk) -> Vec<String> {
    let entries = disk.list(Path::new("/a/logs")).expect("the log directory");
    entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()
}

#[tokio::test]
async fn a_deleted_topic_leaves_neither_metrics_nor_directories() {
    let disk = MemDisk::new();
    let node = node(&disk).await;
    let mut client = node.connect().await;
    commit(&node, &[made()]).await;
    assert_eq!(produce(&mut client).await, [0; 3]);
    assert!(node.metrics.render().contains(TOPIC) && !directories(&disk).is_empty());
    commit(&node, &[deleted()]).await;
    until("no metric of the topic", || !node.metrics.render().contains(TOPIC)).await;
    until("no directory of the topic", || directories(&disk).is_empty()).await;
}

#[tokio::test]
async fn a_topic_deleted_and_made_again_in_one_step_leaves_no_stray_and_has_metrics() {
    let disk = MemDisk::new();
    let node = node(&disk).await;
    let mut client = node.connect().await;
    commit(&node, &[made()]).await;
    assert_eq!(produce(&mut client).await, [0; 3]);
    commit(&node, &[deleted(), made()]).await;
    assert_eq!(produce(&mut client).await, [0; 3]);
    until("three directories", || directories(&disk).len() == 3).await;
    let names = directories(&disk);
    assert!(names.iter().all(|name| !name.ends_with("-stray")), "{names:?}");
    let context = node.broker.context();
    for partition in context.replicas.partitions() {
        assert_eq!(partition.view().end_offset, types::Offset(1), "a new log");
    }
    let line = format!("ottla_partition_log_end_offset{{topic=\"{TOPIC}\",partition=\"2\"}} 1");
    let page = node.metrics.render();
    assert!(page.lines().any(|found| found == line), "{page}");
}
