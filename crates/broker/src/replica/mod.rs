//! The partitions of this broker: their logs, their leader and follower machines, and the streams
//! between brokers.
//!
//! ```text
//! produce -> Partition::append -> log, Leader machine -> effects: wake fetches, tell sessions
//! session (leader side)  == chunks ==>  fetcher (follower side) -> Follower machine -> log
//! fetcher == positions ==> session -> Leader machine -> high watermark -> parked produce replies
//! ```
//!
//! Promises: see [`Partition`] for locks and [`ReplicaManager`] for what happens to files. Only
//! these streams move replica state; nothing that arrives on a client listener does.

mod cleaner;
mod early;
mod failures;
mod fetcher;
mod following;
mod gray;
mod isr;
mod leading;
mod lookups;
mod lost;
mod manager;
mod partition;
mod partition_map;
mod quarantine;
mod refused;
mod roles;
mod rooms;
mod scrubber;
mod service;
mod session;
mod settings;
mod stall;
mod upkeep;
mod waits;

pub use leading::AppendTicket;
pub use lookups::FoundOffset;
pub use manager::ReplicaManager;
pub use partition::{ConsumerRead, Leadership, Partition, PartitionView, PlannedRead};
pub use rooms::blocking_threads_max;
pub use settings::topic_config;
pub use waits::FetchWait;
