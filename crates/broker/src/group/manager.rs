//! Which coordinators are here, and which of them a group belongs to.

use super::loading::{Loaded, load};
use super::shard::Shard;
use crate::broker::spawn;
use crate::context::BrokerCore;
use crate::replica::{Partition, ReplicaManager};
use coordinator::{Coordinator, CoordinatorConfig};
use metadata::Image;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::{CONSUMER_OFFSETS_TOPIC, ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId};

/// How finely sessions and rebalances are timed.
const TICK: Duration = Duration::from_millis(100);
/// Before a coordinator that could not be loaded, or has given up, is loaded again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);
/// Twice as long after each failure, up to this.
const RELOAD_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The coordinators of this broker.
pub struct GroupManager {
    core: Arc<BrokerCore>,
    replicas: Arc<ReplicaManager>,
    slots: Mutex<BTreeMap<PartitionIndex, Slot>>,
    /// The newest image that was followed.
    followed: Mutex<Arc<Image>>,
}

/// One partition of `__consumer_offsets` that this broker leads.
enum Slot {
    /// Its state is being read.
    Loading(LeaderEpoch),
    Loaded(Arc<Shard>),
}

impl Slot {
    fn epoch(&self) -> LeaderEpoch {
        match self {
            Slot::Loading(epoch) => *epoch,
            Slot::Loaded(shard) => shard.epoch,
        }
    }
}

/// Why a group is not served here; what a client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unrouted {
    /// Another broker coordinates it.
    NotCoordinator,
    /// Its state is being read.
    Loading,
    /// The topic is not there yet.
    NoTopic,
    InvalidGroupId,
}

impl From<Unrouted> for ErrorCode {
    fn from(unrouted: Unrouted) -> ErrorCode {
        match unrouted {
            Unrouted::NotCoordinator => ErrorCode::NotCoordinator,
            Unrouted::Loading => ErrorCode::CoordinatorLoadInProgress,
            Unrouted::NoTopic => ErrorCode::CoordinatorNotAvailable,
            Unrouted::InvalidGroupId => ErrorCode::InvalidGroupId,
        }
    }
}

impl GroupManager {
    /// Starts to follow which partitions this broker leads.
    pub fn start(core: &Arc<BrokerCore>, replicas: &Arc<ReplicaManager>) -> Arc<GroupManager> {
        let manager = Arc::new(GroupManager {
            core: core.clone(),
            replicas: replicas.clone(),
            slots: Mutex::default(),
            followed: Mutex::new(core.image.load()),
        });
        let following = manager.clone();
        spawn(&core.tasks, async move { following.follow().await });
        let ticking = manager.clone();
        spawn(&core.tasks, async move {
            loop {
                let now = ticking.core.env.clock.now();
                tokio::time::sleep(env::clock::until_next(now, TICK)).await;
                ticking.loaded().iter().for_each(|shard| shard.tick());
                ticking.reload();
            }
        });
        manager
    }

    /// The coordinator of a group, if it is here and loaded.
    pub fn shard_of(&self, group_id: &str) -> Result<Arc<Shard>, Unrouted> {
        let image = self.core.image.load();
        let topic = image.topic_by_name(CONSUMER_OFFSETS_TOPIC).ok_or(Unrouted::NoTopic)?;
        let index = coordinator::partition_for(group_id, topic.partition_count());
        match self.slots().get(&PartitionIndex(index)) {
            Some(Slot::Loaded(shard)) => Ok(shard.clone()),
            Some(Slot::Loading(_)) => Err(Unrouted::Loading),
            None => Err(Unrouted::NotCoordinator),
        }
    }

    /// The same for what only a group with members asks: that has a name.
    pub fn shard_of_members(&self, group_id: &str) -> Result<Arc<Shard>, Unrouted> {
        if group_id.is_empty() {
            return Err(Unrouted::InvalidGroupId);
        }
        self.shard_of(group_id)
    }

    /// The broker that coordinates a group; `NONE` while its partition has no leader.
    pub fn coordinator_of(&self, image: &Image, group_id: &str) -> Result<NodeId, Unrouted> {
        let topic = image.topic_by_name(CONSUMER_OFFSETS_TOPIC).ok_or(Unrouted::NoTopic)?;
        let index = coordinator::partition_for(group_id, topic.partition_count());
        let partition = topic.partition(PartitionIndex(index)).ok_or(Unrouted::NoTopic)?;
        Ok(partition.leader)
    }

    /// Every loaded coordinator, and whether any is still being loaded.
    pub fn all(&self) -> (Vec<Arc<Shard>>, bool) {
        let slots = self.slots();
        let is_loading = slots.values().any(|slot| matches!(slot, Slot::Loading(_)));
        drop(slots);
        (self.loaded(), is_loading)
    }

    fn loaded(&self) -> Vec<Arc<Shard>> {
        let pick = |slot: &Slot| match slot {
            Slot::Loaded(shard) => Some(shard.clone()),
            Slot::Loading(_) => None,
        };
        self.slots().values().filter_map(pick).collect()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<PartitionIndex, Slot>> {
        self.slots.lock().expect("no thread panicked while it held the coordinators")
    }

    async fn follow(self: Arc<Self>) {
        let mut applied = self.core.image.watch();
        while applied.changed().await.is_ok() {
            applied.borrow_and_update();
            let image = self.core.image.load();
            self.compare(&image);
            self.forget_deleted(&image);
        }
    }

    /// Offsets of topics that have been deleted since the image before go with them.
    fn forget_deleted(&self, image: &Arc<Image>) {
        let before = {
            let mut followed = self.followed.lock().expect("no thread panicked with the image");
            std::mem::replace(&mut *followed, image.clone())
        };
        let deleted: BTreeSet<&str> =
            before.topics_gone_in(image).map(|topic| topic.name.as_str()).collect();
        if !deleted.is_empty() {
            self.loaded().iter().for_each(|shard| forget_topics(shard, image, &deleted));
        }
    }

    /// Those that have given up are loaded again: their log says what holds.
    fn reload(self: &Arc<Self>) {
        for (index, slot) in self.slots().iter_mut() {
            let Slot::Loaded(shard) = slot else { continue };
            if !shard.has_given_up() {
                continue;
            }
            let (manager, index) = (self.clone(), *index);
            let (partition, epoch) = (shard.partition().clone(), shard.epoch);
            *slot = Slot::Loading(epoch);
            spawn(&self.core.tasks, async move {
                tokio::time::sleep(RELOAD_PAUSE).await;
                manager.load(index, partition, epoch, Some(epoch)).await;
            });
        }
    }

    /// Loads what this broker has begun to lead, unloads what it leads no longer.
    fn compare(self: &Arc<Self>, image: &Image) {
        let mut led = BTreeMap::new();
        if let Some(topic) = image.topic_by_name(CONSUMER_OFFSETS_TOPIC) {
            for index in topic.partitions.keys() {
                let id = types::TopicIdPartition { topic_id: topic.id, partition: *index };
                if let Some(partition) = self.replicas.partition(&id)
                    && let Some(epoch) = partition.leads()
                {
                    led.insert(*index, (partition, epoch));
                }
            }
        }
        let mut slots = self.slots();
        slots.retain(|index, slot| {
            let stays = led.get(index).is_some_and(|(_, epoch)| *epoch == slot.epoch());
            if let (false, Slot::Loaded(shard)) = (stays, &*slot) {
                shard.unload();
            }
            stays
        });
        for (index, (partition, epoch)) in led {
            if let std::collections::btree_map::Entry::Vacant(vacant) = slots.entry(index) {
                vacant.insert(Slot::Loading(epoch));
                let manager = self.clone();
                spawn(&self.core.tasks, manager.load(index, partition, epoch, None));
            }
        }
    }

    /// `led`: the epoch, if a coordinator was here in it before.
    async fn load(
        self: Arc<Self>,
        index: PartitionIndex,
        at: Arc<Partition>,
        epoch: LeaderEpoch,
        led: Option<LeaderEpoch>,
    ) {
        let mut pause = RELOAD_PAUSE;
        loop {
            let (config, now) = (self.coordinator_config(), self.core.env.clock.now());
            let partition = at.clone();
            let loaded = at.reads().blocking(move || load(&partition, config, now, led)).await;
            let is_wanted = matches!(
                self.slots().get(&index),
                Some(Slot::Loading(wanted)) if *wanted == epoch
            );
            if !is_wanted || at.leads() != Some(epoch) {
                return;
            }
            match loaded {
                Ok(Loaded { coordinator, end }) => {
                    let has_late = coordinator.has_loaded_late();
                    let shard = self.serve(index, at, epoch, coordinator);
                    if let Some(shard) = shard.filter(|_| has_late) {
                        shard.settle_loaded(end).await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(partition = %at.name, %error, "cannot load a coordinator");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RELOAD_PAUSE_MAX);
                }
            }
        }
    }

    /// `None` if it is not wanted any more.
    fn serve(
        &self,
        index: PartitionIndex,
        at: Arc<Partition>,
        epoch: LeaderEpoch,
        coordinator: Coordinator,
    ) -> Option<Arc<Shard>> {
        let shard = Shard::start(&self.core, at, epoch, coordinator);
        let mut slots = self.slots();
        match slots.get_mut(&index) {
            Some(slot @ Slot::Loading(_)) if slot.epoch() == epoch => {
                *slot = Slot::Loaded(shard.clone());
                drop(slots);
                // Topics that were deleted while nobody coordinated. Those that are from now on, it
                // is told of.
                forget_topics(&shard, &self.core.image.load(), &BTreeSet::new());
                Some(shard)
            }
            Some(_) | None => {
                drop(slots);
                shard.unload();
                None
            }
        }
    }

    fn coordinator_config(&self) -> CoordinatorConfig {
        let groups = &self.core.config.groups;
        CoordinatorConfig {
            session_timeout_min: groups.min_session_timeout,
            session_timeout_max: groups.max_session_timeout,
            initial_rebalance_delay: groups.initial_rebalance_delay,
            members_max: groups.max_size as usize,
            offset_metadata_bytes_max: groups.offset_metadata_max_bytes as usize,
            sweep_interval: groups.retention_check_interval,
        }
    }
}

/// Whether an offset that was committed for a topic is no longer anybody's: the topic is gone, or
/// there is another one of its name.
pub fn is_gone(image: &Image, topic: &str, committed_for: TopicId) -> bool {
    match image.topic_id(topic) {
        None => true,
        Some(id) => !committed_for.is_zero() && committed_for != id,
    }
}

/// `deleted`: names that have lost their topic just now. It says which of the offsets are of that
/// whose topic's id was not kept.
fn forget_topics(shard: &Arc<Shard>, image: &Image, deleted: &BTreeSet<&str>) {
    // One that is unloaded meanwhile is done at its next start.
    let _ = shard.call(|groups, _, effects| {
        groups.forget_topics(
            |at, committed_for| {
                is_gone(image, &at.topic, committed_for)
                    || (committed_for.is_zero() && deleted.contains(at.topic.as_str()))
            },
            effects,
        );
    });
}
