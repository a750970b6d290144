//! The rules of one partition's replication, as pure event machines.
//!
//! [`Leader`] runs on the broker that leads the partition, [`Follower`] on each broker that copies
//! it. A machine is told what happened (an append, a follower's position, new metadata, a tick) and
//! answers with effects that its shell carries out in order. One input, then all its effects.
//!
//! Promises:
//! - no I/O, no async, no clock, no randomness; `now` is passed in and never goes back;
//! - a leader's high watermark never goes down, and moves only while the in-sync set (ISR) holds
//!   at least `min(min.insync.replicas, replicas)` members;
//! - a record below the high watermark is on every member of the ISR that the controller may know;
//! - a follower truncates by leader epoch only, never to its high watermark;
//! - errors are values; only a broken promise of the caller (documented at each input) panics.
//!
//! Does not: hold records, files or streams, or know what a topic is. One leader epoch is one
//! machine: at every new leader epoch the shell makes a new [`Leader`], or tells the [`Follower`].
//!
//! Offsets are record counts; every `*_end` and `high_watermark` is exclusive.

mod divergence;
mod follower;
mod leader;
#[doc(hidden)]
pub mod mutant;
mod refusal;

pub use divergence::{diverges, epoch_batches_to_append, truncation_point};
pub use follower::{Chunk, Divergence, Follower, FollowerEffect, FollowerLog, FollowerRole};
pub use leader::{
    Acks, AlterPartitionAnswer, BrokerState, FollowerPosition, FollowerView, IsrMember,
    IsrProposal, Leader, LeaderConfig, LeaderEffect, LeaderLog, LeaderRole, NotEnoughReplicas,
    PartitionChange, WaitOutcome, WaitToken,
};
pub use refusal::{Refusal, check_leader_epoch};
