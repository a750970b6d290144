//! A whole cluster in one process, on one thread, from one seed: the real controllers, brokers,
//! gRPC, Kafka protocol, log and client on a simulated network, disk and clock.
//!
//! Promises: the same seed gives the same run, whose trace is a hash of every byte that was
//! delivered and when; whatever the product shows is checked while it runs and after it is healed.
//! Does not: simulate threads: every node's two runtimes are one here, and blocking work is done
//! at one moment.

mod clock;
mod context;
mod counters;
pub mod entropy;
mod faults;
mod group_history;
mod history;
mod hunt;
mod invariants;
mod known;
mod logging;
mod look;
mod net;
mod node;
mod plan;
mod program;
mod rot;
mod workload;
mod world;

pub use counters::Counters;
pub use hunt::{BUDGET, Kill, MUTANTS, hunt, mutant_by_name, mutant_table};
pub use known::KNOWN;
pub use plan::{FaultKind, Plan};
pub use world::{Outcome, run_plan};
