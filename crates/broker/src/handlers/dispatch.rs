//! From a frame to a begun request, and from a response to bytes.

use super::{
    Api, Begun, ClientSoftware, Outcome, Pending, Reply, RequestContext, produce_refusal,
    request_log,
};
use crate::context::BrokerContext;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use types::{ErrorCode, Monotonic};
use wire::{ApiKey, DecodeError, Message, Pieces, Reader};

/// Decodes a request's body and begins it.
pub type Begin = fn(RequestContext, &mut Reader) -> Result<Begun<Outcome<Reply>>, DecodeError>;

/// Who sends a request: what a connection knows.
pub struct Origin<'a> {
    pub broker: &'a Arc<BrokerContext>,
    pub listener: &'a Arc<str>,
    pub peer: SocketAddr,
    pub software: &'a ClientSoftware,
}

/// A request that was read and begun, and waits for its turn.
pub struct Started {
    pub api: &'static Api,
    /// See [`Begun::first`].
    pub first: Option<BoxFuture<'static, ()>>,
    pub pending: Pending,
    /// When its last byte had been read.
    pub received: Monotonic,
    /// The size of its frame.
    pub request_bytes: usize,
    /// Memory that it has taken beside its frame.
    pub decoded_bytes: usize,
}

/// Why a frame is no request that can be answered. The connection closes.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("api {0} is not served")]
    UnknownApi(ApiKey),
    #[error("version {version} of {api} is not served")]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("malformed request: {0}")]
    Malformed(#[from] DecodeError),
}

/// Reads the header of `frame`, finds the API and begins the request.
pub fn start(origin: &Origin<'_>, frame: Bytes) -> Result<Started, RequestError> {
    let received = origin.broker.env.clock.now();
    let request_bytes = frame.len() + 4;
    let started = |api, begun: Begun<_>| {
        let Begun { first, pending } = begun;
        Started { api, first, pending, received, request_bytes, decoded_bytes: 0 }
    };
    let answered = |api, outcome| started(api, Begun::at_once(std::future::ready(outcome).boxed()));
    if let Some((api, correlation_id)) = unknown_api_versions(&frame)? {
        count_unsupported(origin, api);
        let pieces = wire::version_negotiation::encode_unsupported(correlation_id, api.advertised);
        let outcome = encoded(pieces, ApiKey::ApiVersions);
        return Ok(answered(api, outcome));
    }
    let (header, mut reader) = wire::frame::open_request(frame)?;
    let Some(api) = Api::find(header.api_key) else {
        return Err(RequestError::UnknownApi(header.api_key));
    };
    if api.key == ApiKey::Produce && produce_refusal::VERSIONS.contains(&header.api_version) {
        let (version, id) = (header.api_version, header.correlation_id);
        count_unsupported(origin, api);
        let outcome = produce_refusal::refuse(version, id, &mut reader)?;
        return Ok(answered(api, outcome));
    }
    if !api.serves(header.api_version) {
        let (api, version) = (header.api_key, header.api_version);
        return Err(RequestError::UnsupportedVersion { api, version });
    }
    let ctx = RequestContext {
        broker: origin.broker.clone(),
        listener: origin.listener.clone(),
        // A copy of its own: a waiting request must not keep its frame alive.
        client_id: header.client_id.map(|id| id.detach()),
        software: origin.software.clone(),
        peer: origin.peer,
        api_version: header.api_version,
        correlation_id: header.correlation_id,
    };
    let begun = (api.begin)(ctx, &mut reader)?;
    Ok(Started { decoded_bytes: reader.taken(), ..started(api, begun) })
}

fn count_unsupported(origin: &Origin<'_>, api: &Api) {
    if let Some(metrics) = origin.broker.apis.of(api.key) {
        metrics.error(ErrorCode::UnsupportedVersion);
    }
}

/// An ApiVersions request of a version that is not served: its header may be of a kind that is not
/// known either, so only the first twelve bytes are read. Gives the correlation id.
fn unknown_api_versions(frame: &Bytes) -> Result<Option<(&'static Api, i32)>, DecodeError> {
    let mut reader = Reader::new(frame.clone());
    let key = reader.int16()?;
    let version = reader.int16()?;
    let correlation_id = reader.int32()?;
    if key != ApiKey::ApiVersions as i16 {
        return Ok(None);
    }
    let api = Api::find(ApiKey::ApiVersions).filter(|api| !api.serves(version));
    Ok(api.map(|api| (api, correlation_id)))
}

/// Counts the errors of a response, and encodes it for its request.
pub(super) fn finish<M: Message>(ctx: &RequestContext, response: &M) -> Outcome<Reply> {
    request_log::answered(ctx, response);
    encoded(wire::frame::encode_response(ctx.api_version, ctx.correlation_id, response), M::NAME)
}

/// A response that does not fit its version is a bug of the handler; the client gets none.
fn encoded(
    pieces: Result<Pieces, wire::EncodeError>,
    name: impl std::fmt::Display,
) -> Outcome<Reply> {
    match pieces {
        Ok(pieces) => Outcome::Reply(pieces.into()),
        Err(error) => {
            tracing::error!(%error, response = %name, "a response cannot be encoded");
            Outcome::Close
        }
    }
}
