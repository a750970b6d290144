//! A node from start to stop: which part starts when, on which thread, and how they end.
//!
//! Order: the control thread and its listener, the controller, HTTP (so that liveness can be asked
//! while partitions recover), the broker, its gRPC listener. They stop the other way round.

use super::config_rules::TableRules;
use super::control::ControlThread;
use super::grpc::{self, BoundGrpc};
use super::guests::{Acquaintances, Guests};
use super::http::{self, Health, Look};
use super::ready::{Address, Ready};
use broker::{Broker, BrokerOptions};
use config::{ListenerRole, NodeConfig};
use controller::{Controller, ControllerOptions, QuorumSource};
use env::disk::write_file_atomically;
use env::{Env, Tasks};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use telemetry::Metrics;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What connections get to end by themselves at the stop.
const CONNECTION_GRACE: Duration = Duration::from_millis(50);
/// What blocking work gets to end when the runtime goes.
const RUNTIME_GRACE: Duration = Duration::from_millis(200);
/// Signals closer together than this are one.
const SIGNALS_TOGETHER: Duration = Duration::from_millis(500);
/// The controller's directory inside the metadata directory. No partition's name looks like it.
const CONTROLLER_DIRECTORY: &str = "controller";

/// What a node is run with.
pub(super) struct Options {
    pub(super) config: Arc<NodeConfig>,
    pub(super) ready_file: Option<PathBuf>,
    pub(super) stop_with_stdin: bool,
    /// The world is simulated: no threads, no files beside `Env`.
    pub(super) simulated: bool,
}

/// Why a node ended other than by being told.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error("cannot start the controller: {0}")]
    Controller(#[from] controller::StartError),
    #[error("cannot start the broker: {0}")]
    Broker(#[from] broker::StartError),
    #[error("the controller failed: {0}")]
    Failed(String),
    #[error("the broker cannot go on: {0}")]
    BrokerFailed(String),
}

/// Runs a node until it is told to stop or fails.
pub(super) fn run(options: Options, env: Env) -> Result<(), NodeError> {
    env::memory::keep_freed();
    let control = ControlThread::start()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // One more than the cores: a disk that hangs may keep some, and one is to stay free.
    let workers = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    env::sections::set_workers(workers);
    builder.worker_threads(workers);
    let directories = options.config.storage.log_dirs.len();
    builder.max_blocking_threads(broker::replica::blocking_threads_max(directories));
    let runtime = builder.enable_all().thread_name("node").build()?;
    let result = runtime.block_on(live(options, env, &control));
    runtime.shutdown_timeout(RUNTIME_GRACE);
    result
}

async fn live(options: Options, env: Env, control: &ControlThread) -> Result<(), NodeError> {
    // Signals are caught from here on, so that none in the middle of the start is lost.
    let mut signals = Signals::new()?;
    let mut node = Node::new(options, env, control, Arc::default());
    let started = tokio::select! {
        started = node.start() => started,
        () = signals.stop() => Ok(()),
    };
    if let Err(error) = started {
        node.stop().await;
        return Err(error);
    }
    let end = node.serve(&mut signals).await;
    let patience = node.options.config.liveness.shutdown_timeout;
    tokio::select! {
        stopped = tokio::time::timeout(patience, node.stop()) => {
            if stopped.is_err() {
                tracing::warn!("not everything could be stopped in {patience:?}; logs recover at the next start");
            }
        }
        () = signals.insist() => tracing::warn!("told to stop twice; stopping at once"),
    }
    tracing::info!("stopped");
    end
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Told to stop once more. Signals that come together are one: `timeout` and terminals send
    /// theirs to the process and to its group.
    async fn insist(&mut self) {
        let together = async {
            loop {
                self.stop().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(SIGNALS_TOGETHER, together).await;
        self.stop().await;
    }
}

/// Reads the metadata as the controller has applied it.
pub(super) type Images = Box<dyn Fn() -> Arc<metadata::Image> + Send + Sync>;

/// What the HTTP pages look at; parts come in as they start.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) broker: OnceLock<Broker>,
    pub(super) controller: OnceLock<watch::Receiver<controller::Status>>,
    pub(super) metadata: OnceLock<Images>,
    pub(super) raft: OnceLock<controller::Inspection>,
    stopping: AtomicBool,
}

pub(super) struct Node<'a> {
    options: Options,
    env: Env,
    /// Whom `env` has connected to.
    acquaintances: Acquaintances,
    control: &'a ControlThread,
    metrics: Metrics,
    parts: Arc<Parts>,
    controller: Option<Controller>,
    main_tasks: Tasks,
    control_tasks: Tasks,
    grpc: Vec<(String, SocketAddr)>,
    http: Option<SocketAddr>,
}

impl<'a> Node<'a> {
    pub(super) fn new(
        options: Options,
        env: Env,
        control: &'a ControlThread,
        parts: Arc<Parts>,
    ) -> Node<'a> {
        let acquaintances = Acquaintances::default();
        let env = Env { net: acquaintances.noting(env.net), ..env };
        Node {
            options,
            env,
            acquaintances,
            control,
            metrics: Metrics::new(),
            parts,
            controller: None,
            main_tasks: Tasks::new(),
            control_tasks: Tasks::on(control.handle().clone()),
            grpc: Vec::new(),
            http: None,
        }
    }

    /// The places of one listener, so many.
    fn guests(&self, connections_max: u32) -> Guests {
        Guests::new(connections_max, self.acquaintances.clone())
    }

    fn config(&self) -> &NodeConfig {
        &self.options.config
    }

    pub(super) async fn start(&mut self) -> Result<(), NodeError> {
        let (of_control, of_main) = self.bind().await?;
        if self.config().roles.controller {
            self.start_controller(of_control, of_main.is_none()).await?;
        }
        self.start_http().await?;
        if self.config().roles.broker {
            self.start_broker().await?;
        }
        if let Some(bound) = of_main {
            let guests = self.guests(self.config().network.grpc_connections_max);
            let metrics = self.metrics.clone();
            grpc::serve(bound, self.main_routes(), guests, metrics, &self.main_tasks);
        }
        Ok(())
    }

    /// Binds the gRPC listeners: the controllers' on the control thread, the other one here.
    async fn bind(&mut self) -> io::Result<(Option<BoundGrpc>, Option<BoundGrpc>)> {
        let roles = self.config().roles;
        let of_role = |role| self.config().listener(role).cloned();
        let of_control = of_role(ListenerRole::Controller).filter(|_| roles.controller);
        let of_main = of_role(ListenerRole::Grpc);
        let of_control = match of_control {
            Some(listener) => Some(self.control.run(grpc::bind(listener, self.env.clone())).await?),
            None => None,
        };
        let of_main = match of_main {
            Some(listener) => Some(grpc::bind(listener, self.env.clone()).await?),
            None => None,
        };
        let bound = of_control.iter().chain(&of_main);
        self.grpc = bound.map(|bound| (bound.name.clone(), bound.address)).collect();
        Ok((of_control, of_main))
    }

    async fn start_controller(
        &mut self,
        listener: Option<BoundGrpc>,
        is_only_listener: bool,
    ) -> Result<(), NodeError> {
        let options = self.controller_options();
        let env = self.env.clone();
        let controller = self.control.run(Controller::start(options, env)).await?;
        debug_assert!(listener.is_some() || !is_only_listener, "a controller has a gRPC listener");
        if let Some(bound) = listener {
            let guests = self.guests(self.config().network.grpc_connections_max);
            let metrics = self.metrics.clone();
            grpc::serve(bound, controller.routes(), guests, metrics, &self.control_tasks);
        }
        let status = controller.watch();
        let (metrics, mut watched) = (self.metrics.clone(), status.clone());
        let stopping = self.main_tasks.clone();
        self.main_tasks.spawn(async move {
            let following = async {
                loop {
                    metrics.active_controller(watched.borrow_and_update().is_active);
                    if watched.changed().await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = following => {}
                () = stopping.stopped() => {}
            }
        });
        let _ = self.parts.controller.set(status);
        let _ = self.parts.metadata.set(Box::new(controller.images()));
        if self.options.simulated {
            let _ = self.parts.raft.set(controller.inspection());
        }
        self.controller = Some(controller);
        Ok(())
    }

    async fn start_http(&mut self) -> io::Result<()> {
        let Some(listener) = self.config().network.http.clone() else { return Ok(()) };
        let socket = grpc::bind_or_any(&self.env, &listener.bind_addr(), listener.implicit).await?;
        self.http = Some(socket.local_addr()?);
        let guests = self.guests(self.config().network.http_connections_max);
        http::serve(socket, guests, self.metrics.clone(), self.look(), &self.main_tasks);
        Ok(())
    }

    async fn start_broker(&mut self) -> Result<(), NodeError> {
        let options = BrokerOptions {
            config: self.options.config.clone(),
            metrics: Arc::new(self.metrics.clone()),
            control: self.control.handle().clone(),
            controllers: self.controllers(),
            grpc: self.grpc.clone(),
        };
        let broker = Broker::start(options, self.env.clone()).await?;
        let _ = self.parts.broker.set(broker);
        Ok(())
    }

    /// What the listener of the main runtime serves: the broker, and the controller where it has no
    /// listener of its own.
    fn main_routes(&self) -> tonic::service::Routes {
        let has_own = self.config().listener(ListenerRole::Controller).is_some();
        let controller = self.controller.as_ref().filter(|_| !has_own).map(Controller::routes);
        let broker = self.parts.broker.get().map(Broker::routes);
        match (controller, broker) {
            (Some(controller), Some(broker)) => grpc::merged(controller, broker),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => tonic::service::Routes::default(),
        }
    }

    fn controller_options(&self) -> ControllerOptions {
        let config = self.config();
        let directory = config.quorum.metadata_dir.join(CONTROLLER_DIRECTORY);
        let address = self.controller_address();
        let mut options =
            ControllerOptions::new(config.node_id, directory, self.quorum_source(), address);
        let quorum = &config.quorum;
        options.auto_join = quorum.auto_join;
        options.raft.heartbeat_interval = quorum.heartbeat_interval;
        options.raft.election_timeout_min = quorum.election_timeout_min;
        options.raft.election_timeout_max = quorum.election_timeout_max;
        options.raft.snapshot_entries = quorum.snapshot_entries;
        options.raft.log_segment_bytes = quorum.log_segment_bytes;
        options.raft.simulated = self.options.simulated;
        options.liveness.session_timeout = config.liveness.session_timeout;
        let between_brokers =
            config.listener(ListenerRole::Grpc).or(config.listener(ListenerRole::Controller));
        options.liveness.probed_listener = between_brokers.map(|listener| listener.name.clone());
        let interval = config.replication.leader_imbalance_check_interval;
        options.liveness.rebalance_interval =
            config.replication.auto_leader_rebalance.then_some(interval);
        options.topics.partitions = i32::try_from(config.topics.partitions).unwrap_or(i32::MAX);
        options.topics.replication_factor =
            i16::try_from(config.topics.replication_factor).unwrap_or(i16::MAX);
        let unclean = config::Layers::fixed(&config.properties)
            .broker_value("unclean.leader.election.enable");
        options.topics.unclean_leader_election =
            unclean.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let minimum = config::Layers::fixed(&config.properties).broker_value("min.insync.replicas");
        options.topics.min_insync_replicas = minimum.and_then(|value| value.parse().ok());
        options.config_rules = Arc::new(TableRules { fixed: config.properties.clone() });
        options
    }

    /// Where other nodes reach this controller.
    fn controller_address(&self) -> String {
        let config = self.config();
        let own = config.quorum.voters.iter().find(|voter| voter.node_id == config.node_id);
        if let Some(voter) = own {
            return types::host_port(&voter.host, voter.port);
        }
        let listener =
            config.listener(ListenerRole::Controller).or(config.listener(ListenerRole::Grpc));
        listener.map(|listener| self.advertised(&listener.name)).unwrap_or_default()
    }

    /// `host:port` of a listener as others are told it.
    fn advertised(&self, name: &str) -> String {
        let kafka = self.parts.broker.get().map(Broker::addresses).unwrap_or_default();
        let bound = self.grpc.iter().chain(&kafka).find(|(bound, _)| bound == name);
        let endpoint =
            self.config().network.advertised.iter().find(|endpoint| endpoint.name == name);
        let host = endpoint.map_or("", |endpoint| endpoint.host.as_str());
        let port = endpoint.map_or(0, |endpoint| endpoint.port);
        // A port that was taken was replaced, unless it was advertised on purpose.
        let given = self.config().properties.contains("advertised.listeners") && port != 0;
        let port = if given { port } else { bound.map_or(port, |(_, address)| address.port()) };
        types::host_port(host, port)
    }

    fn quorum_source(&self) -> QuorumSource {
        let quorum = &self.config().quorum;
        if quorum.voters.is_empty() {
            return QuorumSource::Bootstrap(self.other_controllers());
        }
        let voters = quorum.voters.iter().map(|voter| controller::Voter {
            node_id: voter.node_id,
            address: types::host_port(&voter.host, voter.port),
        });
        QuorumSource::Voters(voters.collect())
    }

    /// The bootstrap servers but for this node itself.
    fn other_controllers(&self) -> Vec<String> {
        let own_port = self.local_controller().map(|address| address.port());
        let advertised = &self.config().network.advertised;
        let is_own_host = |host: &str| {
            let own = ["localhost", "127.0.0.1", "::1"].contains(&host);
            own || advertised.iter().any(|endpoint| endpoint.host == host)
        };
        let all = self.config().quorum.bootstrap.iter();
        let others = all.filter(|(host, port)| Some(*port) != own_port || !is_own_host(host));
        others.map(|(host, port)| types::host_port(host, port)).collect()
    }

    /// This node's own controller, on this machine.
    fn local_controller(&self) -> Option<SocketAddr> {
        if !self.config().roles.controller {
            return None;
        }
        // The controllers' listener comes first where there is one.
        self.grpc.first().map(|(_, address)| on_this_machine(*address))
    }

    /// The controllers for the broker, the local one first.
    fn controllers(&self) -> Vec<String> {
        let quorum = &self.config().quorum;
        let mut all: Vec<String> =
            self.local_controller().iter().map(SocketAddr::to_string).collect();
        let others = quorum.voters.iter().filter(|voter| voter.node_id != self.config().node_id);
        all.extend(others.map(|voter| types::host_port(&voter.host, voter.port)));
        if quorum.voters.is_empty() {
            all.extend(self.other_controllers());
        }
        all
    }

    fn look(&self) -> Look {
        let (parts, roles) = (self.parts.clone(), self.config().roles);
        Arc::new(move || {
            let status = parts.controller.get().map(|status| status.borrow().clone());
            let broker_ready = parts.broker.get().is_some_and(Broker::is_ready);
            let knows_leader = status.as_ref().is_some_and(|status| status.leader.is_some());
            Health {
                broker_ready: roles.broker.then_some(broker_ready),
                controller_ready: roles.controller.then_some(knows_leader),
                failure: status.and_then(|status| status.failure),
                stopping: parts.stopping.load(Ordering::Relaxed),
            }
        })
    }

    /// Until the node is told to stop or fails; says once that it is ready.
    async fn serve(&self, signals: &mut Signals) -> Result<(), NodeError> {
        let told = async {
            tokio::select! {
                () = signals.stop() => {}
                () = stdin_closed(), if self.options.stop_with_stdin => {}
            }
        };
        tokio::select! {
            () = told => Ok(()),
            failure = self.failure() => Err(failure),
            error = self.announce() => Err(NodeError::Start(error)),
        }
    }

    /// Waits for the node to be ready and says so. Returns only with an error.
    async fn announce(&self) -> io::Error {
        if let Some(mut status) = self.parts.controller.get().cloned() {
            // An error means that the controller ended, which `failure` tells.
            let _ = status.wait_for(|status| status.leader.is_some()).await;
        }
        if let Some(broker) = self.parts.broker.get() {
            broker.ready().await;
        }
        let ready = self.ready();
        tracing::info!(node = ready.node_id, cluster = ready.cluster_id, kafka = ?ready.kafka, "ready");
        if let Some(path) = &self.options.ready_file {
            let content = serde_json::to_vec_pretty(&ready).unwrap_or_default();
            if let Err(error) = write_file_atomically(self.env.disk.as_ref(), path, &content) {
                return io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            }
        }
        std::future::pending().await
    }

    fn ready(&self) -> Ready {
        let address =
            |name: &String| Address { listener: name.clone(), address: self.advertised(name) };
        let kafka = self.parts.broker.get().map(Broker::addresses).unwrap_or_default();
        let status = self.parts.controller.get().map(|status| status.borrow().cluster_id.clone());
        let image = self.parts.broker.get().map(|broker| broker.context().image.load());
        let of_image = || image.and_then(|image| image.cluster_id().map(str::to_owned));
        Ready {
            node_id: self.config().node_id.0,
            pid: std::process::id(),
            cluster_id: status.or_else(of_image).unwrap_or_default(),
            kafka: kafka.iter().map(|(name, _)| address(name)).collect(),
            grpc: self.grpc.iter().map(|(name, _)| address(name)).collect(),
            http: self.http.map(|address| on_this_machine(address).to_string()),
        }
    }

    /// Why the controller or the broker cannot go on; waits for ever where both can.
    pub(super) async fn failure(&self) -> NodeError {
        let broker = async {
            match self.parts.broker.get() {
                Some(broker) => broker.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.controller_failure() => NodeError::Failed(reason),
            reason = broker => NodeError::BrokerFailed(reason),
        }
    }

    async fn controller_failure(&self) -> String {
        let Some(mut status) = self.parts.controller.get().cloned() else {
            return std::future::pending().await;
        };
        let failed = status.wait_for(|status| status.failure.is_some()).await;
        failed
            .ok()
            .and_then(|status| status.failure.clone())
            .unwrap_or_else(|| "it ended".to_owned())
    }

    pub(super) async fn stop(&mut self) {
        self.parts.stopping.store(true, Ordering::Relaxed);
        tracing::info!("stopping");
        if let Some(broker) = self.parts.broker.get() {
            broker.controlled_shutdown().await;
        }
        let handing_over = self.controller.take().map(|controller| async move {
            controller.hand_over().await;
            controller
        });
        let controller = match handing_over {
            Some(handing_over) => Some(self.control.run(handing_over).await),
            None => None,
        };
        // The listener first: what comes in by it would ask a Raft that has ended.
        tokio::join!(
            self.main_tasks.shutdown(CONNECTION_GRACE),
            self.control_tasks.shutdown(CONNECTION_GRACE)
        );
        if let Some(controller) = controller {
            self.control.run(controller.shutdown()).await;
        }
    }
}

/// An address bound on all interfaces, as it is reached from here.
fn on_this_machine(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// Waits until the other end of standard input is gone.
async fn stdin_closed() {
    let (sender, closed) = tokio::sync::oneshot::channel::<()>();
    // A read of standard input cannot be given up, so it has a thread that ends with the process.
    env::tasks::thread("stdin", move || {
        let mut ignored = [0u8; 64];
        while let Ok(1..) = std::io::stdin().read(&mut ignored) {}
        drop(sender);
    });
    let _ = closed.await;
}
