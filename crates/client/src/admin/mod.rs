//! Administration: what the tools do. Each call answers per item, so that one refused topic does
//! not hide another's success; an `Err` of the whole call means that no answer came.

mod cluster;
mod configs;
mod elections;
mod groups;
mod offsets;
mod topics;

pub use cluster::{ClusterDescription, QuorumDescription, QuorumReplica};
pub use configs::{
    ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigResourceKind, ConfigSynonym,
};
pub use elections::ElectionType;
pub use groups::{CommittedOffset, DescribedGroup, GroupMemberDescription, ListedGroup};
pub use offsets::{FoundOffset, OffsetSpec};
pub(crate) use topics::millis;
pub use topics::{
    CreatedTopic, DescribedPartition, DescribedTopic, NewPartitions, NewTopic, Reassignment,
    TopicName,
};
