//! Which coordinators are here, and which of them a group belongs to.

use super::loading::load;
use super::shard::Shard;
use crate::broker::spawn;
use crate::context::BrokerCore;
use crate::replica::{Partition, ReplicaManager};
use coordinator::CoordinatorConfig;
use metadata::Image;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::{CONSUMER_OFFSETS_TOPIC, ErrorCode, LeaderEpoch, NodeId, PartitionIndex};

/// How finely sessions and rebalances are timed.
const TICK: Duration = Duration::from_millis(100);
/// Before a coordinator that could not be loaded is tried again.
const RELOAD_PAUSE: Duration = Duration::from_millis(500);

/// The coordinators of this broker.
pub struct GroupManager {
    core: Arc<BrokerCore>,
    replicas: Arc<ReplicaManager>,
    slots: Mutex<BTreeMap<PartitionIndex, Slot>>,
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
        });
        let following = manager.clone();
        spawn(&core.tasks, async move { following.follow().await });
        let ticking = manager.clone();
        spawn(&core.tasks, async move {
            loop {
                let now = ticking.core.env.clock.now();
                tokio::time::sleep(env::clock::until_next(now, TICK)).await;
                ticking.loaded().iter().for_each(|shard| shard.tick());
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
            self.compare(&self.core.image.load());
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
                spawn(&self.core.tasks, manager.load(index, partition, epoch));
            }
        }
    }

    async fn load(self: Arc<Self>, index: PartitionIndex, at: Arc<Partition>, epoch: LeaderEpoch) {
        loop {
            let (config, now) = (self.coordinator_config(), self.core.env.clock.now());
            let partition = at.clone();
            let loaded = env::tasks::blocking(move || load(&partition, config, now)).await;
            let is_wanted = matches!(
                self.slots().get(&index),
                Some(Slot::Loading(wanted)) if *wanted == epoch
            );
            if !is_wanted || at.leads() != Some(epoch) {
                return;
            }
            match loaded {
                Ok(coordinator) => {
                    let shard = Shard::start(&self.core, at, epoch, coordinator);
                    let mut slots = self.slots();
                    match slots.get_mut(&index) {
                        Some(slot @ Slot::Loading(_)) if slot.epoch() == epoch => {
                            *slot = Slot::Loaded(shard);
                        }
                        Some(_) | None => {
                            drop(slots);
                            shard.unload();
                        }
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(partition = %at.name, %error, "cannot load a coordinator");
                    tokio::time::sleep(RELOAD_PAUSE).await;
                }
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
        }
    }
}
