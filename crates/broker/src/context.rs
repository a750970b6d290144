//! What every part of a broker shares: its name, its seams, its view of the cluster.
//!
//! [`BrokerCore`] is there before the first partition is opened and is given to
//! [`crate::replica::ReplicaManager`]; [`BrokerContext`] adds what is built on top of it and is
//! what handlers see.

use crate::controller_client::ControllerClient;
use crate::departed::Departed;
use crate::group::GroupManager;
use crate::handlers::ApiTable;
use crate::handlers::produce_records::Packing;
use crate::image_cell::ImageCell;
use crate::listener::OpenConnections;
use crate::producer_ids::ProducerIds;
use crate::replica::ReplicaManager;
use env::{Env, Tasks};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::watch;
use types::{BrokerEpoch, IncarnationId, NodeId};

/// The part of a broker that everything else stands on.
pub struct BrokerCore {
    pub env: Env,
    pub config: Arc<config::NodeConfig>,
    pub node_id: NodeId,
    /// Which start of this process it is; new at every start.
    pub incarnation_id: IncarnationId,
    /// The registration's epoch, [`BrokerEpoch::NONE`] before it.
    pub broker_epoch: EpochCell,
    pub image: ImageCell,
    /// Brokers fenced a moment ago.
    pub departed: Departed,
    /// Its clients.
    pub connections: OpenConnections,
    /// Commands to the active controller.
    pub controller: ControllerClient,
    pub metrics: Arc<telemetry::Metrics>,
    /// Set to why this broker cannot go on.
    pub failure: watch::Sender<Option<String>>,
    /// Tasks of the main runtime.
    pub tasks: Tasks,
}

/// A broker epoch that registration sets and everyone reads.
pub struct EpochCell(AtomicI64);

impl EpochCell {
    pub fn new() -> EpochCell {
        EpochCell(AtomicI64::new(BrokerEpoch::NONE.0))
    }

    pub fn get(&self) -> BrokerEpoch {
        BrokerEpoch(self.0.load(Ordering::Acquire))
    }

    pub fn set(&self, epoch: BrokerEpoch) {
        self.0.store(epoch.0, Ordering::Release);
    }
}

impl Default for EpochCell {
    fn default() -> Self {
        EpochCell::new()
    }
}

/// A running broker, as handlers see it. Reads through to [`BrokerCore`].
pub struct BrokerContext {
    pub core: Arc<BrokerCore>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupManager>,
    pub producer_ids: ProducerIds,
    /// Batches that are packed anew.
    pub packing: Packing,
    /// The handles that requests are counted with.
    pub apis: ApiTable,
}

impl Deref for BrokerContext {
    type Target = BrokerCore;

    fn deref(&self) -> &BrokerCore {
        &self.core
    }
}
