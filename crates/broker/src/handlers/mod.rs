//! Kafka's APIs, one file each, and the one list of them.
//!
//! Promises:
//! - dispatch, ApiVersions and metric labels come from [`APIS`] alone, so that what is advertised
//!   is what is served;
//! - a request is decoded, and a produce request appended, in the order of the connection; the rest
//!   of a request's work is the future that [`Api::start`] gives back.
//!
//! A handler is `async fn handle(ctx: &RequestContext, request: XRequest) -> XResponse`. Produce is
//! split: `fn begin(ctx: &RequestContext, request: ProduceRequest) -> ProducePending` appends at
//! once and leaves the waiting for the future.

mod context;

pub use context::RequestContext;

use futures::future::BoxFuture;
use wire::produce::ProduceResponse;

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

/// What is left of a produce request once its records are appended (or refused).
pub type ProducePending = BoxFuture<'static, Outcome<ProduceResponse>>;
