//! The threads that compact logs (`log.cleaner.*`).
//!
//! Promises: all threads together stay below `log.cleaner.io.max.bytes.per.second` and within the
//! memory of `log.cleaner.dedupe.buffer.size` and `log.cleaner.io.buffer.size`; a run ends soon
//! after the broker is told to stop; a log that cannot be compacted keeps no other one waiting.
//! Does not: know which log is due or how it is compacted: see [`log::LogManager::compact_next`].

use super::ReplicaManager;
use crate::context::BrokerCore;
use log::{CompactOptions, CompactedLog, LogDirError, LogManager};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use types::{Monotonic, Timestamp};

/// Least that a run reads and writes at once.
const IO_BYTES_MIN: u64 = 64 << 10;
/// Bytes that may pass in one go before a limited run waits: what is asked for per second is met
/// over a second, not over a buffer.
const BURST: Duration = Duration::from_secs(1);
/// Longest wait of a throttled run before it looks whether it is to stop.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// Starts the threads; they end with the manager or the broker's tasks.
pub fn start(core: &Arc<BrokerCore>, manager: &Arc<ReplicaManager>) {
    let storage = &core.config.storage;
    if !storage.cleaner_enable {
        tracing::warn!("log.cleaner.enable is false: compacted topics grow without bound");
        return;
    }
    let throttle = Arc::new(Throttle::new(storage.cleaner_bytes_per_second));
    for _ in 0..storage.cleaner_threads {
        let (core, throttle) = (core.clone(), throttle.clone());
        let manager = Arc::downgrade(manager);
        core.clone().tasks.spawn(work(core, manager, throttle));
    }
}

fn options(core: &BrokerCore) -> CompactOptions {
    let storage = &core.config.storage;
    let threads = u64::from(storage.cleaner_threads.max(1));
    // Half for what is read, half for what is written.
    let io_bytes = (storage.cleaner_io_buffer_bytes / threads / 2).max(IO_BYTES_MIN);
    CompactOptions {
        map_bytes: storage.cleaner_dedupe_buffer_bytes / threads,
        map_load: storage.cleaner_load_factor,
        io_bytes: usize::try_from(io_bytes).unwrap_or(usize::MAX),
        seed: [core.env.rng.next_u64(), core.env.rng.next_u64()],
    }
}

async fn work(core: Arc<BrokerCore>, manager: Weak<ReplicaManager>, throttle: Arc<Throttle>) {
    loop {
        tokio::time::sleep(core.config.storage.cleaner_backoff).await;
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
        while run_once(&core, &logs, &throttle).await {}
        let status = logs.compaction_status();
        core.metrics.compaction(status.due, status.failed, status.dirty_ratio_max);
        core.metrics.compaction_overdue(status.overdue_ms_max, status.failed_bytes);
    }
}

/// Compacts one log; false if there is none, or it failed, and the thread is to rest.
async fn run_once(
    core: &Arc<BrokerCore>,
    logs: &Arc<LogManager>,
    throttle: &Arc<Throttle>,
) -> bool {
    let (logs, throttle, inner) = (logs.clone(), throttle.clone(), core.clone());
    let runtime = tokio::runtime::Handle::current();
    let started = core.env.clock.now();
    let done = env::tasks::blocking(move || {
        let wait = |pause| runtime.block_on(tokio::time::sleep(pause));
        compact_next(&inner, &logs, &throttle, &wait)
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
    core: &BrokerCore,
    logs: &LogManager,
    throttle: &Throttle,
    wait: &dyn Fn(Duration),
) -> Result<Option<CompactedLog>, LogDirError> {
    let pace = |bytes| {
        core.metrics.compaction_bytes(bytes);
        let mut left = throttle.take(bytes, core.env.clock.now());
        while !core.tasks.is_stopping() {
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            let part = left.min(WAIT_MAX);
            wait(part);
            left -= part;
        }
        ControlFlow::Break(())
    };
    let wall: Timestamp = core.env.clock.wall();
    logs.compact_next(wall, &options(core), &pace)
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
struct Throttle {
    bytes_per_second: f64,
    /// When what was taken so far is paid for.
    paid: Mutex<Monotonic>,
}

impl Throttle {
    fn new(bytes_per_second: f64) -> Throttle {
        Throttle { bytes_per_second, paid: Mutex::new(Monotonic(0)) }
    }

    /// How long to wait after these bytes.
    fn take(&self, bytes: u64, now: Monotonic) -> Duration {
        // Nothing waits at a rate that no disk reaches; none at all would wait for ever.
        if !(1.0..1e15).contains(&self.bytes_per_second) {
            return Duration::ZERO;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut paid = self.paid.lock().expect("no thread panicked in the throttle");
        let credit = Monotonic(now.0.saturating_sub(BURST.as_micros() as u64));
        *paid = (*paid).max(credit) + cost;
        Duration::from_micros(paid.0.saturating_sub(now.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_keeps_its_rate_and_allows_a_burst() {
        let throttle = Throttle::new(1000.0);
        let start = Monotonic(10_000_000);
        assert_eq!(throttle.take(1000, start), Duration::ZERO, "a second's worth was saved up");
        assert_eq!(throttle.take(500, start), Duration::from_millis(500));
        assert_eq!(throttle.take(500, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(100);
        assert_eq!(throttle.take(1500, later), Duration::from_millis(500));
        assert_eq!(Throttle::new(f64::MAX).take(u64::MAX, start), Duration::ZERO);
    }
}
