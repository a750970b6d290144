//! What is seen of a request once it is answered: its errors in the metrics, and the request log.
//!
//! Promises:
//! - every error code that goes out is counted for its API, those of parts of an answer included;
//! - the log (target `broker::requests`, level debug) has a line per answer: the client's software
//!   as ApiVersions named it, API, version and errors; where it is off, nothing is formatted.

use super::RequestContext;
use std::fmt;
use std::sync::{Arc, OnceLock};
use types::ErrorCode;
use wire::{ApiKey, Message, StrBytes};

/// The target of the log's lines.
const TARGET: &str = "broker::requests";

/// What a client says that it is. Set by the first ApiVersions request of a connection.
#[derive(Clone, Default)]
pub struct ClientSoftware(Arc<OnceLock<(StrBytes, StrBytes)>>);

impl ClientSoftware {
    pub fn set(&self, name: &StrBytes, version: &StrBytes) {
        // Copies of their own: they outlive the frame. A second naming changes nothing.
        let _ = self.0.set((name.detach(), version.detach()));
    }
}

impl fmt::Display for ClientSoftware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get() {
            Some((name, version)) => write!(f, "{}/{}", &**name, &**version),
            None => f.write_str("unknown"),
        }
    }
}

/// Counts and logs an answer.
pub fn answered<M: Message>(ctx: &RequestContext, response: &M) {
    let Ok(api) = ApiKey::try_from(M::KEY) else { return };
    let logged = tracing::enabled!(target: TARGET, tracing::Level::DEBUG);
    let mut errors: Vec<ErrorCode> = Vec::new();
    response.error_codes(&mut |code| {
        if code == 0 {
            return;
        }
        let error = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
        if let Some(metrics) = ctx.broker.apis.of(api) {
            metrics.error(error);
        }
        if logged && !errors.contains(&error) {
            errors.push(error);
        }
    });
    if logged {
        let client_id = ctx.client_id.as_deref().unwrap_or_default();
        let errors: Vec<&str> = errors.iter().map(|error| error.name()).collect();
        let (version, errors) = (ctx.api_version, errors.join(","));
        let software = &ctx.software;
        tracing::debug!(target: TARGET, peer = %ctx.peer, %software, client_id, %api, version, errors);
    }
}
