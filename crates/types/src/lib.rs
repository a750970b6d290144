//! The words of Ottla: ids, offsets, epochs, times and Kafka's error codes.
//!
//! Promises: every id, offset, epoch and duration that could be swapped for another is a type of
//! its own; nothing here does I/O or knows any other crate.
//! Does not: parse protocols or hold rules.

mod error_code;
mod host_port;
mod ids;
mod limits;
mod time;
mod uuid;

pub use error_code::ErrorCode;
pub use host_port::{host_port, split_host_port};
pub use ids::*;
pub use limits::*;
pub use time::{Monotonic, Timestamp};
pub use uuid::Uuid;

/// A topic's id: random, never reused, never zero for a real topic (KIP-516).
pub type TopicId = Uuid;
/// A log directory's id, from `meta.properties` (KIP-858).
pub type DirectoryId = Uuid;
/// One start of a broker process (Kafka's incarnation id).
pub type IncarnationId = Uuid;
