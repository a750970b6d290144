//! Compaction: of each key the newest record stays.
//!
//! Promises: offsets and order hold, and nobody who reads notices more than records that are gone;
//! a run that is stopped, or a process that dies, at any moment leaves a whole log; a damaged
//! segment is reported and left as it is. Memory is bounded by the options, and by the largest batch.
//! Does not: know the clock, threads or which log comes next: see [`crate::LogManager`].
//!
//! - [`plan`] says what is due, [`offset_map`] holds the newest offset of each key, [`filter`] says
//!   what stays of a batch ([`transactions`] helps it), and [`run`] does it all to one log.
//! - The log's side, and how a new segment takes its place, are in `partition/swap.rs`.

mod filter;
mod offset_map;
pub(crate) mod plan;
mod reader;
mod run;
mod transactions;

pub(crate) use filter::LastBatch;
pub use plan::Assessment;
pub(crate) use run::CleaningJob;
pub use run::{CompactError, CompactOptions, CompactReport, Pace, compact};
