//! The page that Prometheus reads.

use std::time::Duration;
use telemetry::{ElectionKind, Metrics};
use types::{ErrorCode, MetadataVersion, Offset, PartitionIndex};

#[test]
fn what_was_counted_is_on_the_page_under_its_name() {
    let metrics = Metrics::new();
    let produce = metrics.api("Produce");
    produce.answered(Duration::from_micros(300), 100, 40);
    produce.answered(Duration::from_millis(40), 100, 40);
    produce.error(ErrorCode::NotLeaderOrFollower);
    let orders = metrics.topic("orders");
    orders.produced(1000, 10);
    let second = metrics.partition("orders", PartitionIndex(2));
    second.high_watermark(Offset(7));
    metrics.connection_opened("PLAINTEXT");
    metrics.active_controller(true);
    metrics.metadata_version(MetadataVersion(42));
    metrics.leader_elected(ElectionKind::Clean);
    let page = metrics.render();
    for line in [
        "ottla_requests_total{api=\"Produce\"} 2",
        "ottla_request_time_seconds_bucket{le=\"0.0005\",api=\"Produce\"} 1",
        "ottla_request_time_seconds_bucket{le=\"+Inf\",api=\"Produce\"} 2",
        "ottla_request_bytes_total{api=\"Produce\"} 200",
        "ottla_request_errors_total{api=\"Produce\",error=\"NOT_LEADER_OR_FOLLOWER\"} 1",
        "ottla_topic_in_bytes_total{topic=\"orders\"} 1000",
        "ottla_partition_high_watermark_offset{topic=\"orders\",partition=\"2\"} 7",
        "ottla_connections{listener=\"PLAINTEXT\"} 1",
        "ottla_active_controller 1",
        "ottla_metadata_version 42",
        "ottla_leader_elections_total{kind=\"Clean\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no line {line} in\n{page}");
    }
}

#[test]
fn a_topic_is_on_the_page_until_its_last_handle_is_gone() {
    let metrics = Metrics::new();
    let partitions = [0, 1].map(|index| {
        let topic = metrics.topic("orders");
        topic.produced(10, 1);
        let partition = metrics.partition("orders", PartitionIndex(index));
        partition.log_end(Offset(1));
        (topic, partition)
    });
    let has = |line: &str| metrics.render().lines().any(|found| found == line);
    assert!(has("ottla_topic_in_bytes_total{topic=\"orders\"} 20"), "{}", metrics.render());
    let [first, second] = partitions;
    drop(first);
    assert!(has("ottla_topic_in_bytes_total{topic=\"orders\"} 20"), "the other one is there");
    assert!(!has("ottla_partition_log_end_offset{topic=\"orders\",partition=\"0\"} 1"));
    assert!(has("ottla_partition_log_end_offset{topic=\"orders\",partition=\"1\"} 1"));
    drop(second);
    assert!(!metrics.render().contains("orders"));
}

#[test]
fn a_topic_that_was_made_again_keeps_its_metrics_when_the_old_handles_go() {
    let metrics = Metrics::new();
    let old = (metrics.topic("orders"), metrics.partition("orders", PartitionIndex(0)));
    let new = (metrics.topic("orders"), metrics.partition("orders", PartitionIndex(0)));
    drop(old);
    new.0.produced(10, 1);
    new.1.log_end(Offset(1));
    let page = metrics.render();
    assert!(page.contains("ottla_topic_in_bytes_total{topic=\"orders\"} 10"), "{page}");
    assert!(page.contains("ottla_partition_log_end_offset{topic=\"orders\",partition=\"0\"} 1"));
}
