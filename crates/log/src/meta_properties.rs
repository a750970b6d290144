//! `meta.properties`: whose directory this is.

use types::{DirectoryId, NodeId};

/// Version 1 of the file: `version=1`, `cluster.id`, `node.id`, `directory.id`, one a line. The
/// cluster id is missing until the node has joined (or formed) a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    pub cluster_id: Option<String>,
    pub node_id: NodeId,
    pub directory_id: DirectoryId,
}
