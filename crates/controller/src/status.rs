//! What a controller tells about itself, for readiness and metrics.

use types::{MetadataVersion, NodeId};

/// A controller's state as of now. Cheap to read; watch it with [`crate::Controller::watch`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// Empty until the node belongs to a cluster.
    pub cluster_id: String,
    /// The active controller as far as this node knows.
    pub leader: Option<NodeId>,
    /// This node is the active controller and has applied everything before its term.
    pub is_active: bool,
    /// The Raft term.
    pub term: u64,
    /// The metadata version applied here.
    pub version: MetadataVersion,
    /// The index of the last Raft entry in this node's log.
    pub last_log_index: u64,
    /// The index of the last Raft entry applied here.
    pub last_applied_index: u64,
    /// Set when storage failed or Raft stopped: the node must be restarted.
    pub failure: Option<String>,
}
