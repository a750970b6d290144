//! What can be seen of the cluster at a moment, for the invariants.

use crate::node::Node;
use broker::replica::{Leadership, Partition, PartitionView};
use metadata::Image;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::TopicIdPartition;

/// A running node.
pub struct NodeLook {
    pub host: usize,
    /// Which of its starts this is.
    pub start: u64,
    pub controller: Option<controller::Status>,
    /// The metadata as its controller has applied it, and as its broker has.
    pub images: Vec<Arc<Image>>,
    pub raft: Option<controller::Inspection>,
    pub replicas: BTreeMap<TopicIdPartition, Replica>,
    pub is_ready: bool,
    /// How many tasks of its program are alive, and files open on its disk.
    pub tasks: usize,
    pub open_files: u64,
    /// A bit of its disk was turned, at any time.
    pub has_rotted: bool,
}

pub struct Replica {
    pub partition: Arc<Partition>,
    pub view: PartitionView,
    pub leadership: Option<Leadership>,
}

/// The cluster.
pub struct Look {
    pub nodes: Vec<NodeLook>,
    /// The newest metadata that any node has ever applied.
    pub newest: Arc<Image>,
}

impl NodeLook {
    pub fn of(node: &Node) -> Option<NodeLook> {
        let view = node.view()?;
        let broker = view.broker();
        let mut images: Vec<Arc<Image>> = view.metadata().into_iter().collect();
        let mut replicas = BTreeMap::new();
        if let Some(broker) = broker {
            images.push(broker.context().image.load());
            for partition in broker.context().replicas.partitions() {
                let (id, view) = (partition.id, partition.view());
                let leadership = partition.leadership();
                replicas.insert(id, Replica { partition, view, leadership });
            }
        }
        Some(NodeLook {
            host: node.host,
            start: node.starts,
            controller: view.controller(),
            images,
            raft: view.raft().cloned(),
            replicas,
            is_ready: broker.is_some_and(broker::Broker::is_ready),
            tasks: node.tasks(),
            open_files: node.disk.open_files(),
            has_rotted: node.has_rotted,
        })
    }

    pub fn name(&self) -> String {
        format!("n{}", self.host + 1)
    }
}
