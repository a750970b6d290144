//! What partitions need from time to time: deadlines, checkpoints, syncs, retention, metrics.

use super::ReplicaManager;
use crate::broker::spawn;
use crate::context::BrokerCore;
use env::{Mutant, mutant};
use std::future::Future;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use types::Monotonic;

/// How finely deadlines of partitions are kept. Looking costs an atomic read per partition.
const TICK: Duration = Duration::from_millis(100);
/// How often logs that want a sync (rolled, `flush.ms`) get it.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How often partitions that found no room are tried again.
const ROOM_INTERVAL: Duration = Duration::from_secs(5);
/// How often gauges that need a walk over the partitions are set.
const GAUGE_INTERVAL: Duration = Duration::from_secs(2);

/// Starts the upkeep; it ends with the manager or the broker's tasks.
pub fn start(core: &Arc<BrokerCore>, manager: &Arc<ReplicaManager>) {
    let storage = &core.config.storage;
    every(core, manager, TICK, |manager, core| async move {
        let now = core.env.clock.now();
        manager.partitions().iter().for_each(|partition| partition.tick(now));
    });
    every(core, manager, SYNC_INTERVAL, |manager, core| async move {
        let wall = core.env.clock.wall();
        let logs = manager.logs().clone();
        let done = env::tasks::blocking(move || {
            logs.sync_due(wall)?;
            logs.remove_due(wall)
        });
        report(&manager, "sync", done.await);
    });
    every(core, manager, ROOM_INTERVAL, |manager, _| async move {
        if !manager.unserved().waiting().is_empty() {
            env::tasks::blocking(move || manager.retry_waiting()).await;
        }
    });
    let interval = core.config.replication.high_watermark_checkpoint_interval;
    every(core, manager, interval, |manager, _| async move {
        let logs = manager.logs().clone();
        let done = env::tasks::blocking(move || logs.checkpoint_high_watermarks()).await;
        report(&manager, "checkpoint of high watermarks", done);
    });
    every(core, manager, storage.recovery_point_checkpoint_interval, |manager, _| async move {
        let logs = manager.logs().clone();
        let done = env::tasks::blocking(move || logs.checkpoint_recovery_points()).await;
        report(&manager, "checkpoint of recovery points", done);
    });
    every(core, manager, storage.retention_check_interval, |manager, core| async move {
        let wall = core.env.clock.wall();
        let logs = manager.logs().clone();
        let done = env::tasks::blocking(move || logs.run_retention(wall).map(|_| ())).await;
        report(&manager, "retention", done);
    });
    let last = Mutex::new(core.env.clock.now());
    every(core, manager, storage.producer_expiration_check_interval, move |manager, core| {
        let now = match mutant::is(Mutant::SilenceByWallClock) {
            true => Monotonic::from_millis(core.env.clock.wall().0.unsigned_abs()),
            false => core.env.clock.now(),
        };
        let before = std::mem::replace(&mut *last.lock().expect("nobody panicked"), now);
        let (logs, passed) = (manager.logs().clone(), now.since(before));
        async move { env::tasks::blocking(move || logs.expire_producers(passed)).await }
    });
    every(core, manager, GAUGE_INTERVAL, |manager, core| async move { gauge(&manager, &core) });
    spawn(&core.tasks, note_recovered(manager.clone()));
}

/// What a recovery has looked through is synced, and noted as that at once. A node that crashes
/// again before the next checkpoint of recovery points would look through all of it again: with a
/// power cut every few seconds, 2.5 MB more at every start.
async fn note_recovered(manager: Arc<ReplicaManager>) {
    let logs = manager.logs().clone();
    let done = env::tasks::blocking(move || logs.sync_recovered()).await;
    report(&manager, "sync of what was recovered", done);
}

fn every<F, Done>(core: &Arc<BrokerCore>, manager: &Arc<ReplicaManager>, pause: Duration, work: F)
where
    F: Fn(Arc<ReplicaManager>, Arc<BrokerCore>) -> Done + Send + 'static,
    Done: Future<Output = ()> + Send,
{
    let (manager, owner): (Weak<ReplicaManager>, _) = (Arc::downgrade(manager), core.clone());
    spawn(&core.tasks, async move {
        loop {
            tokio::time::sleep(env::clock::until_next(owner.env.clock.now(), pause)).await;
            let Some(manager) = manager.upgrade() else { return };
            work(manager, owner.clone()).await;
        }
    });
}

fn report(manager: &ReplicaManager, what: &str, done: Result<(), log::LogDirError>) {
    if let Err(error) = done {
        tracing::error!(%error, "{what} failed");
        manager.failures().push(&error);
    }
}

fn gauge(manager: &ReplicaManager, core: &BrokerCore) {
    manager.early().forget_old(core.env.clock.now());
    let partitions = manager.partitions();
    let (mut leaders, mut under_replicated, mut under_min_isr) = (0, 0, 0);
    for partition in partitions.iter().filter(|partition| !partition.is_stuck()) {
        let view = partition.view();
        partition.gauge(&view);
        if view.is_leader {
            leaders += 1;
            under_replicated += usize::from(view.isr < view.replicas);
            under_min_isr += usize::from(view.is_under_min_isr);
        }
    }
    core.metrics.replicas(partitions.len(), leaders);
    core.metrics.under_replicated(under_replicated);
    core.metrics.under_min_isr(under_min_isr);
    let image = core.image.load();
    let offline = image.partitions().filter(|(_, partition)| !partition.has_leader()).count();
    core.metrics.offline_partitions(offline);
}
