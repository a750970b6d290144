//! [`ReplicaManager`]: every partition that this broker holds, and the streams between brokers.
//!
//! Promises:
//! - the metadata is followed in order, one image at a time ([`ReplicaManager::apply`]), from the
//!   first image that shows this start as registered: those before it are history;
//! - a partition's files go only on a removal that the metadata has committed and that matches the
//!   topic id on disk; a partition that the metadata does not know becomes `-stray`;
//! - partitions are looked up without a lock.

use super::failures::{DirFailures, Unserved as UnservedReplicas};
use super::fetcher::{self, FollowLink};
use super::isr::IsrQueue;
use super::partition::{Partition, PartitionView, Shared};
use super::roles::broker_states;
use super::session::{self, Session};
use super::settings::{log_config, topic_config};
use super::stall::DirHealth;
use crate::broker::spawn;
use crate::context::BrokerCore;
use arc_swap::ArcSwap;
use futures::StreamExt;
use log::{LogDirs, LogManager, LogManagerOptions, TailLimits};
use metadata::{Image, ImageChanges, PartitionChange};
use replication::BrokerState;
use rpc::replica::replica_server::{Replica, ReplicaServer};
use rpc::replica::{FollowRequest, FollowResponse};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::{BrokerEpoch, DirectoryId, ErrorCode, NodeId, TopicIdPartition, TopicPartition};

type Partitions = BTreeMap<TopicIdPartition, Arc<Partition>>;

/// Owns every partition that this broker holds.
pub struct ReplicaManager {
    core: Arc<BrokerCore>,
    shared: Arc<Shared>,
    logs: Arc<LogManager>,
    directory_ids: Vec<DirectoryId>,
    previous_broker_epoch: Option<BrokerEpoch>,
    partitions: ArcSwap<Partitions>,
    /// Held by whoever changes the map of partitions.
    following: Mutex<()>,
    unserved: UnservedReplicas,
    links: Mutex<BTreeMap<NodeId, Arc<FollowLink>>>,
    /// Changes that wait for a disk that hangs.
    deferred: Mutex<BTreeSet<TopicIdPartition>>,
    /// How compaction is to run.
    cleaner: watch::Sender<config::CleanerConfig>,
    /// Counts the times that all streams to followers were ended.
    streams_ended: watch::Sender<u64>,
    /// The images have reached the registration of this start.
    is_current: AtomicBool,
    own: Weak<ReplicaManager>,
}

/// A partition that this broker cannot serve, as clients are told.
pub type Unserved = ErrorCode;

impl ReplicaManager {
    /// Opens the log directories of `core.config` and starts the upkeep.
    pub async fn start(core: Arc<BrokerCore>) -> Result<Arc<ReplicaManager>, String> {
        let (opening, wall) = (core.clone(), core.env.clock.wall());
        let (logs, directory_ids, previous_broker_epoch) =
            env::tasks::blocking(move || open_logs(&opening, wall)).await?;
        let isr_queue = IsrQueue::default();
        let shared = Arc::new(Shared {
            env: core.env.clone(),
            node_id: core.node_id,
            metrics: core.metrics.clone(),
            isr_queue: isr_queue.clone(),
            failures: DirFailures::default(),
            tails: tail_limits(&core),
            healths: healths(&logs, core.config.storage.disks.stall),
            tasks: core.tasks.clone(),
        });
        spawn(&core.tasks, isr_queue.run(core.clone()));
        let manager = Arc::new_cyclic(|own| ReplicaManager {
            core: core.clone(),
            shared,
            logs: Arc::new(logs),
            directory_ids,
            previous_broker_epoch,
            partitions: ArcSwap::default(),
            following: Mutex::default(),
            unserved: UnservedReplicas::default(),
            links: Mutex::default(),
            deferred: Mutex::default(),
            cleaner: watch::Sender::new(core.config.storage.cleaner.clone()),
            streams_ended: watch::Sender::new(0),
            is_current: false.into(),
            own: own.clone(),
        });
        super::upkeep::start(&core, &manager);
        let failures = manager.shared.failures.clone();
        spawn(&core.tasks, failures.run(Arc::downgrade(&manager)));
        super::cleaner::start(&core, &manager, manager.cleaner.subscribe());
        super::scrubber::start(&core, &manager);
        spawn(&core.tasks, super::quarantine::run(Arc::downgrade(&manager), core.clone()));
        Ok(manager)
    }

    /// The cluster that the log directories belong to, if they belong to one.
    pub fn cluster_id(&self) -> Option<String> {
        self.logs.cluster_id()
    }

    /// Binds the log directories to the cluster; an error names both clusters.
    pub async fn join_cluster(&self, cluster_id: &str) -> Result<(), String> {
        let (logs, cluster_id) = (self.logs.clone(), cluster_id.to_owned());
        let joined = env::tasks::blocking(move || logs.join_cluster(&cluster_id)).await;
        joined.map_err(|error| error.to_string())
    }

    pub fn directory_ids(&self) -> &[DirectoryId] {
        &self.directory_ids
    }

    /// The broker epoch of the last clean shutdown.
    pub fn previous_broker_epoch(&self) -> Option<BrokerEpoch> {
        self.previous_broker_epoch
    }

    pub(super) fn core(&self) -> &Arc<BrokerCore> {
        &self.core
    }

    /// Whether the images have reached the registration of this start.
    pub(super) fn is_current(&self) -> bool {
        self.is_current.load(Ordering::Acquire)
    }

    pub(super) fn unserved(&self) -> &UnservedReplicas {
        &self.unserved
    }

    pub(super) fn failures(&self) -> &DirFailures {
        &self.shared.failures
    }

    pub(super) fn set_partitions(&self, partitions: Partitions) {
        self.partitions.store(Arc::new(partitions));
    }

    pub(super) fn following(&self) -> std::sync::MutexGuard<'_, ()> {
        self.following.lock().expect("no thread panicked while it followed an image")
    }

    /// Tries again to make what there was no room for. Blocks.
    pub(super) fn retry_waiting(&self) {
        let image = self.core.image.load();
        let _one = self.following();
        let brokers = broker_states(&image);
        for id in self.unserved.waiting() {
            self.apply_one(&image, id, &brokers);
        }
    }

    /// Brings a partition to where the image has it.
    fn apply_one(
        &self,
        image: &Image,
        id: TopicIdPartition,
        brokers: &BTreeMap<NodeId, BrokerState>,
    ) {
        let topic_name = image.topic(id.topic_id).map(|topic| topic.name.clone());
        let change = PartitionChange {
            partition: id,
            topic_name: topic_name.unwrap_or_default(),
            before: None,
            after: image.partition(id).cloned(),
        };
        let (mut partitions, mut gone) = ((*self.partitions.load_full()).clone(), Vec::new());
        self.apply_partition(image, &change, brokers, &mut partitions, &mut gone);
        self.partitions.store(Arc::new(partitions));
        for (partition, is_deleted) in gone {
            self.drop_partition(&partition, is_deleted);
        }
    }

    /// The same for whoever holds [`ReplicaManager::following`].
    pub(super) fn apply_again(&self, image: &Image, id: TopicIdPartition) {
        self.apply_one(image, id, &broker_states(image));
    }

    /// Ends what this broker does for a partition, and forgets it; its files stay.
    pub(super) fn let_go(&self, id: TopicIdPartition) {
        let mut partitions = (*self.partitions.load_full()).clone();
        if let Some(partition) = partitions.remove(&id) {
            self.partitions.store(Arc::new(partitions));
            partition.idle(types::LeaderEpoch(i32::MAX));
        }
    }

    pub(super) fn log_config_of(&self, image: &Image, topic: &str) -> log::LogConfig {
        log_config(&topic_config(image, &self.core.config, topic), &self.core.config)
    }

    /// What had to wait for disks that hung. Blocks.
    pub(super) fn apply_deferred(&self) {
        let _one = self.following();
        let image = self.core.image.load();
        let brokers = broker_states(&image);
        let ids = std::mem::take(&mut *self.deferred());
        for id in ids {
            if let Some(partition) = self.partition(&id) {
                partition.stage(self.config_of(&image, &partition));
            }
            self.apply_one(&image, id, &brokers);
            if let Some(partition) = self.partition(&id) {
                self.configure(&image, &partition);
            }
        }
    }

    /// Whether a change waits that need not wait any more.
    pub(super) fn can_apply_deferred(&self) -> bool {
        let is_free = |id: &TopicIdPartition| {
            self.partition(id).is_none_or(|partition| !partition.is_suspect())
        };
        self.deferred().iter().any(is_free)
    }

    /// Ends the streams to followers: whoever serves one may hang in a disk. They come back at once,
    /// and are sent what lies elsewhere.
    pub(super) fn end_streams(&self) {
        self.streams_ended.send_modify(|count| *count += 1);
    }

    fn deferred(&self) -> std::sync::MutexGuard<'_, BTreeSet<TopicIdPartition>> {
        self.deferred.lock().expect("no thread panicked while it held the deferred changes")
    }

    /// The log directories that are open, as they are watched.
    pub(super) fn healths(&self) -> Vec<Arc<DirHealth>> {
        self.shared.healths.clone()
    }

    /// Watches the disks, for ever; on the control runtime.
    pub async fn watch_disks(self: Arc<Self>) {
        let core = self.core.clone();
        let own = self.own.clone();
        drop(self);
        super::gray::watch(own, core).await;
    }

    pub fn logs(&self) -> &Arc<LogManager> {
        &self.logs
    }

    /// The partition, if this broker holds it.
    pub fn partition(&self, id: &TopicIdPartition) -> Option<Arc<Partition>> {
        self.partitions.load().get(id).cloned()
    }

    /// The partition that clients name, or what to tell them.
    pub fn find(&self, image: &Image, name: &str, index: i32) -> Result<Arc<Partition>, Unserved> {
        let topic = image.topic_by_name(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        self.find_by_id(image, topic.id, index)
    }

    /// The partition that clients name by its topic's id, or what to tell them.
    pub fn find_by_id(
        &self,
        image: &Image,
        topic_id: types::TopicId,
        index: i32,
    ) -> Result<Arc<Partition>, Unserved> {
        let id = TopicIdPartition { topic_id, partition: types::PartitionIndex(index) };
        image.partition(id).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        match self.partition(&id) {
            Some(partition) => Ok(partition),
            None if self.unserved.has_failed(&id) || self.unserved.is_gone(&id) => {
                Err(ErrorCode::KafkaStorageError)
            }
            None => Err(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// Every partition held here.
    pub fn partitions(&self) -> Arc<Partitions> {
        self.partitions.load_full()
    }

    pub fn describe_partition(&self, id: &TopicIdPartition) -> Option<PartitionView> {
        self.partition(id).map(|partition| partition.view())
    }

    /// Follows the metadata from one image to the next; called in order, never concurrently.
    /// Returns when every partition has its new role.
    pub async fn apply(&self, old: &Arc<Image>, new: &Arc<Image>) {
        let Some(manager) = self.own.upgrade() else { return };
        let (old, new) = (old.clone(), new.clone());
        env::tasks::blocking(move || manager.apply_now(&old, &new)).await;
    }

    /// A controller may tell a new start all that ever happened. What was so then may have changed
    /// twice since: a topic that was deleted and made again under its name, a replica that went and
    /// came back. To follow that would throw away what is on disk now.
    fn apply_now(&self, old: &Image, new: &Image) {
        let _one = self.following();
        if self.is_current.load(Ordering::Acquire) {
            return self.follow_image(old, new);
        }
        if self.is_own_incarnation(new) {
            self.follow_image(&Image::default(), new);
            self.set_strays_aside(new);
            self.is_current.store(true, Ordering::Release);
        }
    }

    fn follow_image(&self, old: &Image, new: &Image) {
        let changes = ImageChanges::between(old, new);
        let brokers = broker_states(new);
        self.for_configured(&changes, |partition| partition.stage(self.config_of(new, partition)));
        let mut partitions = (*self.partitions.load_full()).clone();
        let mut gone = Vec::new();
        for change in &changes.partitions {
            self.apply_partition(new, change, &brokers, &mut partitions, &mut gone);
        }
        self.partitions.store(Arc::new(partitions));
        for (partition, is_deleted) in gone {
            self.drop_partition(&partition, is_deleted);
        }
        self.for_configured(&changes, |partition| self.configure(new, partition));
        self.configure_cleaner(new);
        if !changes.brokers.is_empty() {
            self.apply_brokers(new, &brokers);
        }
    }

    fn apply_partition(
        &self,
        image: &Image,
        change: &PartitionChange,
        brokers: &BTreeMap<NodeId, BrokerState>,
        partitions: &mut Partitions,
        gone: &mut Vec<(Arc<Partition>, bool)>,
    ) {
        if partitions.get(&change.partition).is_some_and(|partition| partition.is_suspect()) {
            self.deferred().insert(change.partition);
            return;
        }
        let after = change.after.as_deref().filter(|at| at.is_replica(self.core.node_id));
        let Some(at) = after else {
            self.unserved.forget(&change.partition);
            if let Some(partition) = partitions.remove(&change.partition) {
                gone.push((partition, change.after.is_none()));
            }
            return;
        };
        let partition = match partitions.get(&change.partition) {
            Some(partition) => partition.clone(),
            None if self.unserved.has_failed(&change.partition) => return,
            None if self.has_lost(image, change, at) => return,
            None => match self.open(image, change, at) {
                Ok(partition) => {
                    self.unserved.forget(&change.partition);
                    partitions.insert(change.partition, partition.clone());
                    // Followers and clients may ask as soon as the role is there.
                    self.partitions.store(Arc::new(partitions.clone()));
                    partition
                }
                Err(error) => {
                    tracing::error!(topic = change.topic_name, %error, "cannot hold the partition");
                    return;
                }
            },
        };
        partition.is_member.store(at.in_isr(self.core.node_id), Ordering::Release);
        partition.has_seen(at);
        if at.leader == self.core.node_id {
            if self.is_own_incarnation(image) {
                partition.lead(at, brokers, &self.core.config);
            }
        } else if at.has_leader() {
            partition.follow(at, &self.link(at.leader));
        } else {
            partition.idle(at.leader_epoch);
        }
    }

    /// An image that still shows a former start of this broker as leader is history: the controller
    /// has taken, or will take, the leadership away before it lets this start serve.
    fn is_own_incarnation(&self, image: &Image) -> bool {
        image
            .broker(self.core.node_id)
            .is_some_and(|broker| broker.incarnation_id == self.core.incarnation_id)
    }

    /// An error has been taken note of: the controller will be told.
    fn open(
        &self,
        image: &Image,
        change: &PartitionChange,
        at: &metadata::Partition,
    ) -> Result<Arc<Partition>, String> {
        let id = change.partition;
        let name = TopicPartition { topic: change.topic_name.clone(), partition: id.partition };
        let config = topic_config(image, &self.core.config, &name.topic);
        let log_config = log_config(&config, &self.core.config);
        let is_new = at.partition_epoch.0 == 0 && at.leader_epoch.0 == 0;
        let may_be_offline = self.logs.has_offline() && self.logs.get(&name).is_none();
        // Not even where nobody counts on it: when the directory is back, the partition would be in
        // two.
        if may_be_offline && !is_new {
            self.unserved.fail(id);
            self.shared.failures.wake();
            return Err("it may lie in a log directory that is offline".to_owned());
        }
        let Some(directory) = self.directory_for(&name) else {
            self.unserved.wait(id);
            self.shared.failures.wake();
            return Err("no log directory answers".to_owned());
        };
        let log = self.logs.get_or_create(&name, id.topic_id, log_config.clone(), directory);
        let log = log.map_err(|error| {
            match error.is_no_space() {
                true => self.unserved.wait(id),
                false => self.unserved.fail(id),
            }
            self.shared.failures.push(&error);
            self.shared.failures.wake();
            error.to_string()
        })?;
        log.lock().set_config(log_config);
        Ok(Partition::new(id, name, log, config, self.shared.clone()))
    }

    /// Where a new partition goes while some disks hang: `Some(None)` leaves it to the log manager,
    /// `None` is nowhere.
    fn directory_for(&self, name: &TopicPartition) -> Option<Option<DirectoryId>> {
        let is_usual = self.shared.healths.iter().all(|health| !health.is_stuck());
        if is_usual || self.logs.get(name).is_some() {
            return Some(None);
        }
        let is_stuck = |path: &std::path::Path| {
            self.shared.healths.iter().any(|health| health.path == path && health.is_stuck())
        };
        let directories = self.logs.directories();
        let free = directories.iter().find(|(_, path)| !is_stuck(path));
        free.map(|(id, _)| Some(*id))
    }

    fn drop_partition(&self, partition: &Arc<Partition>, is_deleted: bool) {
        partition.idle(types::LeaderEpoch(i32::MAX));
        self.core.metrics.forget_partition(&partition.name.topic, partition.name.partition);
        tracing::info!(partition = %partition.name, is_deleted, "partition removed");
        match self.logs.delete(&partition.name, partition.id.topic_id) {
            Ok(Some(job)) => self.shared.tasks.spawn(async move {
                if let Err(error) = env::tasks::blocking(move || job.run()).await {
                    tracing::error!(%error, "cannot remove a deleted partition's files");
                }
            }),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(partition = %partition.name, %error, "cannot delete partition");
            }
        }
    }

    /// Every partition whose settings may be others.
    fn for_configured(&self, changes: &ImageChanges, act: impl Fn(&Arc<Partition>)) {
        if changes.configs.is_empty() {
            return;
        }
        let is_wide = changes.configs.iter().any(|resource| match resource {
            metadata::ConfigResource::Topic(_) => false,
            metadata::ConfigResource::Broker(_) | metadata::ConfigResource::ClusterDefault => true,
        });
        for partition in self.partitions.load().values() {
            let resource = metadata::ConfigResource::Topic(partition.name.topic.clone());
            if is_wide || changes.configs.contains(&resource) {
                act(partition);
            }
        }
    }

    fn configure_cleaner(&self, image: &Image) {
        let settings = super::cleaner::settings(image, &self.core.config);
        self.cleaner.send_if_modified(|now| {
            let is_other = *now != settings;
            *now = settings;
            is_other
        });
    }

    fn config_of(&self, image: &Image, partition: &Partition) -> Arc<config::TopicConfig> {
        topic_config(image, &self.core.config, &partition.name.topic)
    }

    fn configure(&self, image: &Image, partition: &Arc<Partition>) {
        if partition.is_suspect() {
            self.deferred().insert(partition.id);
            return;
        }
        let config = self.config_of(image, partition);
        let log_config = log_config(&config, &self.core.config);
        partition.configure(config, log_config, &self.core.config);
    }

    /// Brokers came, went, or were fenced: leaders look at their followers again, and a stream
    /// whose broker is gone ends. Partitions that wait for this incarnation begin to lead.
    fn apply_brokers(&self, image: &Image, brokers: &BTreeMap<NodeId, BrokerState>) {
        for partition in self.partitions.load().values() {
            let Some(at) = image.partition(partition.id) else { continue };
            if partition.is_suspect() {
                self.deferred().insert(partition.id);
                continue;
            }
            if at.leader == self.core.node_id && self.is_own_incarnation(image) {
                partition.lead(at, brokers, &self.core.config);
            }
        }
        self.links().retain(|leader, link| {
            let is_known = image.broker(*leader).is_some();
            match is_known {
                true => link.look_again(),
                false => link.stop(),
            }
            is_known
        });
    }

    fn links(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Arc<FollowLink>>> {
        self.links.lock().expect("no thread panicked while it held the links")
    }

    /// Whether a leader's stream has just broken while the image still has it alive: an election may
    /// be under way.
    pub fn expects_election(&self, image: &Image, time: Duration) -> bool {
        let now = self.core.env.clock.now();
        let is_alive = |id| image.broker(id).is_some_and(|broker| !broker.fenced);
        self.links().values().any(|link| link.has_just_broken(now, time) && is_alive(link.leader))
    }

    /// The stream to a leader, started if there is none.
    fn link(&self, leader: NodeId) -> Arc<FollowLink> {
        let mut links = self.links();
        if let Some(link) = links.get(&leader) {
            return link.clone();
        }
        let link = FollowLink::new(leader);
        links.insert(leader, link.clone());
        let running = fetcher::run(link.clone(), self.core.clone(), self.own.clone());
        spawn(&self.core.tasks, running);
        link
    }

    /// What lies on disk and is not ours by a current image is set aside, never removed.
    fn set_strays_aside(&self, image: &Image) {
        for (name, topic_id, _) in self.logs.partitions() {
            let id = TopicIdPartition { topic_id, partition: name.partition };
            let is_ours = image.partition(id).is_some_and(|at| at.is_replica(self.core.node_id));
            if is_ours {
                continue;
            }
            match self.logs.set_aside(&name) {
                Ok(path) => tracing::warn!(
                    partition = %name, ?path, "not in the cluster's metadata: set aside as stray"
                ),
                Err(error) => tracing::error!(partition = %name, %error, "cannot set aside"),
            }
        }
        let is_over = |name: &TopicPartition| {
            let at =
                image.topic_by_name(&name.topic).and_then(|topic| topic.partition(name.partition));
            !at.is_some_and(|at| at.is_replica(self.core.node_id))
        };
        if let Err(error) = self.logs.forget_missing(is_over) {
            tracing::error!(%error, "cannot forget what is no longer this broker's");
        }
    }

    /// A follower's stream ended.
    pub fn end_session(&self, session: &Arc<Session>) {
        for partition in self.partitions.load().values() {
            partition.unsubscribe(session);
        }
    }

    /// The gRPC service for other brokers.
    pub fn service(self: &Arc<Self>) -> ReplicaServer<ReplicaService> {
        ReplicaServer::new(ReplicaService(self.clone()))
            .max_decoding_message_size(crate::channel::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(crate::channel::MESSAGE_BYTES_MAX)
    }

    /// Ends every role, flushes and closes every log. `broker_epoch` goes into the clean-shutdown
    /// marker.
    pub async fn shutdown(&self) {
        for link in self.links().values() {
            link.stop();
        }
        let (logs, epoch) = (self.logs.clone(), self.core.broker_epoch.get());
        let partitions = self.partitions.load_full();
        let closed = env::tasks::blocking(move || {
            for partition in partitions.values() {
                partition.idle(types::LeaderEpoch(i32::MAX));
            }
            logs.shut_down(epoch)
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "log directories not closed cleanly");
        }
    }
}

fn healths(logs: &LogManager, limit: Option<Duration>) -> Vec<Arc<DirHealth>> {
    logs.directories().iter().map(|(_, path)| DirHealth::new(path, limit)).collect()
}

fn tail_limits(core: &BrokerCore) -> TailLimits {
    let tails = core.config.storage.tail_cache;
    TailLimits::new(tails.node_bytes, tails.partition_bytes)
}

type OpenedLogs = (LogManager, Vec<DirectoryId>, Option<BrokerEpoch>);

fn open_logs(core: &BrokerCore, wall: types::Timestamp) -> Result<OpenedLogs, String> {
    let storage = &core.config.storage;
    let env = &core.env;
    let dirs = LogDirs::open(env.disk.clone(), &storage.log_dirs, core.node_id, &*env.rng)
        .map_err(|error| error.to_string())?;
    let directory_ids = dirs.directory_ids();
    let previous = dirs.previous_broker_epoch();
    let node = core.config.clone();
    let options = LogManagerOptions {
        recovery_threads: storage.recovery_threads_per_dir as usize,
        config_of: Arc::new(move |topic| {
            log_config(&topic_config(&Image::default(), &node, topic), &node)
        }),
        now: wall,
        open_files_max: storage.open_files_max as usize,
    };
    let (logs, report) = LogManager::open(dirs, options).map_err(|error| error.to_string())?;
    tracing::info!(
        partitions = report.partitions,
        recovered = report.recovered,
        recovered_bytes = report.recovered_bytes,
        cut_bytes = report.cut_bytes,
        "log directories open"
    );
    for log::ClosedLog { partition, reason, .. } in &report.damaged {
        tracing::error!(%partition, reason, "partition is damaged and stays closed");
    }
    for error in &report.offline {
        tracing::error!(%error, "log directory is offline");
    }
    Ok((logs, directory_ids, previous))
}

/// The replica service of `proto/ottla/replica.proto`.
pub struct ReplicaService(Arc<ReplicaManager>);

#[tonic::async_trait]
impl Replica for ReplicaService {
    type FollowStream =
        Pin<Box<dyn futures::Stream<Item = Result<FollowResponse, Status>> + Send + 'static>>;

    async fn follow(
        &self,
        request: Request<tonic::Streaming<FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended at once"))?;
        let hello = first
            .hello
            .clone()
            .ok_or_else(|| Status::invalid_argument("the first message lacks field hello"))?;
        let manager = self.0.clone();
        let tasks = manager.core.tasks.clone();
        if tasks.is_stopping() {
            return Err(Status::unavailable("this broker is stopping"));
        }
        let mut streams_ended = manager.streams_ended.subscribe();
        let responses = session::serve(&tasks, manager, hello, first, requests);
        // An error is the end of the broker.
        let ended = async move { streams_ended.changed().await.unwrap_or_default() };
        let responses = ReceiverStream::new(responses).take_until(Box::pin(ended));
        Ok(Response::new(Box::pin(responses)))
    }
}
