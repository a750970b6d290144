//! What this broker does about log directories whose disks hang ([`super::stall`]).
//!
//! Promises:
//! - soon after a directory is stuck, the controller is asked to let others lead its partitions and
//!   commit without this broker; asked again while this broker leads what others could;
//! - then every client connection is closed: requests that hang in the directory would keep their
//!   clients for as long as those have patience, and the others come back at once;
//! - so are the streams to followers, which go on with what lies in other directories;
//! - this broker says nothing of its replicas in the directory before it has answered quickly for a
//!   while, so that nobody counts on it; after that they catch up and may lead again;
//! - other directories go on.
//!
//! Runs on the control runtime: workers of the main one may be in the disk.

use super::manager::ReplicaManager;
use super::partition::Partition;
use super::stall::{DirHealth, Phase, StallRule};
use crate::context::BrokerCore;
use env::Disk;
use env::disk::Open;
use metadata::{Command, Image, Reply, StepDown};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use types::{BrokerEpoch, TopicIdPartition};

/// Looks within the limit; each finds a stall by so much later.
const LOOKS_PER_LIMIT: u32 = 5;
/// Most replicas in one command.
const REPLICAS_PER_COMMAND_MAX: usize = 1000;
/// How long the controller may take for an answer.
const TELL_TIME: Duration = Duration::from_secs(1);
/// How often a directory that is not well is written to.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Written and synced to see whether the disk answers.
const PROBE_FILE: &str = ".disk-probe";

/// One directory under watch.
struct Watched {
    health: Arc<DirHealth>,
    rule: StallRule,
    /// What the controller has been told while the directory is not well.
    told: BTreeSet<TopicIdPartition>,
}

/// Watches the directories until the manager is gone.
pub async fn watch(manager: Weak<ReplicaManager>, core: Arc<BrokerCore>) {
    let Some(limit) = core.config.storage.disks.stall else { return };
    let interval = limit / LOOKS_PER_LIMIT;
    let Some(healths) = manager.upgrade().map(|manager| manager.healths()) else { return };
    let now = core.env.clock.now();
    let watched = |health| Watched {
        health,
        rule: StallRule::new(limit, interval, now),
        told: BTreeSet::new(),
    };
    let mut dirs: Vec<Watched> = healths.into_iter().map(watched).collect();
    loop {
        tokio::time::sleep(env::clock::until_next(core.env.clock.now(), interval)).await;
        let Some(manager) = manager.upgrade() else { return };
        for dir in &mut dirs {
            let change = dir.rule.look(core.env.clock.now(), dir.health.oldest());
            if let Some(phase) = change {
                change_phase(&manager, &core, dir, phase);
            }
        }
        if manager.can_apply_deferred() {
            apply_deferred(&manager);
        }
        let unwell = dirs.iter_mut().filter(|dir| !dir.health.is_well());
        for dir in unwell {
            tell(&manager, &core, dir).await;
        }
    }
}

fn change_phase(
    manager: &Arc<ReplicaManager>,
    core: &Arc<BrokerCore>,
    dir: &mut Watched,
    phase: Phase,
) {
    let former = dir.health.phase();
    dir.health.set_phase(phase);
    let path = dir.health.path.display();
    match phase {
        Phase::Stuck => {
            let connections = core.connections.close_all();
            manager.end_streams();
            core.metrics.disk_stalled();
            tracing::error!(dir = %path, connections, "log directory hangs: others shall lead");
            dir.told.clear();
        }
        Phase::Recovering => {
            tracing::warn!(dir = %path, "log directory answers again");
            catch_up(manager, dir, false);
            start_probe(manager, core, &dir.health);
        }
        Phase::Well => {
            tracing::warn!(dir = %path, "log directory is well again");
            dir.told.clear();
            catch_up(manager, dir, true);
        }
    }
    let stuck = i64::from(!dir.health.is_well()) - i64::from(former != Phase::Well);
    core.metrics.unwell_log_dirs(stuck);
}

/// Follows what the metadata said meanwhile, and begins anew with leaders once the disk is well.
fn catch_up(manager: &Arc<ReplicaManager>, dir: &Watched, is_well: bool) {
    let (manager, health) = (manager.clone(), dir.health.clone());
    let tasks = manager.core().tasks.clone();
    tasks.spawn(async move {
        env::tasks::blocking(move || {
            manager.apply_deferred();
            if is_well {
                let partitions = manager.partitions();
                let inside = |partition: &&Arc<Partition>| partition.is_in(&health);
                partitions.iter().filter(inside).for_each(Partition::follow_anew);
            }
        })
        .await;
    });
}

/// What had to wait, though the disk was not stuck after all.
fn apply_deferred(manager: &Arc<ReplicaManager>) {
    let (manager, tasks) = (manager.clone(), manager.core().tasks.clone());
    tasks.spawn(env::tasks::blocking(move || manager.apply_deferred()));
}

/// Asks for other leaders where there can be some.
async fn tell(manager: &ReplicaManager, core: &BrokerCore, dir: &mut Watched) {
    let image = core.image.load();
    let broker_epoch = core.broker_epoch.get();
    let partitions = manager.partitions();
    let inside = partitions.iter().filter(|partition| partition.is_in(&dir.health));
    let to_tell =
        inside.map(|partition| partition.id).filter(|id| must_tell(core, &image, dir, id));
    let partitions: Vec<TopicIdPartition> = to_tell.take(REPLICAS_PER_COMMAND_MAX).collect();
    if partitions.is_empty() || broker_epoch == BrokerEpoch::NONE {
        return;
    }
    let told = partitions.clone();
    let broker_id = core.node_id;
    let command = Command::StepDown(StepDown { broker_id, broker_epoch, partitions });
    match tokio::time::timeout(TELL_TIME, core.controller.submit(command)).await {
        Ok(Ok((Reply::Done, _))) => dir.told.extend(told),
        Ok(Ok((reply, _))) => tracing::warn!(?reply, "the controller did not take it over"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the controller was not told of a disk that hangs")
        }
        Err(_) => tracing::warn!("no controller answers; a disk that hangs is not told yet"),
    }
}

/// What others can do without this broker, once; and again what it leads though others could.
fn must_tell(core: &BrokerCore, image: &Image, dir: &Watched, id: &TopicIdPartition) -> bool {
    let Some(at) = image.partition(*id) else { return false };
    let is_live = |id: &types::NodeId| {
        *id != core.node_id && image.broker(*id).is_some_and(|broker| broker.is_live())
    };
    let has_others = at.isr.iter().any(is_live);
    at.in_isr(core.node_id) && has_others && (at.leader == core.node_id || !dir.told.contains(id))
}

/// Writes to the directory from time to time, until it is well or stuck again.
fn start_probe(manager: &Arc<ReplicaManager>, core: &Arc<BrokerCore>, health: &Arc<DirHealth>) {
    let (manager, core, health) = (Arc::downgrade(manager), core.clone(), health.clone());
    let tasks = core.tasks.clone();
    crate::broker::spawn(&tasks, async move {
        while health.phase() == Phase::Recovering && manager.upgrade().is_some() {
            let (disk, probed) = (core.env.disk.clone(), health.clone());
            let working = health.working(core.env.clock.now());
            let done = env::tasks::blocking(move || probe(&*disk, &probed.path)).await;
            drop(working);
            if let Err(error) = done {
                tracing::debug!(%error, "a write to a log directory failed");
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    });
}

fn probe(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    let file = disk.open(&dir.join(PROBE_FILE), Open::Create)?;
    file.write_all_at(b"answer", 0)?;
    file.sync_data()?;
    disk.remove_file(&dir.join(PROBE_FILE))
}
