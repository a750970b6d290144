//! DescribeTopicPartitions: topics with their partitions, in pages.
//!
//! A page holds at most the client's `response_partition_limit` of partitions, and never more than
//! `max.request.partition.size.limit`; where more are left, the cursor says where to go on.

use super::RequestContext;
use super::topics::{self, PartitionView};
use metadata::{Image, Topic, check_topic_name};
use std::collections::BTreeSet;
use types::{ErrorCode, PartitionIndex, is_internal_topic};
use wire::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let limit_max = ctx.broker.config.requests.max_request_partitions as usize;
    let asked = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let image = ctx.broker.image.load();
    let mut page = Page {
        image: &image,
        listener: &ctx.listener,
        room: asked.clamp(1, limit_max.max(1)),
        topics: Vec::new(),
        next: None,
    };
    page.fill(&request);
    DescribeTopicPartitionsResponse {
        topics: page.topics,
        next_cursor: page.next,
        ..Default::default()
    }
}

/// A page that is being filled.
struct Page<'a> {
    image: &'a Image,
    listener: &'a str,
    /// Partitions that still fit.
    room: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    fn fill(&mut self, request: &DescribeTopicPartitionsRequest) {
        let from = request.cursor.as_ref();
        let from_name = from.map_or("", |cursor| &*cursor.topic_name);
        if request.topics.is_empty() {
            for topic in self.image.topics_from(from_name) {
                if !self.add(&topic.name, Some(topic), from) {
                    return;
                }
            }
            return;
        }
        let names: BTreeSet<&str> = request.topics.iter().map(|topic| &*topic.name).collect();
        for name in names.range(from_name..) {
            if !self.add(name, self.image.topic_by_name(name).map(|topic| &**topic), from) {
                return;
            }
        }
    }

    /// Adds a topic from the cursor on; false when the page is full.
    fn add(&mut self, name: &str, topic: Option<&Topic>, from: Option<&Cursor>) -> bool {
        let here = from.filter(|cursor| *cursor.topic_name == *name);
        let first = here.map_or(0, |cursor| cursor.partition_index.max(0));
        if self.room == 0 {
            self.next = Some(Cursor { topic_name: name.into(), partition_index: first });
            return false;
        }
        let Some(topic) = topic else {
            self.topics.push(missing(name));
            return true;
        };
        let rest = topic.partitions.range(PartitionIndex(first)..);
        let mut partitions = Vec::new();
        for (index, partition) in rest {
            if self.room == 0 {
                self.next = Some(Cursor { topic_name: name.into(), partition_index: index.0 });
                break;
            }
            self.room -= 1;
            partitions.push(self.partition(*index, partition));
        }
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: 0,
            name: Some(name.into()),
            topic_id: topic.id,
            is_internal: is_internal_topic(name),
            partitions,
            topic_authorized_operations: topics::TOPIC_OPERATIONS,
        });
        self.next.is_none()
    }

    fn partition(
        &self,
        index: PartitionIndex,
        partition: &metadata::Partition,
    ) -> DescribeTopicPartitionsResponsePartition {
        let view = PartitionView::new(self.image, partition, self.listener);
        DescribeTopicPartitionsResponsePartition {
            error_code: view.error_code(),
            partition_index: index.0,
            leader_id: view.leader.0,
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: topics::ids(&partition.replicas),
            isr_nodes: topics::ids(partition.known_isr()),
            eligible_leader_replicas: Some(topics::ids(&partition.elr)),
            last_known_elr: Some(topics::ids(&partition.last_known_elr)),
            offline_replicas: view.offline,
        }
    }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match check_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.into(),
        name: Some(name.into()),
        is_internal: is_internal_topic(name),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{Partition, Record};
    use types::{MetadataVersion, NodeId};
    use wire::describe_topic_partitions::TopicRequest;

    /// Topics a and b with three partitions each.
    fn image() -> Image {
        let mut records = Vec::new();
        for (number, name) in [(1, "a"), (2, "b")] {
            let topic_id = types::Uuid([number; 16]);
            records.push(Record::Topic { topic_id, name: name.to_owned() });
            for partition in 0..3 {
                let state = Partition::new(vec![NodeId(1)], vec![NodeId(1)]);
                let partition = PartitionIndex(partition);
                records.push(Record::Partition { topic_id, partition, state });
            }
        }
        Image::from_records(MetadataVersion(1), &records)
    }

    /// Asks page after page and writes each down as `topic:partitions`.
    fn pages(names: &[&str], room: usize) -> Vec<String> {
        let image = image();
        let mut cursor = None;
        let mut pages = Vec::new();
        loop {
            let topics = names.iter().map(|name| TopicRequest { name: (*name).into() });
            let request = DescribeTopicPartitionsRequest {
                topics: topics.collect(),
                cursor,
                ..Default::default()
            };
            let mut page =
                Page { image: &image, listener: "PLAINTEXT", room, topics: Vec::new(), next: None };
            page.fill(&request);
            let topics = page.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|p| p.partition_index.to_string());
                let name = topic.name.as_deref().unwrap_or_default();
                format!("{name}:{}", partitions.collect::<Vec<_>>().join(","))
            });
            pages.push(topics.collect::<Vec<_>>().join(" "));
            cursor = page.next;
            if cursor.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_together_hold_every_partition_once() {
        assert_eq!(pages(&[], 100), ["a:0,1,2 b:0,1,2"]);
        assert_eq!(pages(&[], 4), ["a:0,1,2 b:0", "b:1,2"]);
        assert_eq!(pages(&[], 3), ["a:0,1,2", "b:0,1,2"]);
        assert_eq!(pages(&["b"], 2), ["b:0,1", "b:2"]);
    }

    #[test]
    fn a_topic_that_is_not_there_has_its_place_in_the_page() {
        assert_eq!(pages(&["b", "aa", "a"], 100), ["a:0,1,2 aa: b:0,1,2"]);
    }
}
