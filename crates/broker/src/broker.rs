//! A running broker: starts its parts in order and stops them in order.

use crate::context::BrokerContext;
use env::Env;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a broker needs besides the world.
pub struct BrokerOptions {
    pub config: Arc<config::NodeConfig>,
    pub metrics: Arc<telemetry::Metrics>,
    /// The control plane's own runtime: heartbeats and the metadata stream run there, so that bulk
    /// work does not silence them.
    pub control: tokio::runtime::Handle,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {error}")]
    Listen { address: String, error: std::io::Error },
    #[error("cannot open the partitions: {0}")]
    Replicas(String),
}

/// A broker that has bound its listeners. Its client side opens when it has caught up with the
/// cluster's metadata.
pub struct Broker {
    context: Arc<BrokerContext>,
    addresses: Vec<(String, SocketAddr)>,
}

impl Broker {
    /// Binds the client listeners, opens the partitions and starts to follow the cluster. Returns
    /// before the broker is ready; a quorum is not needed for it.
    pub async fn start(options: BrokerOptions, env: Env) -> Result<Broker, StartError> {
        let _ = (options, env);
        Err(StartError::Replicas("not yet".into()))
    }

    /// The replica, admin, reflection and health services, for the node's gRPC listener.
    pub fn routes(&self) -> tonic::service::Routes {
        tonic::service::Routes::default()
    }

    /// The client listeners with the addresses that they are bound to.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// What the handlers see; for tests and for the program's pages.
    pub fn context(&self) -> &Arc<BrokerContext> {
        &self.context
    }

    /// Waits until the broker is registered, unfenced and answers clients.
    pub async fn ready(&self) {}

    /// Moves the leaders away, flushes and stops. Takes at most five seconds.
    pub async fn controlled_shutdown(&self) {}
}
