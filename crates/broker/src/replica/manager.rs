//! [`ReplicaManager`]: every partition that this broker holds, and the streams between brokers.
//!
//! Promises:
//! - the metadata is followed in order, one image at a time ([`ReplicaManager::apply`]), from the
//!   first image that shows this start as registered: those before it are history;
//! - a partition's files go only on a removal that the metadata has committed and that matches the
//!   topic id on disk; a partition that the metadata does not know becomes `-stray`;
//! - what a partition costs to be opened, to take a role and to go does not grow with the number of the
//!   others. Those that come with an image are made a group at a time, none serves before its name is
//!   synced, and the first of many need not wait for the last.

use super::early::EarlyPositions;
use super::failures::{DirFailures, Unserved as UnservedReplicas};
use super::fetcher::{self, FollowLink};
use super::isr::IsrQueue;
use super::partition::{Partition, Shared};
use super::partition_map::PartitionMap;
use super::roles::broker_states;
use super::rooms::Rooms;
use super::session::Session;
use super::settings::{TopicSettings, log_config, topic_config};
use super::stall::DirHealth;
use crate::broker::spawn;
use crate::context::BrokerCore;
use env::tasks::Room;
use log::{LogDirError, LogDirs, LogHandle, LogManager, LogManagerOptions, TailLimits, WantedLog};
use metadata::{Image, ImageChanges, PartitionChange};
use replication::BrokerState;
use rpc::replica::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use types::{
    BrokerEpoch, DirectoryId, ErrorCode, NodeId, TopicId, TopicIdPartition, TopicPartition,
};

/// Partitions that are made together, and sync their names once. The first of them waits for the last.
const GROUP_MAX: usize = 256;

/// Owns every partition that this broker holds.
pub struct ReplicaManager {
    core: Arc<BrokerCore>,
    shared: Arc<Shared>,
    logs: Arc<LogManager>,
    directory_ids: Vec<DirectoryId>,
    previous_broker_epoch: Option<BrokerEpoch>,
    partitions: PartitionMap<Arc<Partition>>,
    /// What followers say of partitions that are being opened.
    early: EarlyPositions,
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

/// A partition, and whose it is.
type NameAndId = (TopicPartition, TopicId);

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
            rooms: Rooms::new(),
            tasks: core.tasks.clone(),
        });
        spawn(&core.tasks, isr_queue.run(core.clone()));
        let manager = Arc::new_cyclic(|own| ReplicaManager {
            core: core.clone(),
            shared,
            logs: Arc::new(logs),
            directory_ids,
            previous_broker_epoch,
            partitions: PartitionMap::default(),
            early: EarlyPositions::default(),
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

    pub(super) fn early(&self) -> &EarlyPositions {
        &self.early
    }

    pub(super) fn streams_ended(&self) -> watch::Receiver<u64> {
        self.streams_ended.subscribe()
    }

    /// Nobody finds the partition here any more.
    pub(super) fn take_out(&self, id: &TopicIdPartition) -> Option<Arc<Partition>> {
        self.partitions.remove(id)
    }

    pub(super) fn following(&self) -> std::sync::MutexGuard<'_, ()> {
        self.following.lock().expect("no thread panicked while it followed an image")
    }

    /// Tries again to make what there was no room for. Blocks.
    pub(super) fn retry_waiting(&self) {
        let _one = self.following();
        // Under the lock: by an image that has been superseded it could lead what another leads.
        let image = self.core.image.load();
        let waiting = self.unserved.waiting();
        let changes: Vec<PartitionChange> =
            waiting.into_iter().map(|id| present(&image, id)).collect();
        self.follow_partitions(&image, &changes, &broker_states(&image));
    }

    /// Brings a partition to where the image has it. The caller holds [`ReplicaManager::following`].
    pub(super) fn apply_again(&self, image: &Image, id: TopicIdPartition) {
        self.follow_partitions(image, &[present(image, id)], &broker_states(image));
    }

    /// Ends what this broker does for a partition, and forgets it; its files stay.
    pub(super) fn let_go(&self, id: TopicIdPartition) {
        if let Some(partition) = self.take_out(&id) {
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
        let mut settings = TopicSettings::new(&image, &self.core.config);
        let ids = std::mem::take(&mut *self.deferred());
        for id in ids {
            if let Some(partition) = self.partition(&id) {
                partition.stage(settings.of(&partition.name.topic).0);
            }
            self.follow_partitions(&image, &[present(&image, id)], &brokers);
            if let Some(partition) = self.partition(&id) {
                self.configure(&mut settings, &partition);
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
        self.partitions.get(id)
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

    /// Where requests that look at all log directories are worked on.
    pub fn inquiries(&self) -> &Room {
        &self.shared.rooms.inquiries
    }

    /// Every partition held here, in no order that means anything.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.all()
    }

    /// Follows the metadata from one image to the next; called in order, never concurrently.
    /// Returns when every partition has its new role.
    pub async fn apply(&self, old: &Arc<Image>, new: &Arc<Image>) {
        let Some(manager) = self.own.upgrade() else { return };
        let (old, new) = (old.clone(), new.clone());
        self.shared.rooms.images.blocking(move || manager.apply_now(&old, &new)).await;
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
            self.forget_missing_strays(new);
            self.is_current.store(true, Ordering::Release);
        }
    }

    fn follow_image(&self, old: &Image, new: &Image) {
        let changes = ImageChanges::between(old, new);
        let brokers = broker_states(new);
        let mut settings = TopicSettings::new(new, &self.core.config);
        self.for_configured(new, &changes, |partition| {
            partition.stage(settings.of(&partition.name.topic).0);
        });
        self.follow_partitions(new, &changes.partitions, &brokers);
        self.for_configured(new, &changes, |partition| self.configure(&mut settings, partition));
        self.configure_cleaner(new);
        if !changes.brokers.is_empty() {
            self.apply_brokers(new, &brokers);
        }
    }

    /// Those go first that this broker holds no longer: a topic that was made again under its name
    /// finds that free.
    fn follow_partitions(
        &self,
        image: &Image,
        changes: &[PartitionChange],
        brokers: &BTreeMap<NodeId, BrokerState>,
    ) {
        let is_held = |change: &&PartitionChange| self.replica_of(change).is_some();
        let (held, gone): (Vec<_>, Vec<_>) = changes.iter().partition(is_held);
        self.drop_partitions(&gone);
        for group in held.chunks(GROUP_MAX) {
            self.open_absent(image, group);
            for change in group {
                self.take_role(image, change, brokers);
            }
        }
    }

    /// What this broker is to hold.
    fn replica_of<'a>(&self, change: &'a PartitionChange) -> Option<&'a metadata::Partition> {
        change.after.as_deref().filter(|at| at.is_replica(self.core.node_id))
    }

    /// Whether a change has to wait for a disk.
    fn is_deferred(&self, id: &TopicIdPartition) -> bool {
        let is_suspect = self.partition(id).is_some_and(|partition| partition.is_suspect());
        if is_suspect {
            self.deferred().insert(*id);
        }
        is_suspect
    }

    fn take_role(
        &self,
        image: &Image,
        change: &PartitionChange,
        brokers: &BTreeMap<NodeId, BrokerState>,
    ) {
        let Some(at) = self.replica_of(change) else { return };
        if self.is_deferred(&change.partition) {
            return;
        }
        // One that is not there could not be opened.
        let Some(partition) = self.partition(&change.partition) else { return };
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

    /// Opens those of a group that are not open here.
    fn open_absent(&self, image: &Image, group: &[&PartitionChange]) {
        let mut settings = TopicSettings::new(image, &self.core.config);
        let (mut opening, mut wanted) = (Vec::new(), Vec::new());
        for change in group {
            let id = &change.partition;
            let Some(at) = self.replica_of(change) else { continue };
            let is_here = self.partitions.contains(id) || self.unserved.has_failed(id);
            if is_here || self.has_lost(image, change, at) {
                continue;
            }
            match self.want(change, at, settings.of(&change.topic_name).1) {
                Ok(log) => {
                    opening.push(*change);
                    wanted.push(log);
                }
                Err(error) => {
                    tracing::error!(topic = change.topic_name, %error, "cannot hold the partition");
                }
            }
        }
        let found = self.logs.get_or_create_all(&wanted);
        found.failed.iter().for_each(|error| self.shared.failures.push(error));
        for (change, log) in opening.into_iter().zip(found.logs) {
            match log {
                Ok(log) => self.opened(change, log, &mut settings),
                Err(error) => self.not_opened(change, &error),
            }
        }
    }

    /// An error has been taken note of: the controller will be told.
    fn want(
        &self,
        change: &PartitionChange,
        at: &metadata::Partition,
        config: log::LogConfig,
    ) -> Result<WantedLog, String> {
        let id = change.partition;
        let name = TopicPartition { topic: change.topic_name.clone(), partition: id.partition };
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
        Ok(WantedLog { partition: name, topic_id: id.topic_id, config, directory })
    }

    fn opened(&self, change: &PartitionChange, log: LogHandle, settings: &mut TopicSettings<'_>) {
        let id = change.partition;
        let name = TopicPartition { topic: change.topic_name.clone(), partition: id.partition };
        let (config, log_config) = settings.of(&name.topic);
        log.lock().set_config(log_config);
        let partition = Partition::new(id, name, log, config, self.shared.clone());
        self.unserved.forget(&id);
        // Followers and clients may ask as soon as the role is there.
        self.partitions.insert(id, partition.clone());
        self.hand_over_early(&partition);
    }

    fn not_opened(&self, change: &PartitionChange, error: &LogDirError) {
        match error.is_no_space() {
            true => self.unserved.wait(change.partition),
            false => self.unserved.fail(change.partition),
        }
        self.shared.failures.push(error);
        self.shared.failures.wake();
        tracing::error!(topic = change.topic_name, %error, "cannot hold the partition");
    }

    /// A follower stands here in a partition that is not here, perhaps not yet; false if it is to be
    /// told so.
    pub(super) fn keep_early(
        &self,
        id: &TopicIdPartition,
        session: &Arc<Session>,
        position: &Position,
    ) -> bool {
        if !position.restart || self.unserved.has_failed(id) {
            return false;
        }
        if !self.early.put(*id, session, position, self.core.env.clock.now()) {
            return false;
        }
        // It may have been opened in this moment.
        if let Some(partition) = self.partition(id) {
            self.hand_over_early(&partition);
        }
        true
    }

    fn hand_over_early(&self, partition: &Arc<Partition>) {
        for (session, position) in self.early.take(&partition.id) {
            partition.follower_position(&session, &position);
        }
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

    /// Lets go of partitions, and has their files removed.
    fn drop_partitions(&self, gone: &[&PartitionChange]) {
        let mut by_dir: Vec<(Arc<DirHealth>, Vec<NameAndId>)> = Vec::new();
        for change in gone {
            if self.is_deferred(&change.partition) {
                continue;
            }
            self.unserved.forget(&change.partition);
            let Some(partition) = self.take_out(&change.partition) else { continue };
            partition.idle(types::LeaderEpoch(i32::MAX));
            let is_deleted = change.after.is_none();
            tracing::info!(partition = %partition.name, is_deleted, "partition removed");
            let named = (partition.name.clone(), partition.id.topic_id);
            match by_dir.iter_mut().find(|(health, _)| partition.is_in(health)) {
                Some((_, names)) => names.push(named),
                None => by_dir.push((partition.health.clone(), vec![named])),
            }
        }
        for (health, names) in by_dir {
            self.delete(&health, &names);
        }
    }

    /// Deletes partitions of one directory. One piece of work removes the files of all of them.
    fn delete(&self, health: &DirHealth, names: &[NameAndId]) {
        let (jobs, failed) = self.logs.delete(names);
        for error in &failed {
            tracing::error!(%error, "cannot delete partitions");
            self.shared.failures.push(error);
        }
        if jobs.is_empty() {
            return;
        }
        let room = health.rooms.work.clone();
        self.shared.tasks.spawn(async move {
            let remove = move || {
                for job in jobs {
                    if let Err(error) = job.run() {
                        tracing::error!(%error, "cannot remove a deleted partition's files");
                    }
                }
            };
            room.blocking(remove).await;
        });
    }

    /// Every partition whose settings may be others.
    fn for_configured(
        &self,
        image: &Image,
        changes: &ImageChanges,
        mut act: impl FnMut(&Arc<Partition>),
    ) {
        let is_wide = changes.configs.iter().any(|resource| match resource {
            metadata::ConfigResource::Topic(_) => false,
            metadata::ConfigResource::Broker(_) | metadata::ConfigResource::ClusterDefault => true,
        });
        if is_wide {
            self.partitions.all().iter().for_each(act);
            return;
        }
        for resource in &changes.configs {
            let metadata::ConfigResource::Topic(name) = resource else { continue };
            let Some(topic) = image.topic_by_name(name) else { continue };
            for index in topic.partitions.keys() {
                let id = TopicIdPartition { topic_id: topic.id, partition: *index };
                if let Some(partition) = self.partition(&id) {
                    act(&partition);
                }
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

    fn configure(&self, settings: &mut TopicSettings<'_>, partition: &Arc<Partition>) {
        if self.is_deferred(&partition.id) {
            return;
        }
        let (config, log_config) = settings.of(&partition.name.topic);
        partition.configure(config, log_config, &self.core.config);
    }

    /// Brokers came, went, or were fenced: leaders look at their followers again, and a stream
    /// whose broker is gone ends. Partitions that wait for this incarnation begin to lead.
    fn apply_brokers(&self, image: &Image, brokers: &BTreeMap<NodeId, BrokerState>) {
        for partition in self.partitions.all() {
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
        let is_ours = |name: &TopicPartition, topic_id: TopicId| {
            let id = TopicIdPartition { topic_id, partition: name.partition };
            image.partition(id).is_some_and(|at| at.is_replica(self.core.node_id))
        };
        let all = self.logs.partitions().into_iter();
        let strays = all.filter(|(name, topic_id, _)| !is_ours(name, *topic_id));
        let strays: Vec<TopicPartition> = strays.map(|(name, ..)| name).collect();
        if strays.is_empty() {
            return;
        }
        let (aside, failed) = self.logs.set_aside(&strays);
        for (partition, path) in aside {
            tracing::warn!(
                %partition, ?path, "not in the cluster's metadata: set aside as stray"
            );
        }
        for error in &failed {
            tracing::error!(%error, "cannot set strays aside");
            self.shared.failures.push(error);
        }
    }

    /// What is missing and was another's is no loss.
    fn forget_missing_strays(&self, image: &Image) {
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
        for partition in self.partitions.all() {
            partition.unsubscribe(session);
        }
        self.early.forget_session(session);
    }

    /// Ends every role, flushes and closes every log. `broker_epoch` goes into the clean-shutdown
    /// marker.
    pub async fn shutdown(&self) {
        for link in self.links().values() {
            link.stop();
        }
        let (logs, epoch) = (self.logs.clone(), self.core.broker_epoch.get());
        let partitions = self.partitions.all();
        let closed = env::tasks::blocking(move || {
            for partition in &partitions {
                partition.idle(types::LeaderEpoch(i32::MAX));
            }
            logs.shut_down(epoch)
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "log directories not closed cleanly");
        }
    }
}

/// The change that leads to where the image has a partition, from wherever it is.
fn present(image: &Image, id: TopicIdPartition) -> PartitionChange {
    let topic_name = image.topic(id.topic_id).map(|topic| topic.name.clone());
    PartitionChange {
        partition: id,
        topic_name: topic_name.unwrap_or_default(),
        before: None,
        after: image.partition(id).cloned(),
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
    // No topic's own settings are known yet: all open by the same ones.
    let config = TopicSettings::new(&Image::default(), &core.config).of("").1;
    let options = LogManagerOptions {
        recovery_threads: storage.recovery_threads_per_dir as usize,
        config_of: Arc::new(move |_| config.clone()),
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
