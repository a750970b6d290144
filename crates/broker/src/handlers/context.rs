//! What a handler knows of the request besides its body.

use super::ClientSoftware;
use crate::context::BrokerContext;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::StrBytes;

/// One request's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct RequestContext {
    pub broker: Arc<BrokerContext>,
    /// The name of the listener that the client came by.
    pub listener: Arc<str>,
    pub client_id: Option<StrBytes>,
    /// What the client at the other end of the connection is.
    pub software: ClientSoftware,
    pub peer: SocketAddr,
    pub api_version: i16,
    /// The client's number of the request, given back in the response's header.
    pub correlation_id: i32,
}
