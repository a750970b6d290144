//! Replicas with damage: others lead, the replica leaves the ISR, its files are set aside, and it is
//! built anew from the leader.
//!
//! ```text
//!  damage is known -> silent -> FailReplicas committed -> image: not in the ISR, another leads
//!                                                      -> set aside, empty log, follows
//! ```
//!
//! Promises:
//! - nothing is set aside before the controller has committed that nobody counts on this replica,
//!   and only while another one leads: an empty log is never taken for what it was before. What it
//!   said before that does not count any more (the partition epoch has risen);
//! - where no other member of the ISR is alive, the replica stays: it is reported, serves what is
//!   sound, and refuses the rest;
//! - files are never removed; whoever looks into the damage finds them by their suffix.
//!
//! Does not: find damage. Opening, reads, compaction, followers that cannot go on, and
//! [`super::scrubber`] do; the log keeps what was found.

use super::manager::ReplicaManager;
use super::partition::Partition;
use crate::context::BrokerCore;
use log::{DamagedLog, LogDirError};
use metadata::{Command, FailReplicas, Image, Reply};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;
use types::{BrokerEpoch, NodeId, Offset, TopicIdPartition};

/// How often it is looked whether a log has become damaged.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long this broker may take to follow what the controller has committed; it is looked again.
const APPLY_TIME: Duration = Duration::from_secs(5);

/// What has been done about each damaged replica.
#[derive(Default)]
struct Progress {
    reported: BTreeSet<TopicIdPartition>,
    /// The controller has committed that this replica does not count.
    told: BTreeSet<TopicIdPartition>,
}

/// Deals with damage until the manager is gone.
pub async fn run(manager: Weak<ReplicaManager>, core: Arc<BrokerCore>) {
    let mut progress = Progress::default();
    loop {
        tokio::time::sleep(env::clock::until_next(core.env.clock.now(), LOOK_INTERVAL)).await;
        let Some(manager) = manager.upgrade() else { return };
        let damaged = manager.logs().damaged();
        core.metrics.damaged_replicas(damaged.len());
        let image = core.image.load();
        let ids: Vec<(TopicIdPartition, DamagedLog)> = damaged
            .into_iter()
            .filter_map(|one| Some((id_of(&core, &image, &one)?, one)))
            .collect();
        let there: BTreeSet<TopicIdPartition> = ids.iter().map(|(id, _)| *id).collect();
        progress.reported.retain(|id| there.contains(id));
        progress.told.retain(|id| there.contains(id));
        for (id, one) in &ids {
            treat(&manager, &core, &mut progress, *id, one).await;
        }
    }
}

/// The partition, if it is in the metadata and this broker's.
fn id_of(core: &BrokerCore, image: &Image, damaged: &DamagedLog) -> Option<TopicIdPartition> {
    // A log that could not be opened tells no topic id: by its name it is the topic's of today.
    let topic_id = damaged.topic_id.or_else(|| image.topic_id(&damaged.partition.topic))?;
    let id = TopicIdPartition { topic_id, partition: damaged.partition.partition };
    image.partition(id).filter(|at| at.is_replica(core.node_id)).map(|_| id)
}

async fn treat(
    manager: &Arc<ReplicaManager>,
    core: &BrokerCore,
    progress: &mut Progress,
    id: TopicIdPartition,
    damaged: &DamagedLog,
) {
    let image = core.image.load();
    let open = manager.partition(&id);
    if open.as_ref().is_some_and(|partition| partition.is_stuck()) {
        return;
    }
    let Some(at) = image.partition(id) else { return };
    let counts = at.in_isr(core.node_id) || at.leader == core.node_id;
    let others = has_others(core.node_id, &image, at);
    if progress.reported.insert(id) {
        report(damaged, counts && !others);
    }
    if !others {
        if let Some(partition) = &open {
            partition.set_damaged(false);
        }
        return;
    }
    if let Some(partition) = &open {
        partition.set_damaged(true);
    }
    if counts || !progress.told.contains(&id) {
        if give_up(core, id).await {
            progress.told.insert(id);
        }
        return;
    }
    let (working, name) = (manager.clone(), damaged.partition.clone());
    match env::tasks::blocking(move || working.set_aside_damaged(id, &name)).await {
        Ok(true) => core.metrics.quarantined(),
        // The metadata has moved meanwhile.
        Ok(false) => {}
        Err(error) => {
            tracing::error!(partition = %damaged.partition, %error, "cannot set the replica aside");
            manager.failures().push(&error);
        }
    }
}

/// Whether another live broker holds what the ISR promises.
fn has_others(node_id: NodeId, image: &Image, at: &metadata::Partition) -> bool {
    let is_live =
        |id: &NodeId| *id != node_id && image.broker(*id).is_some_and(|broker| broker.is_live());
    at.isr.iter().any(is_live)
}

fn report(damaged: &DamagedLog, is_only_copy: bool) {
    let partition = &damaged.partition;
    for damage in &damaged.damages {
        match is_only_copy {
            true => tracing::error!(
                %partition, %damage,
                "damaged, and the only copy: what is sound is served, the rest is refused"
            ),
            false => {
                tracing::error!(%partition, %damage, "damaged: to be built anew by its leader")
            }
        }
    }
}

/// Has the controller take the replica out of the ISR; true once that holds here.
async fn give_up(core: &BrokerCore, id: TopicIdPartition) -> bool {
    let broker_epoch = core.broker_epoch.get();
    if broker_epoch == BrokerEpoch::NONE {
        return false;
    }
    let command = Command::FailReplicas(FailReplicas {
        broker_id: core.node_id,
        broker_epoch,
        log_dirs: Vec::new(),
        partitions: vec![id],
        records_gone: false,
    });
    match core.controller.submit(command).await {
        Ok((Reply::Done, version)) => core.image.wait_for(version, APPLY_TIME).await,
        Ok((reply, _)) => {
            tracing::warn!(?reply, "the controller refused to count without a damaged replica");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "the controller was not told of a damaged replica");
            false
        }
    }
}

impl ReplicaManager {
    /// Sets a replica's files aside and begins to follow with an empty log; false if by the newest
    /// metadata somebody counts on it. Blocks.
    fn set_aside_damaged(
        &self,
        id: TopicIdPartition,
        name: &types::TopicPartition,
    ) -> Result<bool, LogDirError> {
        let _one = self.following();
        let image = self.core().image.load();
        let own = self.core().node_id;
        let is_free = |at: &Arc<metadata::Partition>| {
            !at.in_isr(own) && at.has_leader() && at.leader != own && at.is_replica(own)
        };
        if !image.partition(id).is_some_and(is_free) {
            return Ok(false);
        }
        self.let_go(id);
        let config = self.log_config_of(&image, &name.topic);
        let done = self.logs().quarantine(name, id.topic_id, config)?;
        self.unserved().forget(&id);
        self.apply_again(&image, id);
        if let Some(done) = done {
            let aside = done.aside.display();
            tracing::warn!(partition = %name, %aside, "damaged replica set aside; built anew");
        }
        Ok(true)
    }
}

impl Partition {
    /// Under the lock: whatever is being told to the leader now is told with the partition epoch from
    /// before, and no longer counts once the controller has raised it.
    fn set_damaged(&self, is_damaged: bool) {
        let _state = self.lock();
        self.is_damaged.store(is_damaged, Ordering::Release);
    }

    /// A follower has asked from here twice and got no further: perhaps what it was sent is damaged.
    pub(super) fn examine(self: &Arc<Self>, offset: Offset) {
        let partition = self.clone();
        self.shared.tasks.spawn(async move {
            let log = partition.log.clone();
            match partition.reads().blocking(move || log.examine(offset)).await {
                // The log has noted and told it.
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(partition = %partition.name, %error, "cannot read");
                    partition.shared.failures.push(&error);
                }
            }
        });
    }

    /// The batch that this log ends with has a later epoch than what its leader has next, and that
    /// leader has had the time to look at its own. Not while the image counts on this replica: it
    /// could be the next to lead, and the batch would be refused. Under the lock of the role that
    /// was refused; reads a batch.
    pub(super) fn blame_own_epoch(&self, last_offset: Offset) {
        if self.is_member.load(Ordering::Acquire) {
            return;
        }
        match self.log.blame_epoch(last_offset) {
            // The log has noted and told it.
            Ok(_) => {}
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "cannot read");
                self.shared.failures.push(&error);
            }
        }
    }
}
