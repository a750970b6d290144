//! The cluster's metadata as pure rules: who is registered, which topics there are, who leads and
//! who is in sync, and what every command does to that.
//!
//! Promises:
//! - [`decide`] and [`decide_batch`] may refuse and write nothing themselves; what they want
//!   written comes back as [`Record`]s;
//! - [`Image::apply`] never refuses and is the only writer of an image, so that images which have
//!   applied the same records are equal, on every node and after every snapshot;
//! - each command of a batch is decided on an image that holds the commands before it, and
//!   [`Image::apply_batch`] skips a batch that was decided on another version, so no two commands
//!   are decided on the same image and both take effect;
//! - in every partition the ISR is a part of the replicas, the leader is in the ISR or there is
//!   none, epochs only rise, and a broker that is fenced or shutting down is in an ISR only as its
//!   last member;
//! - randomness (ids, placement) comes from the seed in [`DecideContext`]: same image, command and
//!   context, same decision.
//!
//! Does not: know Raft, clocks, sockets, Kafka's wire format, or the table of configuration keys
//! (the caller brings it as [`ConfigRules`]).

mod broker;
mod changes;
mod chunk_map;
mod codec;
mod command;
mod config;
mod decide;
mod draft;
mod image;
mod leader;
mod names;
mod partition;
mod placement;
mod record;
mod reply;
mod rng;
mod rules;
mod topic;

pub use broker::{Broker, Endpoint, FeatureRange};
pub use changes::{ImageChanges, PartitionChange};
pub use codec::DecodeError;
pub use command::*;
pub use config::{
    ConfigChange, ConfigOperation, ConfigResource, ConfigRules, ConfigValues, PlainConfigRules,
};
pub use decide::{DecideContext, DecidedBatch, Decision, decide, decide_batch};
pub use image::{Image, MIN_INSYNC_REPLICAS};
pub use leader::{Election, Loss, PartitionTarget, choose};
pub use names::{check_topic_name, collision_name};
pub use partition::{LeaderRecovery, Partition};
pub use placement::{PlacementError, PlacementRequest, UsableBroker, place};
pub use record::Record;
pub use reply::*;
pub use rng::SplitMix;
pub use topic::Topic;
