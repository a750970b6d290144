//! A running broker: starts its parts in order and stops them in order.

use crate::context::{BrokerContext, BrokerCore, EpochCell};
use crate::controller_client::ControllerClient;
use crate::departed::Departed;
use crate::group::GroupManager;
use crate::handlers::ApiTable;
use crate::handlers::produce_records::Packing;
use crate::heartbeat::Heartbeats;
use crate::image_cell::ImageCell;
use crate::listener::{Listeners, OpenConnections};
use crate::metadata_follower::{MetadataApplier, MetadataStream, QUEUE_MAX};
use crate::producer_ids::ProducerIds;
use crate::registration::{Phase, Registration, leave};
use crate::replica::ReplicaManager;
use crate::{admin, registration};
use config::NodeConfig;
use env::{Env, Tasks};
use metadata::Endpoint;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What tasks get to end by themselves once they are told.
const TASK_GRACE: Duration = Duration::from_millis(200);
/// Part of the shutdown's time kept for flushing, after leaders had the rest to move away.
const FLUSH_RESERVE: Duration = Duration::from_millis(1500);

/// What a broker needs besides the world.
pub struct BrokerOptions {
    pub config: Arc<NodeConfig>,
    pub metrics: Arc<telemetry::Metrics>,
    /// The control plane's own runtime: heartbeats and the metadata stream run there, so that bulk
    /// work does not silence them.
    pub control: tokio::runtime::Handle,
    /// The controllers' `host:port`, the local one first;
    /// [`crate::controller_client::configured_addresses`] gives what the configuration says.
    pub controllers: Vec<String>,
    /// The gRPC listeners, by name, with the addresses that the program has bound them to.
    pub grpc: Vec<(String, SocketAddr)>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {error}")]
    Listen { address: String, error: std::io::Error },
    #[error("cannot open the partitions: {0}")]
    Replicas(String),
    #[error("no controller is configured")]
    NoController,
}

/// A broker that has bound its listeners. Its client side opens when it has registered.
pub struct Broker {
    context: Arc<BrokerContext>,
    listeners: Arc<Listeners>,
    heartbeats: Arc<Heartbeats>,
    phase: watch::Receiver<Phase>,
    failure: watch::Receiver<Option<String>>,
    /// Tasks on the control runtime.
    control: Tasks,
}

impl Broker {
    /// Binds the client listeners, opens the partitions and starts to follow the cluster. Returns
    /// before the broker is ready; no quorum is needed for it.
    pub async fn start(options: BrokerOptions, env: Env) -> Result<Broker, StartError> {
        if options.controllers.is_empty() {
            return Err(StartError::NoController);
        }
        let listeners = Arc::new(Listeners::bind(&options.config, &env).await?);
        let endpoints = endpoints(&options, &listeners);
        let control = Tasks::on(options.control.clone());
        let core = core(&options, env);
        let replicas = ReplicaManager::start(core.clone()).await;
        let replicas = replicas.map_err(|error| StartError::Replicas(error.to_string()))?;
        let context = Arc::new(BrokerContext {
            core: core.clone(),
            replicas: replicas.clone(),
            groups: GroupManager::start(&core, &replicas),
            producer_ids: ProducerIds::new(),
            packing: Packing::new(),
            apis: ApiTable::new(&core.metrics),
        });
        let heartbeats = Arc::new(Heartbeats::new(core.clone()));
        let (sender, steps) = mpsc::channel(QUEUE_MAX);
        let stream = MetadataStream {
            core: core.clone(),
            addresses: options.controllers,
            committed: heartbeats.committed.subscribe(),
            steps: sender,
        };
        spawn(&control, stream.run());
        spawn(&control, replicas.clone().watch_disks());
        let applier = MetadataApplier { core: core.clone(), replicas: replicas.clone(), steps };
        spawn(&core.tasks, applier.run());
        let phase = watch::Sender::new(Phase::CatchingUp);
        let failure = core.failure.clone();
        let broker = Broker {
            context,
            listeners,
            heartbeats: heartbeats.clone(),
            phase: phase.subscribe(),
            failure: failure.subscribe(),
            control: control.clone(),
        };
        let tasks = control.clone();
        let registration =
            Registration { core, heartbeats, replicas, endpoints, phase, failure, tasks };
        spawn(&control, registration.run());
        broker.open_when_registered();
        Ok(broker)
    }

    /// The replica, admin, reflection and health services, for the node's gRPC listener.
    pub fn routes(&self) -> tonic::service::Routes {
        admin::routes(&self.context, self.phase.clone())
    }

    /// The client listeners with the addresses that they are bound to.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.listeners.addresses()
    }

    /// What the handlers see; for tests and for the program's pages.
    pub fn context(&self) -> &Arc<BrokerContext> {
        &self.context
    }

    /// Whether the broker takes part in the cluster now.
    pub fn is_ready(&self) -> bool {
        *self.phase.borrow() == Phase::Unfenced
    }

    /// Waits until the broker has been registered, unfenced and answers clients.
    pub async fn ready(&self) {
        let mut phase = self.phase.clone();
        if phase.wait_for(|phase| *phase == Phase::Unfenced).await.is_err() {
            // The broker has been shut down and will never be ready.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the broker cannot go on, and says why: its log directories belong to another
    /// cluster, for instance. The program then stops it.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            // The broker has been shut down and will never fail.
            None => std::future::pending().await,
        }
    }

    /// Moves the leaders away, flushes and stops. Takes at most `ottla.shutdown.timeout.ms`, five
    /// seconds by default, however the cluster is.
    pub async fn controlled_shutdown(&self) {
        let liveness = &self.context.config.liveness;
        let patience = liveness.shutdown_timeout.saturating_sub(FLUSH_RESERVE);
        if liveness.controlled_shutdown {
            let leaving = leave(&self.context.core, &self.heartbeats);
            if tokio::time::timeout(patience, leaving).await.is_err() {
                tracing::warn!("leaders could not be moved in time; stopping with them");
            }
        }
        self.listeners.close(TASK_GRACE).await;
        self.context.core.tasks.shutdown(TASK_GRACE).await;
        let flushed = self.context.replicas.shutdown();
        if tokio::time::timeout(FLUSH_RESERVE, flushed).await.is_err() {
            tracing::warn!(
                "partitions could not be flushed in time; they recover at the next start"
            );
        }
        self.control.shutdown(TASK_GRACE).await;
    }

    /// Clients are served once the broker knows the cluster; before that, they wait in the socket.
    fn open_when_registered(&self) {
        let mut phase = self.phase.clone();
        let (listeners, context) = (self.listeners.clone(), self.context.clone());
        spawn(&self.context.core.tasks, async move {
            if phase.wait_for(|phase| *phase >= registration::Phase::Registered).await.is_ok() {
                listeners.open(&context);
            }
        });
    }
}

/// Starts a task that ends at once when its group is to end: it holds nothing worth a wait.
pub(crate) fn spawn(tasks: &Tasks, future: impl Future<Output = ()> + Send + 'static) {
    let group = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = future => {}
            () = group.stopped() => {}
        }
    });
}

fn core(options: &BrokerOptions, env: Env) -> Arc<BrokerCore> {
    Arc::new(BrokerCore {
        config: options.config.clone(),
        node_id: options.config.node_id,
        incarnation_id: env.rng.uuid(),
        broker_epoch: EpochCell::new(),
        image: ImageCell::new(),
        departed: Departed::default(),
        connections: OpenConnections::default(),
        controller: ControllerClient::new(
            env.clone(),
            options.control.clone(),
            options.controllers.clone(),
        ),
        metrics: options.metrics.clone(),
        failure: watch::Sender::new(None),
        tasks: Tasks::new(),
        env,
    })
}

/// What the cluster is told of this broker's listeners: advertised names and hosts, and for port 0
/// the port that was bound.
fn endpoints(options: &BrokerOptions, listeners: &Listeners) -> Vec<Endpoint> {
    let mut bound = listeners.addresses();
    bound.extend(options.grpc.iter().cloned());
    let advertised = options.config.network.advertised.iter();
    let resolved = advertised.map(|endpoint| {
        let port = match endpoint.port {
            0 => bound.iter().find(|(name, _)| *name == endpoint.name).map(|(_, at)| at.port()),
            port => Some(port),
        };
        Endpoint {
            name: endpoint.name.clone(),
            host: endpoint.host.clone(),
            port: port.unwrap_or(0),
            security_protocol: 0,
        }
    });
    resolved.filter(|endpoint| endpoint.port != 0).collect()
}
