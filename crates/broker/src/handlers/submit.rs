//! Commands of admin requests: passed on to the active controller, answered when they hold.
//!
//! Promises: an answer comes after the command is committed, this broker has applied it and the
//! other live brokers have reported so (one second at most for either), so that the client's next
//! request finds what it made, wherever it goes.

use super::topics::APPLIED_WAIT;
use crate::context::BrokerContext;
use crate::controller_client::SubmitOptions;
use metadata::{Command, Refusal, Reply};
use std::time::Duration;
use types::ErrorCode;

/// A client's `timeout.ms` is kept within these.
const TIMEOUT_MIN: Duration = Duration::from_millis(1000);
const TIMEOUT_MAX: Duration = Duration::from_millis(30_000);

/// Submits; the error is a refusal of the whole command.
pub async fn submit(
    ctx: &BrokerContext,
    command: Command,
    timeout_ms: i32,
) -> Result<Reply, Refusal> {
    let asked = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    let timeout = asked.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    let options = SubmitOptions { timeout, wait_applied: APPLIED_WAIT };
    match ctx.controller.submit_with(command, options).await {
        Ok((Reply::Refused(refusal), _)) => Err(refusal),
        Ok((reply, version)) => {
            ctx.image.wait_for(version, APPLIED_WAIT).await;
            Ok(reply)
        }
        Err(error) => Err(Refusal::new(ErrorCode::RequestTimedOut, error.to_string())),
    }
}

/// A reply that does not belong to its command: a bug of ours, not of the client.
pub fn unexpected(reply: &Reply) -> Refusal {
    tracing::error!(?reply, "a reply of another kind than its command's");
    Refusal::new(ErrorCode::UnknownServerError, "unexpected reply of the controller")
}

/// Error code and message of an outcome, for responses.
pub fn error_of(outcome: &Result<(), Refusal>) -> (i16, Option<wire::StrBytes>) {
    match outcome {
        Ok(()) => (0, None),
        Err(refusal) => (refusal.code.into(), Some(refusal.message.as_str().into())),
    }
}
