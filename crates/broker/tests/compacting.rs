//! Compaction whose settings change while the broker runs.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use records::{BatchBuilder, BatchOptions, NewRecord};
use std::time::Duration;
use support::Node;
use support::kafka::Connection;
use wire::Records;
use wire::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

async fn create_compacted(client: &mut Connection) {
    let config = |name: &str, value: &str| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
    };
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![
            config("cleanup.policy", "compact"),
            config("min.cleanable.dirty.ratio", "0"),
            config("segment.ms", "1"),
        ],
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

/// A batch of one key, in a segment of its own: each is dated a second after the one before it.
async fn produce(client: &mut Connection, second: i64) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(&NewRecord {
        timestamp: types::Timestamp(second * 1000),
        key: Some("k".into()),
        value: Some(vec![b'v'; 1000].into()),
        ..Default::default()
    });
    let records = Some(Records::new(builder.build().bytes));
    let partition_data = vec![PartitionProduceData { index: 0, records }];
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: "t".into(),
            partition_data,
            ..Default::default()
        }],
        ..Default::default()
    };
    let response = client.call(9, &request).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// Of one broker, or of all where the name is empty.
async fn set(client: &mut Connection, broker: &str, name: &str, value: &str) {
    let config =
        AlterableConfig { name: name.into(), config_operation: 0, value: Some(value.into()) };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: broker.into(),
        configs: vec![config],
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response = client.call(1, &request).await;
    let told = &response.responses[0];
    assert_eq!(told.error_code, 0, "{:?}", told.error_message);
}

fn metric(node: &Node, name: &str) -> f64 {
    let page = node.metrics.render();
    let line = page.lines().find(|line| line.starts_with(&format!("ottla_{name}_total ")));
    let value = line.and_then(|line| line.split(' ').nth(1)?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {page}"))
}

async fn above(node: &Node, name: &str, bound: f64) {
    let wait = async {
        while metric(node, name) <= bound {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "{name} stays at {}", metric(node, name));
}

/// By the settings of its start this node would compact nothing for as long as the test runs: it has
/// no thread, a thread would rest for an hour, and a run would write a byte a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_compaction_runs_changes_while_the_broker_does() {
    let node = Node::start(&[
        ("log.cleaner.threads", "0"),
        ("log.cleaner.backoff.ms", "3600000"),
        ("log.cleaner.io.max.bytes.per.second", "1"),
    ])
    .await;
    let mut client = node.connect().await;
    create_compacted(&mut client).await;
    for second in 1..20 {
        produce(&mut client, second).await;
    }
    set(&mut client, "", "log.cleaner.threads", "2").await;
    set(&mut client, "1", "log.cleaner.backoff.ms", "10").await;
    // It has begun, and waits until it may go on.
    above(&node, "compaction_io_bytes", 0.0).await;
    assert_eq!(metric(&node, "compaction_runs"), 0.0);
    // Other threads with other memory: the run ends and another begins.
    let before = metric(&node, "compaction_io_bytes");
    set(&mut client, "", "log.cleaner.dedupe.buffer.size", "1000000").await;
    above(&node, "compaction_io_bytes", before).await;
    assert_eq!(metric(&node, "compaction_runs"), 0.0);
    set(&mut client, "", "log.cleaner.io.max.bytes.per.second", "1e9").await;
    above(&node, "compaction_runs", 0.0).await;
    assert!(metric(&node, "compaction_records_kept") < metric(&node, "compaction_records_read"));
}
