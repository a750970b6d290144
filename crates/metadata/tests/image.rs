//! The image's queries, and the differences between two images.

mod support;

use metadata::{ConfigResource, DecideContext, Image, ImageChanges, Record, decide_batch};
use support::language;
use support::rules::TestRules;
use types::{MetadataVersion, NodeId, PartitionIndex, TopicIdPartition};

/// Decides the lines as batches of one and applies them.
fn run(image: &mut Image, lines: &[&str]) {
    for line in lines {
        let command = language::parse(image, line);
        let context = DecideContext {
            seed: image.version().0,
            config_rules: &TestRules,
            num_partitions: 1,
            replication_factor: 1,
            unclean_leader_election: false,
        };
        let batch = decide_batch(image, &[command], &context);
        assert!(image.apply_batch(batch.based_on, &batch.records), "{line}");
    }
}

fn three_brokers() -> Image {
    let mut image = Image::default();
    run(&mut image, &["cluster test", "register 1", "register 2", "register 3"]);
    run(&mut image, &["unfence 1", "unfence 2", "unfence 3"]);
    image
}

#[test]
fn a_batch_decided_on_another_version_is_skipped_whole() {
    let mut image = three_brokers();
    let records = [Record::BrokerRemoved { broker_id: NodeId(1) }];
    let version = image.version();
    let before = image.clone();
    assert!(!image.apply_batch(MetadataVersion(version.0 - 1), &records));
    assert!(!image.apply_batch(MetadataVersion(version.0 + 1), &records));
    assert_eq!(image, before);
    assert!(image.apply_batch(version, &records));
    assert_eq!(image.version(), MetadataVersion(version.0 + 1));
    assert!(image.broker(NodeId(1)).is_none());
}

#[test]
fn a_clone_keeps_its_state_while_the_original_moves_on() {
    let mut image = three_brokers();
    run(&mut image, &["create t assign=1,2,3"]);
    let digest = image.digest();
    let old = image.clone();
    run(&mut image, &["fence 1", "config topic:t set:retention.ms=1", "delete t"]);
    assert_eq!(old.digest(), digest);
    assert_ne!(image.digest(), digest);
    assert_eq!(old.topic_by_name("t").map(|topic| topic.partition_count()), Some(1));
    assert!(image.topic_by_name("t").is_none());
    assert!(image.configs(&ConfigResource::Topic("t".to_owned())).is_empty());
}

#[test]
fn lookups_find_partitions_by_id_by_name_and_by_broker() {
    let mut image = three_brokers();
    run(&mut image, &["create b assign=1,2/2,3 + a assign=3,1"]);
    let topic = image.topic_by_name("b").unwrap();
    let id = TopicIdPartition { topic_id: topic.id, partition: PartitionIndex(1) };
    assert_eq!(image.partition(id).map(|state| state.leader), Some(NodeId(2)));
    assert_eq!(image.replicas_of(NodeId(1)).count(), 2);
    assert_eq!(image.leaders_of(NodeId(1)).count(), 1);
    let names: Vec<&str> = image.topics_by_name().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let names: Vec<&str> = image.topics_from("aa").map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn min_insync_replicas_is_the_topics_then_the_clusters_and_at_most_the_replicas() {
    let mut image = three_brokers();
    run(&mut image, &["create t assign=1,2"]);
    let effective = |image: &Image, default| {
        image.min_insync_replicas(image.topic_by_name("t").unwrap(), default)
    };
    assert_eq!(effective(&image, 1), 1);
    assert_eq!(effective(&image, 3), 2);
    run(&mut image, &["config cluster set:min.insync.replicas=2"]);
    assert_eq!(effective(&image, 1), 2);
    run(&mut image, &["config topic:t set:min.insync.replicas=1"]);
    assert_eq!(effective(&image, 2), 1);
}

#[test]
fn changes_name_what_came_went_and_moved_and_nothing_else() {
    let mut image = three_brokers();
    run(&mut image, &["create kept assign=1,3/3,1 + moved assign=2,1 + gone assign=3"]);
    run(&mut image, &["create kept2 assign=3,1"]);
    assert_eq!(ImageChanges::between(&image, &image.clone()), ImageChanges::default());

    let before = image.clone();
    run(&mut image, &["delete gone", "create new assign=3", "shutdown 2"]);
    run(&mut image, &["config topic:kept set:retention.ms=1"]);
    let changes = ImageChanges::between(&before, &image);
    assert_eq!(changes.brokers, [NodeId(2)]);
    assert_eq!(changes.configs, [ConfigResource::Topic("kept".to_owned())]);
    let names = |topics: &[std::sync::Arc<metadata::Topic>]| -> Vec<String> {
        topics.iter().map(|topic| topic.name.clone()).collect()
    };
    assert_eq!(names(&changes.topics_created), ["new"]);
    assert_eq!(names(&changes.topics_deleted), ["gone"]);
    assert!(changes.is_deleted(before.topic_id("gone").unwrap()));
    let mut partitions: Vec<(String, bool, bool)> = changes
        .partitions
        .iter()
        .map(|change| (change.topic_name.clone(), change.before.is_some(), change.after.is_some()))
        .collect();
    partitions.sort();
    assert_eq!(
        partitions,
        [
            ("gone".to_owned(), true, false),
            ("moved".to_owned(), true, true),
            ("new".to_owned(), false, true),
        ]
    );
}
