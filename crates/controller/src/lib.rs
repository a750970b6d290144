//! The controller: a Raft quorum (openraft) around the pure rules of `metadata`.
//!
//! Promises:
//! - A reply to a command is given only after its records are committed and applied here.
//! - One batch of commands is in flight; a batch carries the metadata version that it was decided
//!   on, and is applied only on that version, so no two commands are decided on the same image
//!   and both committed.
//! - Log entries and votes are synced before Raft hears that they are stored.
//! - Liveness of brokers is soft state and never written to the log.
//! - Nothing here needs a runtime with more than one thread.
//!
//! Does not: hold rules of Kafka (they are in `metadata`), or own a listener: the caller serves
//! [`Controller::routes`] on one.

mod options;
mod status;

use env::Env;
pub use options::{
    ControllerOptions, LivenessOptions, QuorumSource, RaftOptions, TopicDefaults, Voter,
};
pub use status::Status;
use tokio::sync::watch;

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("directory {directory} belongs to cluster {found}, not to {expected}")]
    WrongCluster { directory: String, found: String, expected: String },
    #[error("directory {directory} belongs to node {found}, not to node {expected}")]
    WrongNode { directory: String, found: i32, expected: i32 },
    #[error("directory {directory} is used by another process")]
    Locked { directory: String },
    #[error("invalid option: {0}")]
    Options(String),
    #[error("storage of the controller: {0}")]
    Storage(#[from] std::io::Error),
    #[error("raft: {0}")]
    Raft(String),
}

/// A running controller. Dropping it without [`Controller::shutdown`] ends its tasks abruptly,
/// as a crash would.
pub struct Controller {
    status: watch::Receiver<Status>,
}

impl Controller {
    /// Opens the directory, recovers what is in it and starts the node's tasks on the runtime of
    /// the caller. Returns as soon as the node can serve; birth, joining and elections go on in
    /// the background (see [`Controller::watch`]).
    pub async fn start(options: ControllerOptions, env: Env) -> Result<Controller, StartError> {
        let _ = (options, env);
        Err(StartError::Options("not written yet".to_owned()))
    }

    /// The gRPC services `Controller` and `Raft`, for a tonic server or an axum router.
    pub fn routes(&self) -> tonic::service::Routes {
        tonic::service::Routes::default()
    }

    /// The state of this node now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows the state of this node.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Hands leadership over if this node has it, stops all tasks and closes all files.
    pub async fn shutdown(self) {}
}
