//! Consumer groups on this broker: one coordinator for each partition of `__consumer_offsets` that
//! this broker leads.
//!
//! Promises:
//! - a coordinator is loaded from its partition's log before it answers, and is bound to the leader
//!   epoch that it was loaded in: its appends are refused in any other;
//! - its records are appended in the order of its decisions and their ends are told in that order;
//! - when leadership goes every parked request is answered NOT_COORDINATOR.
//!
//! Does not: hold the protocol's rules; crate `coordinator` does.

mod loading;
mod manager;
mod shard;

pub use manager::{GroupManager, Unrouted};
pub use shard::Shard;
