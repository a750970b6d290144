//! Consumer groups on this broker: one coordinator for each partition of `__consumer_offsets` that
//! this broker leads.
//!
//! Promises:
//! - a coordinator is loaded from its partition's log before it answers, and is bound to the leader
//!   epoch that it was loaded in: its appends are refused in any other;
//! - its records are appended in the order of its decisions and their ends are told in that order;
//! - when leadership goes, or the log has refused a deletion that was made in memory already, every
//!   parked request is answered NOT_COORDINATOR; in the latter case the log is read again;
//! - what it has appended in the same leadership and is not committed when the log is read again is
//!   told only once the high watermark has passed it;
//! - a batch whose CRC is wrong is not believed: the log is told, and the replica's repair lets another
//!   broker lead. The only copy is not served: a committed offset that is not the last one would have
//!   readers pass over records, or read them again;
//! - offsets of a topic that was deleted are never told, and removed.
//!
//! Does not: hold the protocol's rules; crate `coordinator` does.

mod loading;
mod manager;
mod shard;

pub use manager::{GroupManager, Unrouted, is_gone};
pub use shard::Shard;
