//! The checker: records what many clients saw of a cluster, and judges it.
//!
//! Promises:
//! - Recording speaks only the Kafka protocol (through `client`), so it works against any
//!   Kafka-compatible cluster, and needs a bounded amount of memory however long it runs.
//! - Judging is pure: the same history gives the same report, without a clock or a cluster.
//! - An operation without a clear answer may have taken effect or not, at any time after it began;
//!   no verdict rests on either. What is reported as a violation has no innocent explanation.
//! - Each invariant is one file in `invariants`, with tests that feed it each anomaly it is for.
//! - A history that proves nothing (nothing acknowledged, nothing read back) is void, not passed.
//!
//! Does not: inject faults (a history may tell of them), or look into a node's files.
//!
//! Units: times in microseconds of one clock, the recorder's; offsets are inclusive unless named
//! `end`.

pub mod history;
pub mod record;

mod checker;
mod facts;
mod findings;
mod invariants;
mod report;
mod stalls;
mod value;

#[cfg(test)]
mod testing;

pub use checker::{CheckOptions, Checker, check_file};
pub use findings::{Count, Rule, Weight};
pub use invariants::rules;
pub use report::{InvariantReport, Report, Stalls, Verdict};
