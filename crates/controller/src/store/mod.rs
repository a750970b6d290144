//! The controller's files: the journal of Raft's log and vote, snapshots, and who this directory
//! belongs to. Nothing here knows openraft; entries are bytes with an index.
//!
//! Promises: what is reported as stored survives a power cut; a torn tail is cut at the start; a
//! damage of what had been synced is refused, never repaired silently.

pub mod applied;
pub mod frame;
pub mod identity;
pub mod journal;
#[cfg(test)]
mod journal_test;
pub mod pace;
pub mod recovery;
pub mod snapshot_files;
pub mod writer;
