//! What differs between two images: what a broker must react to. Parts that the images share are
//! not looked into, so the cost follows the size of the change, however many topics there are.

use crate::{ConfigResource, Image, Partition, Topic};
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{NodeId, PartitionIndex, TopicId, TopicIdPartition};

/// The differences from one image to a later one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ImageChanges {
    /// Brokers that came, went or changed.
    pub brokers: Vec<NodeId>,
    /// Topics that are new, in order of id.
    pub topics_created: Vec<Arc<Topic>>,
    /// Topics that are gone, as they were.
    pub topics_deleted: Vec<Arc<Topic>>,
    /// Partitions that came (with their topic, too), went or changed.
    pub partitions: Vec<PartitionChange>,
    /// Resources whose values changed.
    pub configs: Vec<ConfigResource>,
}

/// A partition before and after.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionChange {
    pub partition: TopicIdPartition,
    pub topic_name: String,
    /// `None`: it did not exist.
    pub before: Option<Arc<Partition>>,
    /// `None`: its topic was deleted.
    pub after: Option<Arc<Partition>>,
}

impl ImageChanges {
    /// Everything that is different in `after`.
    pub fn between(before: &Image, after: &Image) -> ImageChanges {
        let mut changes = ImageChanges {
            brokers: changed_brokers(before, after),
            topics_deleted: before.topics_gone_in(after).cloned().collect(),
            configs: changed_configs(before, after),
            ..ImageChanges::default()
        };
        for (_, old, new) in before.topic_differences(after) {
            let Some(new) = new else { continue };
            match old {
                Some(old) if Arc::ptr_eq(old, new) => {}
                Some(old) => changes.compare_topics(old, new),
                None => {
                    changes.topics_created.push(new.clone());
                    for (index, state) in &new.partitions {
                        changes.push(new, *index, None, Some(state.clone()));
                    }
                }
            }
        }
        for topic in changes.topics_deleted.clone() {
            for (index, state) in &topic.partitions {
                changes.push(&topic, *index, Some(state.clone()), None);
            }
        }
        changes
    }

    /// Whether the topic is among the deleted ones.
    pub fn is_deleted(&self, topic_id: TopicId) -> bool {
        self.topics_deleted.iter().any(|topic| topic.id == topic_id)
    }

    fn compare_topics(&mut self, before: &Arc<Topic>, after: &Arc<Topic>) {
        for (index, state) in &after.partitions {
            let old = before.partitions.get(index);
            if !old.is_some_and(|old| Arc::ptr_eq(old, state) || old == state) {
                self.push(after, *index, old.cloned(), Some(state.clone()));
            }
        }
    }

    fn push(
        &mut self,
        topic: &Topic,
        index: PartitionIndex,
        before: Option<Arc<Partition>>,
        after: Option<Arc<Partition>>,
    ) {
        self.partitions.push(PartitionChange {
            partition: TopicIdPartition { topic_id: topic.id, partition: index },
            topic_name: topic.name.clone(),
            before,
            after,
        });
    }
}

fn changed_brokers(before: &Image, after: &Image) -> Vec<NodeId> {
    let ids: BTreeSet<NodeId> =
        before.brokers().chain(after.brokers()).map(|broker| broker.id).collect();
    ids.into_iter().filter(|id| before.broker(*id) != after.broker(*id)).collect()
}

fn changed_configs(before: &Image, after: &Image) -> Vec<ConfigResource> {
    let found = before.config_differences(after).into_iter();
    let differ = found.filter(|(_, old, new)| old != new);
    differ.map(|(resource, _, _)| resource.clone()).collect()
}
