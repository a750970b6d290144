//! A member of a classic group.

use crate::Token;
use bytes::Bytes;
use std::time::Duration;
use types::Monotonic;

/// An assignor that a member supports, with the member's subscription in that assignor's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Bytes,
}

/// One member. Times are in the coordinator's monotonic clock.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// The parked JoinGroup, while the member waits for the rebalance.
    pub joining: Option<Token>,
    /// The parked SyncGroup, while the member waits for the leader's assignment.
    pub syncing: Option<Token>,
    /// When the member is dropped unless it is heard of, or parked.
    pub expires_at: Monotonic,
}

impl Member {
    /// The metadata for a protocol; empty if the member does not support it.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|p| p.name == protocol)
            .map_or(Bytes::new(), |p| p.metadata.clone())
    }

    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|p| p.name == protocol)
    }

    pub fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// A member with a parked request is alive: its client waits for us.
    pub fn is_parked(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub fn heard(&mut self, now: Monotonic) {
        self.expires_at = now + self.session_timeout;
    }
}
