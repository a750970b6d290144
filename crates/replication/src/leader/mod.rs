//! The leader's machine for one partition in one leader epoch.
//!
//! Promises: see the crate. In addition:
//! - at most one change of the ISR is under way; while it is, the high watermark counts the larger
//!   of the two sets (KIP-497);
//! - a follower joins the ISR only if it was heard in this leader epoch, from the registration that
//!   the metadata image holds, is neither fenced nor shutting down, and has reached both the high
//!   watermark and the start of this leader epoch (KIP-841, KIP-903);
//! - a follower that the controller left out of the ISR counts again only by what it says once it
//!   knows of that ([`LeaderEffect::AskAnew`]);
//! - a follower that makes produces wait without any progress of its own leaves the ISR, if others
//!   keep up and are enough ([`LeaderConfig::slow_follower_max`]), and rests before it comes back;
//! - every wait is completed exactly once.
//!
//! Does not: send, append or time anything itself. The shell that makes a [`Leader`] has first
//! written the start of the new leader epoch (at its log end) to the epoch cache.

mod acks;
mod effect;
mod followers;
mod isr;
mod machine;
mod pace;
mod role;
mod waits;

pub use acks::{Acks, NotEnoughReplicas};
pub use effect::{IsrMember, IsrProposal, LeaderEffect, WaitOutcome};
pub use followers::{FollowerPosition, FollowerView};
pub use isr::AlterPartitionAnswer;
pub use machine::Leader;
pub use role::{BrokerState, LeaderConfig, LeaderLog, LeaderRole, PartitionChange};
pub use waits::WaitToken;
