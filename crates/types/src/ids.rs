//! Ids, offsets and epochs. Each is a number of its own kind, so that two cannot be swapped.

use crate::Uuid;
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// `node.id`: a broker's or controller's number. Negative only for "none" (-1).
    NodeId(i32)
);
number!(
    /// A partition's number inside its topic, from 0.
    PartitionIndex(i32)
);
number!(
    /// A position in a partition's log, counted in records from 0.
    Offset(i64)
);
number!(
    /// Raised at every election of a partition's leader. -1: none.
    LeaderEpoch(i32)
);
number!(
    /// Raised at every change of a partition's record (compare and set for ISR changes).
    PartitionEpoch(i32)
);
number!(
    /// A broker registration's number: the metadata offset of its record. -1: none.
    BrokerEpoch(i64)
);
number!(
    /// A position in the cluster's metadata: the number of record batches applied so far.
    MetadataVersion(u64)
);
number!(
    /// An idempotent producer's id. -1: none.
    ProducerId(i64)
);
number!(
    /// An idempotent producer's epoch. -1: none.
    ProducerEpoch(i16)
);

impl NodeId {
    pub const NONE: NodeId = NodeId(-1);
}

impl Offset {
    pub const ZERO: Offset = Offset(0);
    /// "Unknown" in Kafka's protocol.
    pub const NONE: Offset = Offset(-1);

    /// The offset `count` records later.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl LeaderEpoch {
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl BrokerEpoch {
    pub const NONE: BrokerEpoch = BrokerEpoch(-1);
}

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);
}

/// One partition, by its topic's id. This, not the name, is the key inside the cluster: a topic
/// deleted and made again under its old name is another topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIdPartition {
    pub topic_id: Uuid,
    pub partition: PartitionIndex,
}

impl fmt::Debug for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One partition, by its topic's name: how clients and directory names speak of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: PartitionIndex,
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A leader epoch and the offset at which it ends (exclusive) or starts, as the context says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochOffset {
    pub epoch: LeaderEpoch,
    pub offset: Offset,
}
