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
    metrics.topic("orders").produced(1000, 10);
    metrics.partition("orders", PartitionIndex(2)).high_watermark(Offset(7));
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
fn a_topic_that_is_gone_is_not_on_the_page() {
    let metrics = Metrics::new();
    metrics.topic("gone").produced(1, 1);
    metrics.partition("gone", PartitionIndex(0)).log_end(Offset(1));
    metrics.forget_partition("gone", PartitionIndex(0));
    metrics.forget_topic("gone");
    assert!(!metrics.render().contains("gone"));
}
