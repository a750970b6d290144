//! A decision in the making: the scratch image, and the records that made it.

use crate::{DecideContext, Image, Partition, Record, SplitMix};
use std::sync::Arc;
use types::{NodeId, TopicId, TopicIdPartition};

/// What the rules read from and write to. Invariant: `image` is the base image with `records`
/// applied.
pub(crate) struct Draft<'a> {
    image: Image,
    records: Vec<Record>,
    rng: SplitMix,
    pub context: &'a DecideContext<'a>,
}

impl<'a> Draft<'a> {
    pub fn new(image: &Image, context: &'a DecideContext<'a>) -> Draft<'a> {
        let rng = SplitMix::new(context.seed);
        Draft { image: image.clone(), records: Vec::new(), rng, context }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    pub fn rng(&mut self) -> &mut SplitMix {
        &mut self.rng
    }

    /// Writes a record; the rules that follow see it applied.
    pub fn push(&mut self, record: Record) {
        self.image.apply(&record);
        self.records.push(record);
    }

    pub fn push_partition(&mut self, partition: TopicIdPartition, state: Partition) {
        let TopicIdPartition { topic_id, partition } = partition;
        self.push(Record::Partition { topic_id, partition, state });
    }

    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Runs `rule` and throws away what it wrote.
    pub fn dry_run<T>(&mut self, rule: impl FnOnce(&mut Draft<'a>) -> T) -> T {
        let image = self.image.clone();
        let count = self.records.len();
        let result = rule(self);
        self.image = image;
        self.records.truncate(count);
        result
    }

    /// An id that no topic of the image has.
    pub fn new_topic_id(&mut self) -> TopicId {
        loop {
            let id = TopicId::from_random(self.rng.next_u128());
            if self.image.topic(id).is_none() {
                return id;
            }
        }
    }

    pub fn is_live(&self, broker: NodeId) -> bool {
        self.image.broker(broker).is_some_and(|broker| broker.is_live())
    }

    /// The partitions that satisfy the predicate, collected so that the draft may be written.
    pub fn partitions_where(
        &self,
        predicate: impl Fn(&Partition) -> bool,
    ) -> Vec<(TopicIdPartition, Arc<Partition>)> {
        let mut found = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in &topic.partitions {
                if predicate(partition) {
                    let id = TopicIdPartition { topic_id: topic.id, partition: *index };
                    found.push((id, partition.clone()));
                }
            }
        }
        found
    }

    pub fn into_records(self) -> Vec<Record> {
        self.records
    }
}
