//! Kafka's APIs, one file each, and the one list of them.
//!
//! Promises:
//! - dispatch, ApiVersions and metric labels come from [`APIS`] alone, so that what is advertised
//!   is what is served;
//! - a request is decoded, and a produce request appended, in the order of the connection; the rest
//!   of a request's work is the future in [`Started`].
//!
//! A handler is `async fn handle(ctx: &RequestContext, request: XRequest) -> XResponse`. Produce is
//! split: [`produce::begin`] appends at once, or has the connection wait until it has
//! ([`Begun::first`]), and leaves the waiting for replicas to the future.

pub mod alter_configs;
pub mod api_versions;
pub mod config_resources;
mod context;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub mod describe_topic_partitions;
mod dispatch;
pub mod elect_leaders;
pub mod fetch;
pub mod fetch_source;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
mod leaders;
pub mod leave_group;
mod list;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod produce_records;
mod produce_refusal;
mod reply;
mod request_log;
pub mod submit;
pub mod sync_group;
pub mod topics;

pub use context::RequestContext;
pub use dispatch::{Origin, RequestError, Started, start};
pub use fetch_source::FetchSource;
pub use list::{APIS, Api, ApiTable};
pub use reply::Reply;
pub use request_log::ClientSoftware;

use futures::future::BoxFuture;

/// How a request ends.
#[derive(Debug)]
pub enum Outcome<R> {
    /// The response goes out, in the order of the requests.
    Reply(R),
    /// No response (produce with acks=0).
    Silent,
    /// The connection closes (acks=0 that failed: the client has no other way to know).
    Close,
}

/// A request that is begun.
pub struct Begun<T> {
    /// What is to be done before the connection's next request is begun.
    pub first: Option<BoxFuture<'static, ()>>,
    /// The rest: gives the answer.
    pub pending: BoxFuture<'static, T>,
}

impl<T> Begun<T> {
    pub fn at_once(pending: BoxFuture<'static, T>) -> Begun<T> {
        Begun { first: None, pending }
    }
}

/// What is left of any request.
pub type Pending = BoxFuture<'static, Outcome<Reply>>;
