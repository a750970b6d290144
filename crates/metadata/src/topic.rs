//! A topic and its partitions.

use crate::Partition;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{PartitionIndex, TopicId};

/// A topic. Its configuration is kept apart, by resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub id: TopicId,
    pub name: String,
    /// Numbered from 0 without gaps.
    pub partitions: BTreeMap<PartitionIndex, Arc<Partition>>,
}

impl Topic {
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(&index).map(Arc::as_ref)
    }

    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// The number of replicas of the first partition, as Kafka reports it; 0 without partitions.
    pub fn replication_factor(&self) -> i16 {
        let first = self.partitions.values().next();
        first.map_or(0, |partition| i16::try_from(partition.replicas.len()).unwrap_or(i16::MAX))
    }
}
