//! The broker: Kafka's protocol on the client listeners, the shell that carries the partitions'
//! replication, and the admin service.
//!
//! Promises:
//! - answers on one connection go out in the order of its requests;
//! - a bad frame, an unknown API or a panic in a handler costs its own connection and nothing else;
//! - every queue is bounded, and a full one stops reading;
//! - the metadata image changes in one place ([`metadata_follower`]), in order, and every reader
//!   sees whole versions.
//!
//! Does not: know Raft or the controller's code. It speaks to controllers over gRPC only, even to
//! the one in its own process.

mod admin;
mod broker;
pub mod channel;
pub mod context;
pub mod controller_client;
mod departed;
mod elections;
pub mod group;
pub mod handlers;
mod heartbeat;
pub mod image_cell;
mod listener;
mod metadata_follower;
mod producer_ids;
mod registration;
pub mod replica;

pub use broker::{Broker, BrokerOptions, StartError};
pub use context::{BrokerContext, BrokerCore};
