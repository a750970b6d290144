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
mod member;
mod offsets;
mod records;
mod requests;

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
    let hash = group_id
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partition_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_where_java_puts_it() {
        // "abc".hashCode() is 96354, "console-consumer-1" is -553434153 in Java.
        assert_eq!(partition_for("abc", 50), 96354 % 50);
        assert_eq!(partition_for("", 50), 0);
    }
}
