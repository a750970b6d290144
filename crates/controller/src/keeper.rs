//! What the controller does by itself: naming the cluster, fencing and unfencing, rebalancing,
//! remembering the cluster's id, and telling how it is.

use crate::activity::Activity;
use crate::cluster_name::ClusterName;
use crate::decider::{SubmitError, Submitter};
use crate::liveness::Liveness;
use crate::options::ControllerOptions;
use crate::prober::Prober;
use crate::raft::MetaRaft;
use crate::status::Status;
use crate::store::identity::Identity;
use crate::view::View;
use env::{Env, Tasks};
use metadata::{
    Command, ConfigAlteration, ConfigChange, ConfigOperation, ConfigResource, ElectionKind,
    ElectionScope, MIN_INSYNC_REPLICAS, Reply,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Pause before a command of the controller's own is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The parts that the controller's own loops work with.
#[derive(Clone)]
pub struct Keeper {
    pub env: Env,
    pub raft: MetaRaft,
    pub view: View,
    pub activity: Activity,
    pub submitter: Submitter,
    pub liveness: Arc<Liveness>,
    /// Woken where a heartbeat may call for a command.
    pub attention: Arc<Notify>,
    pub cluster: ClusterName,
    pub failure: watch::Sender<Option<String>>,
    pub identity: Identity,
    pub options: ControllerOptions,
}

impl Keeper {
    /// Starts all loops; they end with the group. Returns the node's status.
    pub fn start(
        self,
        tasks: &Tasks,
        failures: watch::Receiver<Option<String>>,
    ) -> watch::Receiver<Status> {
        let (sender, status) = watch::channel(self.status(&failures));
        tasks.spawn(self.clone().remember_cluster());
        tasks.spawn(self.clone().name_cluster());
        tasks.spawn(self.clone().settle_minimum());
        tasks.spawn(self.clone().watch_brokers());
        let prober = Prober {
            env: self.env.clone(),
            view: self.view.clone(),
            activity: self.activity.clone(),
            liveness: self.liveness.clone(),
            attention: self.attention.clone(),
            listener: self.options.liveness.probed_listener.clone(),
        };
        tasks.spawn(prober.run());
        if let Some(interval) = self.options.liveness.rebalance_interval {
            tasks.spawn(self.clone().rebalance(interval));
        }
        tasks.spawn(self.report(sender, failures));
        status
    }

    fn status(&self, failures: &watch::Receiver<Option<String>>) -> Status {
        let report = self.raft.report();
        Status {
            cluster_id: self.cluster.get(),
            leader: report.leader.map(|leader| leader.node_id()),
            is_active: self.activity.is_active_in(report.term),
            term: report.term,
            version: self.view.version(),
            last_log_index: report.last_log_index.unwrap_or(0),
            last_applied_index: report.applied_index.unwrap_or(0),
            failure: failures.borrow().clone().or(report.failure),
        }
    }

    async fn report(
        self,
        sender: watch::Sender<Status>,
        mut failures: watch::Receiver<Option<String>>,
    ) {
        let mut reports = self.raft.watch();
        let mut versions = self.view.watch();
        let mut terms = self.activity.watch();
        loop {
            let status = self.status(&failures);
            sender.send_if_modified(|known| {
                let differs = *known != status;
                *known = status;
                differs
            });
            let changed = tokio::select! {
                changed = reports.changed() => changed,
                changed = versions.changed() => changed,
                changed = terms.changed() => changed,
                changed = failures.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Writes the cluster's id beside the log once it is committed.
    async fn remember_cluster(mut self) {
        let mut versions = self.view.watch();
        loop {
            versions.mark_unchanged();
            if let Some(id) = self.view.image().cluster_id().map(str::to_owned) {
                self.remember(id).await;
                return;
            }
            if versions.changed().await.is_err() {
                return;
            }
        }
    }

    async fn remember(&mut self, id: String) {
        if self.identity.cluster_id.as_ref() == Some(&id) {
            return;
        }
        if let Err(error) = self.cluster.check(&id) {
            tracing::error!(%error, "the log is another cluster's");
            self.failure.send_replace(Some(error.to_string()));
            return;
        }
        self.identity.cluster_id = Some(id.clone());
        let (identity, env) = (self.identity.clone(), self.env.clone());
        let directory = self.options.directory.clone();
        let save = move || identity.save(&env, &directory);
        let saved =
            if self.options.raft.simulated { save() } else { env::tasks::blocking(save).await };
        if let Err(error) = saved {
            tracing::error!(%error, "the cluster's id cannot be stored");
            self.failure.send_replace(Some(error.to_string()));
            return;
        }
        if let Err(error) = self.cluster.set(&id) {
            self.failure.send_replace(Some(error.to_string()));
        }
        tracing::info!(cluster_id = id, "this node belongs to the cluster");
        // The status tells the cluster's id.
        self.failure.send_modify(|_| {});
    }

    /// The first active controller of a cluster gives it its id.
    async fn name_cluster(self) {
        let mut terms = self.activity.watch();
        loop {
            if terms.wait_for(Option::is_some).await.is_err() {
                return;
            }
            if self.view.image().cluster_id().is_some() {
                return;
            }
            let given = self.options.cluster_id.clone();
            let cluster_id = given.unwrap_or_else(|| self.env.rng.uuid().to_string());
            if self.submitter.submit(Command::NameCluster { cluster_id }).await.is_err() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// A cluster has one `min.insync.replicas` for all brokers, in its metadata: the first active
    /// controller's file gives it.
    async fn settle_minimum(self) {
        let Some(in_file) = self.options.topics.min_insync_replicas else { return };
        let mut terms = self.activity.watch();
        loop {
            if terms.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let image = self.view.image();
            if let Some(known) =
                image.configs(&ConfigResource::ClusterDefault).get(MIN_INSYNC_REPLICAS)
            {
                if *known != in_file.to_string() {
                    tracing::warn!(
                        in_file,
                        cluster = known,
                        "{MIN_INSYNC_REPLICAS} of the cluster counts, not the file's"
                    );
                }
                return;
            }
            if image.cluster_id().is_none() || !self.set_minimum(in_file).await {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn set_minimum(&self, value: u32) -> bool {
        let change = ConfigChange {
            name: MIN_INSYNC_REPLICAS.to_owned(),
            operation: ConfigOperation::Set,
            value: Some(value.to_string()),
        };
        let resource = ConfigResource::ClusterDefault;
        let resources = vec![ConfigAlteration { resource, changes: vec![change] }];
        let command = Command::IncrementalAlterConfigs { resources, validate_only: false };
        match self.submitter.submit(command).await {
            Ok((Reply::ConfigsAltered(outcomes), _)) => {
                outcomes.iter().all(|one| one.outcome.is_ok())
            }
            Ok(_) | Err(SubmitError::NotActive | SubmitError::Overloaded) => false,
        }
    }

    /// While active: fences the silent, unfences those who have caught up, lets go who wants to.
    async fn watch_brokers(self) {
        let mut terms = self.activity.watch();
        loop {
            if terms.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let term = *terms.borrow_and_update();
            self.liveness.activate(self.env.clock.now());
            while *terms.borrow() == term {
                self.command_due().await;
                let patience = self.liveness.patience(self.env.clock.now());
                tokio::select! {
                    () = tokio::time::sleep(patience) => {}
                    () = self.attention.notified() => {}
                    changed = terms.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    async fn command_due(&self) {
        let due = self.liveness.due(&self.view.image(), self.env.clock.now());
        // All at once, so that they share a batch.
        let commands = due.into_iter().map(|command| async move {
            let name = command.name();
            match self.submitter.submit(command.clone()).await {
                Ok((Reply::Refused(refusal), _)) => {
                    tracing::debug!(name, %refusal, "refused a command of the controller's own");
                }
                Ok(_) => tracing::info!(?command, "broker's standing changed"),
                Err(SubmitError::NotActive | SubmitError::Overloaded) => {}
            }
        });
        futures::future::join_all(commands).await;
    }

    /// Lets preferred leaders lead again, now and then.
    async fn rebalance(self, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            if !self.activity.is_active() {
                continue;
            }
            let election = ElectionKind::Preferred;
            let command = Command::ElectLeaders { election, partitions: ElectionScope::All };
            if let Ok((Reply::LeadersElected(elected), _)) = self.submitter.submit(command).await
                && !elected.is_empty()
            {
                tracing::info!(partitions = elected.len(), "preferred leaders lead again");
            }
        }
    }
}
