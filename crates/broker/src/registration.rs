//! The broker's membership: registered once it knows its cluster, unfenced once it has caught up,
//! registered again when the cluster has forgotten it, out under control at the end.
//!
//! Promises:
//! - a broker registers only with a cluster whose id it has read from committed metadata;
//! - it asks to be unfenced only after it has applied its own registration, so that it knows that
//!   this incarnation leads nothing of what the one before it led;
//! - what it has lost of what the metadata counts on is told before that;
//! - the same incarnation is kept for the life of the process.
//!
//! Runs on the control runtime.

use crate::broker;
use crate::context::BrokerCore;
use crate::heartbeat::{Heartbeats, Verdict, Wishes};
use crate::replica::ReplicaManager;
use config::{ListenerRole, NodeConfig};
use env::Tasks;
use metadata::{Broker, Command, Endpoint, RegisterBroker, Reply};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::{BrokerEpoch, ErrorCode, MetadataVersion};

const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How far a broker has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Reads the cluster's metadata.
    CatchingUp,
    /// Has registered and knows the cluster as it was then: may answer clients, but leads nothing
    /// yet.
    Registered,
    /// Takes part.
    Unfenced,
}

/// Keeps the broker registered.
pub struct Registration {
    pub core: Arc<BrokerCore>,
    pub heartbeats: Arc<Heartbeats>,
    pub endpoints: Vec<Endpoint>,
    pub replicas: Arc<ReplicaManager>,
    pub phase: watch::Sender<Phase>,
    /// Why the broker cannot go on.
    pub failure: watch::Sender<Option<String>>,
    /// The control runtime's tasks.
    pub tasks: Tasks,
}

impl Registration {
    /// Registers and stays registered.
    pub async fn run(self) {
        let cluster_id = self.learn_cluster().await;
        if let Err(reason) = self.replicas.join_cluster(&cluster_id).await {
            tracing::error!(%reason, "this broker cannot join the cluster");
            self.failure.send_replace(Some(reason));
            return;
        }
        let version = self.register(&cluster_id).await;
        for address in self.core.controller.addresses() {
            broker::spawn(&self.tasks, self.heartbeats.clone().keep(address.clone()));
        }
        let mut verdicts = self.heartbeats.verdict.subscribe();
        // Clients must not be told the history that is still being replayed.
        self.wait_applied(version).await;
        // An unfenced broker may be elected by what it held once.
        self.replicas.report_losses().await;
        self.raise(Phase::Registered);
        loop {
            self.want_unfence(true);
            if self.watch_over(&mut verdicts).await.is_err() {
                return;
            }
            tracing::warn!(broker = %self.core.node_id, "the cluster forgot this broker");
            self.want_unfence(false);
            let version = self.register(&cluster_id).await;
            self.wait_applied(version).await;
            // Answers to the old epoch may still be under way.
            verdicts.mark_unchanged();
        }
    }

    /// Follows the verdicts until one says that the registration is unknown.
    async fn watch_over(
        &self,
        verdicts: &mut watch::Receiver<Verdict>,
    ) -> Result<(), watch::error::RecvError> {
        loop {
            verdicts.changed().await?;
            let verdict = *verdicts.borrow_and_update();
            if verdict.unknown {
                return Ok(());
            }
            if !verdict.fenced {
                self.raise(Phase::Unfenced);
            }
        }
    }

    async fn learn_cluster(&self) -> String {
        let mut applied = self.core.image.watch();
        loop {
            if let Some(cluster_id) = self.core.image.load().cluster_id() {
                return cluster_id.to_owned();
            }
            if applied.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Registers, however often it takes, and says at which version it holds.
    async fn register(&self, cluster_id: &str) -> MetadataVersion {
        let command = Command::RegisterBroker(RegisterBroker {
            broker_id: self.core.node_id,
            cluster_id: cluster_id.to_owned(),
            incarnation_id: self.core.incarnation_id,
            endpoints: self.endpoints.clone(),
            rack: self.core.config.rack.clone(),
            log_dirs: self.replicas.directory_ids().to_vec(),
            features: Vec::new(),
            previous_epoch: self.replicas.previous_broker_epoch().unwrap_or(BrokerEpoch::NONE),
            session_alive: false,
        });
        loop {
            match self.core.controller.submit(command.clone()).await {
                Ok((Reply::BrokerRegistered { broker_epoch }, version)) => {
                    self.core.broker_epoch.set(broker_epoch);
                    tracing::info!(broker = %self.core.node_id, %broker_epoch, "registered");
                    return version;
                }
                // The process before this one may still count as alive for a session timeout.
                Ok((Reply::Refused(refusal), _))
                    if refusal.code == ErrorCode::DuplicateBrokerRegistration =>
                {
                    tracing::info!(%refusal, "registration has to wait");
                }
                Ok((reply, _)) => tracing::error!(?reply, "registration refused"),
                Err(error) => tracing::warn!(%error, "registration failed; trying again"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn wait_applied(&self, version: MetadataVersion) {
        let mut applied = self.core.image.watch();
        // An error means that the broker is gone, and this task with it.
        let _ = applied.wait_for(|applied| *applied >= version).await;
    }

    fn want_unfence(&self, unfence: bool) {
        self.heartbeats.wishes.send_modify(|wishes| wishes.unfence = unfence);
    }

    fn raise(&self, phase: Phase) {
        self.phase.send_if_modified(|current| {
            let higher = phase > *current;
            *current = phase.max(*current);
            higher
        });
    }
}

/// Where a broker serves replica streams: its gRPC listener, by the name that this node's own one
/// has; where it has none, the controller's listener serves all of gRPC.
pub fn replica_endpoint<'a>(broker: &'a Broker, config: &NodeConfig) -> Option<&'a Endpoint> {
    let of_role = |role| {
        let listeners = config.network.listeners.iter().filter(move |own| own.role == role);
        listeners.filter_map(|own| broker.endpoint(&own.name)).next()
    };
    of_role(ListenerRole::Grpc).or_else(|| of_role(ListenerRole::Controller))
}

/// Asks to leave, and waits until this broker leads nothing that another one could lead. Without a
/// quorum of controllers nothing can move: then it returns early. Bounded by the caller.
pub async fn leave(core: &BrokerCore, heartbeats: &Heartbeats) {
    let broker_epoch = core.broker_epoch.get();
    if broker_epoch == BrokerEpoch::NONE {
        return;
    }
    tokio::select! {
        () = move_leaders(core, heartbeats, broker_epoch) => {}
        () = core.controller.quorum_unreachable() => {
            tracing::warn!("no quorum of controllers is reachable; stopping without moving leaders");
        }
    }
}

async fn move_leaders(core: &BrokerCore, heartbeats: &Heartbeats, broker_epoch: BrokerEpoch) {
    let mut verdicts = heartbeats.verdict.subscribe();
    heartbeats.wishes.send_replace(Wishes { unfence: false, shutdown: true });
    let command = Command::BeginControlledShutdown { broker_id: core.node_id, broker_epoch };
    match core.controller.submit(command).await {
        Ok((Reply::Done, version)) => {
            core.image.wait_for(version, crate::controller_client::SUBMIT_TIMEOUT).await;
        }
        Ok((reply, _)) => tracing::warn!(?reply, "controlled shutdown refused"),
        Err(error) => tracing::warn!(%error, "controlled shutdown without a controller"),
    }
    loop {
        let image = core.image.load();
        let movable = image.leaders_of(core.node_id).any(|(_, partition)| partition.isr.len() > 1);
        if !movable || verdicts.borrow_and_update().should_shutdown {
            return;
        }
        if verdicts.changed().await.is_err() {
            return;
        }
    }
}
