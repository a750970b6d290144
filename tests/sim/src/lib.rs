//! The rules of a whole cluster under a seeded scheduler: the real metadata rules and the real
//! replication machines, over model logs, a model network and one logical controller, in virtual
//! time.
//!
//! Promises:
//! - the same seed gives the same trace, event for event;
//! - every invariant of [`invariants`] is checked after every event that could break it;
//! - a run ends with everything repaired, and then demands that the cluster comes together;
//! - [`mutant`] lists mistakes that some seed finds.
//!
//! Does not: run shells, openraft, gRPC or files. A controller's fail-over is a pause, its commits
//! are atomic. Time is in microseconds, settings are in milliseconds.
//!
//! `cargo run -p ottla-sim -- --seed N` prints one run; `--seeds A..B` runs many.

mod client;
mod config;
mod context;
mod controller;
mod counters;
mod event;
mod faults;
mod hunt;
pub mod invariants;
mod model_log;
pub mod mutant;
mod network;
mod node;
mod rng;
mod trace;
mod world;

pub use config::SimConfig;
pub use counters::Counters;
pub use faults::Fault;
pub use hunt::{Kill, hunt, mutant_table};
pub use mutant::Mutation;
pub use world::{Outcome, World};

/// Runs one seed.
pub fn run_seed(seed: u64, mutation: Option<Mutation>, keeps_trace: bool) -> Outcome {
    World::run(SimConfig::from_seed(seed, mutation), keeps_trace)
}

/// Runs a seed as the first simulator did, with fewer sizes and faults.
pub fn run_narrow_seed(seed: u64, keeps_trace: bool) -> Outcome {
    World::run(SimConfig::narrow(seed, None), keeps_trace)
}
