//! What must hold of every image and of every step from one to the next.

use metadata::{Image, ImageChanges, Partition, Record};
use types::NodeId;

/// Checks an image on its own.
pub fn check_image(image: &Image) {
    for (id, state) in image.partitions() {
        check_partition(image, &format!("{id}"), state);
    }
    for topic in image.topics() {
        let numbers: Vec<i32> = topic.partitions.keys().map(|index| index.0).collect();
        let wanted: Vec<i32> = (0..topic.partition_count()).collect();
        assert_eq!(numbers, wanted, "{}: partitions are numbered without gaps", topic.name);
        assert_eq!(image.topic_id(&topic.name), Some(topic.id), "found by name");
    }
    let records = image.to_records();
    let rebuilt = Image::from_records(image.version(), &records);
    assert_eq!(&rebuilt, image, "a snapshot makes the image again");
    assert_eq!(rebuilt.digest(), image.digest());
}

fn check_partition(image: &Image, id: &str, state: &Partition) {
    let Partition { replicas, isr, leader, .. } = state;
    assert!(!replicas.is_empty(), "{id} has replicas");
    let is_given_up = *leader == NodeId::NONE && state.elr.is_empty() && replicas.len() > 1;
    assert!(!isr.is_empty() || is_given_up, "{id} has an isr: {state:?}");
    for list in [replicas, isr, &state.elr, &state.last_known_elr] {
        let mut sorted = list.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), list.len(), "{id} names nobody twice: {state:?}");
    }
    assert!(isr.iter().all(|member| replicas.contains(member)), "{id}: isr in replicas: {state:?}");
    let is_live = |id: NodeId| image.broker(id).is_some_and(|broker| broker.is_live());
    if *leader != NodeId::NONE {
        assert!(isr.contains(leader), "{id}: the leader is in the isr: {state:?}");
        assert!(is_live(*leader), "{id}: the leader is live: {state:?}");
    }
    for member in isr {
        let last = isr.len() == 1;
        assert!(last || is_live(*member), "{id}: {member} is live or the last: {state:?}");
    }
    let is_disjoint = !state.elr.iter().any(|member| isr.contains(member));
    let is_part = state.elr.iter().all(|member| replicas.contains(member));
    assert!(is_part && is_disjoint, "{id}: others are eligible: {state:?}");
    let is_former = state
        .last_known_elr
        .iter()
        .all(|member| replicas.contains(member) && !state.elr.contains(member) && member != leader);
    assert!(is_former, "{id}: those last known hold no office: {state:?}");
    let somebody = isr.iter().chain(&state.elr).any(|member| is_live(*member));
    assert!(!somebody || *leader != NodeId::NONE, "{id}: a live isr has a leader: {state:?}");
}

/// Checks the step from one image to a later one.
pub fn check_step(before: &Image, after: &Image, records: &[Record]) {
    assert!(after.version() >= before.version(), "versions rise");
    assert!(after.last_broker_epoch() >= before.last_broker_epoch(), "broker epochs rise");
    assert!(after.next_producer_id() >= before.next_producer_id(), "producer ids rise");
    for change in ImageChanges::between(before, after).partitions {
        let (Some(old), Some(new)) = (&change.before, &change.after) else { continue };
        let id = change.partition;
        let elections = new.leader_epoch.0 - old.leader_epoch.0;
        assert!(elections >= 0, "{id}: leader epochs rise");
        assert!(new.partition_epoch > old.partition_epoch, "{id}: every change raises its epoch");
        if old.leader != new.leader {
            assert!(elections > 0, "{id}: a new leader has a new epoch");
        }
    }
    for record in records {
        let bytes = record.to_bytes();
        assert_eq!(&Record::from_bytes(bytes).unwrap(), record, "records survive their encoding");
    }
}
