//! Bounds that several crates share. A bound with one user lives beside its user.

/// Longest topic name, in bytes (Kafka's rule; a partition's directory name must fit a file name).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Most partitions that one request may create (Kafka's rule, else POLICY_VIOLATION).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;
/// Largest metadata string on an offset commit, in bytes, by default (`offset.metadata.max.bytes`).
pub const OFFSET_METADATA_BYTES_MAX: usize = 4096;

/// The topic that holds committed offsets and group state.
pub const CONSUMER_OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The topic that holds transaction state.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// Whether a topic is one of the broker's own, which clients may not write to.
pub fn is_internal_topic(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS_TOPIC | TRANSACTION_STATE_TOPIC | "__share_group_state")
}
