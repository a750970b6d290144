//! Consumer groups and their offsets, as pure rules over the coordinator's own log.
//!
//! Promises: no clock, no I/O, no randomness; every call gets `now` and gives back effects. A reply
//! that rests on a record goes out only when that record is committed. The state is rebuilt by
//! applying the records of one `__consumer_offsets` partition in order.
//! Does not: know sockets, the broker or the replicated log; it says what to append and to answer.
//!
//! The classic group protocol is `org.apache.kafka.coordinator.group.GroupMetadataManager`'s.

mod coordinator;
mod group;
mod java;
mod member;
mod offsets;
mod records;
mod requests;
mod subscription;

pub use coordinator::{Coordinator, CoordinatorConfig, Effect, Reply, Token};
pub use group::{Group, GroupState};
pub use member::{Member, Protocol};
pub use offsets::{CommittedOffset, OffsetCommit, OffsetCommitItem, OffsetResult};
pub use records::{GroupRecord, GroupSnapshot, MemberSnapshot, RecordError};
pub use requests::{
    GroupDescription, GroupListing, JoinReply, JoinRequest, LeaveItem, LeaveRequest,
    MemberDescription, SyncReply, SyncRequest,
};

/// The partition of `__consumer_offsets` that keeps a group: Java's string hash, made positive as
/// Kafka does, modulo the partition count.
pub fn partition_for(group_id: &str, partition_count: i32) -> i32 {
    assert!(partition_count > 0, "partition count must be positive, is {partition_count}");
    let hash = java::string_hash(group_id);
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_where_java_puts_it() {
        // As seen of Apache Kafka 4.4.0.
        let seen = [("orders", 31), ("my-group", 12), ("console-consumer-1", 24), ("", 0)];
        for (group_id, partition) in seen {
            assert_eq!(partition_for(group_id, 50), partition, "{group_id:?}");
        }
    }
}
