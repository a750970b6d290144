//! The threads that compact logs (`log.cleaner.*`).
//!
//! Promises: all threads together stay below `log.cleaner.io.max.bytes.per.second` and within the
//! memory of `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.size`; a run ends soon
//! after the broker is told to stop; a log that cannot be compacted keeps no other one waiting;
//! settings that change count at once. Those by which threads share memory end the runs under way,
//! which begin anew with the new ones: two runs by different shares could take more than all.
//! Does not: know which log is due or how it is compacted: see [`log::LogManager::compact_next`].

use super::ReplicaManager;
use crate::context::BrokerCore;
use config::{CleanerConfig, Layers, NodeConfig};
use futures::future::join_all;
use log::{CompactOptions, CompactedLog, LogDirError, LogManager};
use metadata::{ConfigResource, Image};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use types::{Monotonic, Timestamp};

/// Least that a run reads and writes at once.
const IO_BYTES_MIN: u64 = 64 << 10;
/// Bytes that may pass in one go before a limited run waits: what is asked for per second is met
/// over a second, not over a buffer.
const BURST: Duration = Duration::from_secs(1);
/// Longest wait of a throttled run before it looks whether it is to stop.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// The values in force on this broker.
pub fn settings(image: &Image, node: &NodeConfig) -> CleanerConfig {
    CleanerConfig::resolve(&Layers {
        broker: image.configs(&ConfigResource::Broker(node.node_id)),
        cluster: image.configs(&ConfigResource::ClusterDefault),
        ..Layers::fixed(&node.properties)
    })
}

/// Starts the threads; they end with the manager or the broker's tasks.
pub fn start(
    core: &Arc<BrokerCore>,
    manager: &Arc<ReplicaManager>,
    settings: watch::Receiver<CleanerConfig>,
) {
    if !core.config.storage.cleaner_enable {
        tracing::warn!("log.cleaner.enable is false: compacted topics grow without bound");
        return;
    }
    let throttle = Arc::new(Throttle::default());
    let cleaner = Cleaner { core: core.clone(), settings, throttle, crew: None };
    core.tasks.spawn(run(cleaner, Arc::downgrade(manager)));
}

/// Runs as many threads as the settings say, again and again as these change.
async fn run(mut cleaner: Cleaner, manager: Weak<ReplicaManager>) {
    loop {
        let crew = Crew::of(&cleaner.settings.borrow_and_update());
        cleaner.crew = Some(crew);
        let members = (0..crew.threads).map(|_| work(cleaner.clone(), &manager));
        join_all(members).await;
        if manager.strong_count() == 0 {
            return;
        }
        while cleaner.is_current() {
            if cleaner.settings.changed().await.is_err() {
                return;
            }
        }
        tracing::info!(settings = ?*cleaner.settings.borrow(), "compaction goes on otherwise");
    }
}

/// What the threads of one time share: by other values, they are others.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Crew {
    threads: u32,
    dedupe_buffer_bytes: u64,
    io_buffer_bytes: u64,
    load_factor: f64,
}

impl Crew {
    fn of(settings: &CleanerConfig) -> Crew {
        Crew {
            threads: settings.threads,
            dedupe_buffer_bytes: settings.dedupe_buffer_bytes,
            io_buffer_bytes: settings.io_buffer_bytes,
            load_factor: settings.load_factor,
        }
    }

    fn options(&self, rng: &dyn env::Rng) -> CompactOptions {
        let threads = u64::from(self.threads.max(1));
        // Half for what is read, half for what is written.
        let io_bytes = (self.io_buffer_bytes / threads / 2).max(IO_BYTES_MIN);
        CompactOptions {
            map_bytes: self.dedupe_buffer_bytes / threads,
            map_load: self.load_factor,
            io_bytes: usize::try_from(io_bytes).unwrap_or(usize::MAX),
            seed: [rng.next_u64(), rng.next_u64()],
        }
    }
}

/// What a thread works with.
#[derive(Clone)]
struct Cleaner {
    core: Arc<BrokerCore>,
    settings: watch::Receiver<CleanerConfig>,
    throttle: Arc<Throttle>,
    crew: Option<Crew>,
}

impl Cleaner {
    /// Whether the settings still are those that its threads began with.
    fn is_current(&self) -> bool {
        self.crew == Some(Crew::of(&self.settings.borrow()))
    }

    fn bytes_per_second(&self) -> f64 {
        self.settings.borrow().bytes_per_second
    }

    /// Waits for `log.cleaner.backoff.ms`; false if the thread is to end.
    async fn rest(&mut self) -> bool {
        let since = self.core.env.clock.now();
        loop {
            let backoff = self.settings.borrow_and_update().backoff;
            let left = backoff.saturating_sub(self.core.env.clock.now().since(since));
            if !self.is_current() {
                return false;
            }
            tokio::select! {
                biased;
                changed = self.settings.changed() => if changed.is_err() {
                    return false;
                },
                () = tokio::time::sleep(left) => return true,
            }
        }
    }

    /// Counts bytes that a run has read or written, and waits as the throttle wants it.
    fn pace(&self, bytes: u64, wait: &dyn Fn(Duration)) -> ControlFlow<()> {
        let clock = &self.core.env.clock;
        self.core.metrics.compaction_bytes(bytes);
        self.throttle.take(bytes, self.bytes_per_second(), clock.now());
        while !self.core.tasks.is_stopping() && self.is_current() {
            let left = self.throttle.left(self.bytes_per_second(), clock.now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            wait(left.min(WAIT_MAX));
        }
        ControlFlow::Break(())
    }
}

async fn work(mut cleaner: Cleaner, manager: &Weak<ReplicaManager>) {
    let core = cleaner.core.clone();
    while cleaner.rest().await {
        let Some(logs) = manager.upgrade().map(|manager| manager.logs().clone()) else {
            return;
        };
        let wall = core.env.clock.wall();
        let prepared = {
            let logs = logs.clone();
            env::tasks::blocking(move || logs.prepare_compaction(wall)).await
        };
        if let Err(error) = prepared {
            tracing::error!(%error, "compaction cannot begin");
            continue;
        }
        while cleaner.is_current() && run_once(&cleaner, &logs).await {}
        let status = logs.compaction_status();
        core.metrics.compaction(status.due, status.failed, status.dirty_ratio_max);
        core.metrics.compaction_overdue(status.overdue_ms_max, status.failed_bytes);
    }
}

/// Compacts one log; false if there is none, or it failed, and the thread is to rest.
async fn run_once(cleaner: &Cleaner, logs: &Arc<LogManager>) -> bool {
    let (logs, inner, core) = (logs.clone(), cleaner.clone(), &cleaner.core);
    let runtime = tokio::runtime::Handle::current();
    let started = core.env.clock.now();
    let done = env::tasks::blocking(move || {
        let wait = |pause| runtime.block_on(tokio::time::sleep(pause));
        compact_next(&inner, &logs, &wait)
    });
    match done.await {
        Ok(Some(done)) => {
            let took = core.env.clock.now().since(started);
            report(core, &done, took);
            done.result.is_ok()
        }
        Ok(None) => false,
        Err(error) => {
            tracing::error!(%error, "compaction failed");
            false
        }
    }
}

fn compact_next(
    cleaner: &Cleaner,
    logs: &LogManager,
    wait: &dyn Fn(Duration),
) -> Result<Option<CompactedLog>, LogDirError> {
    let Some(crew) = cleaner.crew else { return Ok(None) };
    let wall: Timestamp = cleaner.core.env.clock.wall();
    let options = crew.options(&*cleaner.core.env.rng);
    logs.compact_next(wall, &options, &|bytes| cleaner.pace(bytes, wait))
}

fn report(core: &BrokerCore, done: &CompactedLog, took: Duration) {
    let Ok(report) = &done.result else {
        // Why is in the log already.
        return;
    };
    core.metrics.compacted(report.read_bytes, report.written_bytes);
    core.metrics.compacted_records(report.records_read, report.records_kept);
    tracing::info!(
        partition = %done.partition,
        cleaned_to = %report.cleaned_to,
        read_bytes = report.read_bytes,
        written_bytes = report.written_bytes,
        records_read = report.records_read,
        records_kept = report.records_kept,
        map_utilization = report.map_utilization,
        took_ms = took.as_millis() as u64,
        "log compacted"
    );
    if report.keyless > 0 {
        let (partition, records) = (&done.partition, report.keyless);
        tracing::warn!(%partition, records, "records without a key were dropped by compaction");
    }
}

/// Bytes per second over all threads.
#[derive(Default)]
struct Throttle(Mutex<Debt>);

/// Bytes that passed before their time; below zero, what may pass at once.
#[derive(Default)]
struct Debt {
    bytes: f64,
    at: Monotonic,
}

impl Debt {
    fn settle(&mut self, bytes_per_second: f64, now: Monotonic) {
        let paid = bytes_per_second * now.since(self.at).as_secs_f64();
        self.bytes = (self.bytes - paid).max(-bytes_per_second * BURST.as_secs_f64());
        self.at = self.at.max(now);
    }
}

impl Throttle {
    fn debt(&self) -> std::sync::MutexGuard<'_, Debt> {
        self.0.lock().expect("no thread panicked in the throttle")
    }

    fn take(&self, bytes: u64, bytes_per_second: f64, now: Monotonic) {
        let mut debt = self.debt();
        debt.settle(bytes_per_second, now);
        debt.bytes += bytes as f64;
    }

    /// How long to wait before more, at this rate.
    fn left(&self, bytes_per_second: f64, now: Monotonic) -> Duration {
        let mut debt = self.debt();
        debt.settle(bytes_per_second, now);
        // Nothing waits at a rate that no disk reaches; none at all would wait for ever.
        if !(1.0..1e15).contains(&bytes_per_second) {
            debt.bytes = 0.0;
            return Duration::ZERO;
        }
        // Whole microseconds: less is no time to wait for.
        let left = Duration::try_from_secs_f64(debt.bytes.max(0.0) / bytes_per_second);
        Duration::from_micros(left.map_or(u64::MAX, |left| left.as_micros() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(throttle: &Throttle, bytes: u64, rate: f64, now: Monotonic) -> Duration {
        throttle.take(bytes, rate, now);
        throttle.left(rate, now)
    }

    #[test]
    fn a_throttle_keeps_its_rate_and_allows_a_burst() {
        let throttle = Throttle::default();
        let start = Monotonic(10_000_000);
        assert_eq!(take(&throttle, 1000, 1000.0, start), Duration::ZERO, "a second was saved up");
        assert_eq!(take(&throttle, 500, 1000.0, start), Duration::from_millis(500));
        assert_eq!(take(&throttle, 500, 1000.0, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(100);
        assert_eq!(take(&throttle, 1500, 1000.0, later), Duration::from_millis(500));
    }

    #[test]
    fn a_new_rate_counts_for_what_passed_before() {
        let throttle = Throttle::default();
        let start = Monotonic(10_000_000);
        assert_eq!(take(&throttle, 1_000_010, 10.0, start), Duration::from_secs(100_000));
        assert_eq!(throttle.left(1e6, start), Duration::from_secs(1));
        assert_eq!(throttle.left(f64::MAX, start), Duration::ZERO);
        assert_eq!(take(&throttle, u64::MAX, f64::MAX, start), Duration::ZERO);
        assert_eq!(throttle.left(0.0, start), Duration::ZERO, "none at all would wait for ever");
        assert_eq!(take(&throttle, 20, 10.0, start), Duration::from_secs(2), "no debt from before");
    }
}
