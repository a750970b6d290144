//! A node's log directories: locked, identified, and asked whether they were shut down cleanly.

use crate::OpenError;
use env::{Disk, Rng};
use std::path::PathBuf;
use std::sync::Arc;
use types::{BrokerEpoch, DirectoryId, NodeId};

/// Locked directories, before any partition is opened. Usable as soon as the node starts, when it
/// may not yet know its cluster.
pub struct LogDirs {}

impl LogDirs {
    /// Makes absent directories, locks all, removes the clean-shutdown markers (the first thing
    /// written: a crash from here on counts as one), reads or makes `meta.properties`. A directory
    /// of another node, or two of different clusters, refuse; one that fails goes offline, unless
    /// it is the last.
    pub fn open(
        disk: Arc<dyn Disk>,
        dirs: &[PathBuf],
        node_id: NodeId,
        rng: &dyn Rng,
    ) -> Result<LogDirs, OpenError> {
        let _ = (disk, dirs, node_id, rng);
        todo!()
    }

    /// The cluster that the directories belong to; `None` on a node that never joined one.
    pub fn cluster_id(&self) -> Option<&str> {
        todo!()
    }

    /// Says which cluster this node is in: written where missing, refused where another.
    pub fn join_cluster(&mut self, cluster_id: &str) -> Result<(), OpenError> {
        let _ = cluster_id;
        todo!()
    }

    /// The online directories' ids, in the order given.
    pub fn directory_ids(&self) -> Vec<DirectoryId> {
        todo!()
    }

    /// The broker epoch of the last clean shutdown, if all directories had one.
    pub fn previous_broker_epoch(&self) -> Option<BrokerEpoch> {
        todo!()
    }
}
