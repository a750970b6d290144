//! What a node shows of itself: metrics and logs.
//!
//! Promises:
//! - One place per metric: its name (unit last), help and labels stand in [`Metrics`]'s groups, and
//!   callers pass typed values.
//! - Counting takes no lock: callers keep handles ([`ApiMetrics`], [`TopicMetrics`],
//!   [`PartitionMetrics`]) whose cells are atomics. Getting a handle takes a short lock.
//! - Label values are bounded by what exists: APIs, error codes, topics, partitions, listeners; a
//!   topic or partition is forgotten with the last handle of it.
//!
//! Does not: serve HTTP, read clocks, or know who calls.

mod api;
mod compaction;
mod histogram;
mod logging;
mod metrics;
mod node;
mod topics;

pub use api::ApiMetrics;
pub use histogram::TimeHistogram;
pub use logging::{LogError, LogFormat, init_logging};
pub use metrics::Metrics;
pub use node::{ElectionKind, RefusedConnection};
pub use topics::{PartitionMetrics, TopicMetrics};
