//! The log on a real disk, each figure beside a bare loop that does the same I/O in the same run.
//!
//! `cargo bench -p ottla-log [-- NAME ...]`. `OTTLA_BENCH_DIR` chooses the disk (default: the
//! directory for temporary files), `OTTLA_BENCH_MIB` the data per measurement (default 512).
#![allow(clippy::disallowed_methods)]

use bytes::Bytes;
use env::disk::{Open, RealDisk};
use env::{Disk, File, Rng};
use log::{
    CleanupPolicy, CompactOptions, CompactionConfig, LogConfig, LogDirs, LogHandle, LogManager,
    LogManagerOptions, OpenLog, OpenReport, PartitionLog, RecoveryPoints, compact,
};
use records::{BatchBuilder, BatchOptions, NewRecord, ProducedBatch};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use types::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicPartition, Uuid,
};

const MIB: u64 = 1 << 20;
/// Best of this many: the machine has other work.
const ROUNDS: usize = 3;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    type Bench = fn(&Path);
    let all: [(&str, Bench); 6] = [
        ("append", append),
        ("append_many", append_many),
        ("compact", compaction),
        ("open", open),
        ("recover", recover),
        ("sync", sync),
    ];
    for (name, bench) in all {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            let dir = match std::env::var_os("OTTLA_BENCH_DIR") {
                Some(dir) => tempfile::tempdir_in(dir),
                None => tempfile::tempdir(),
            };
            bench(dir.expect("a directory for the bench").path());
        }
    }
}

fn bytes() -> u64 {
    let mib = std::env::var("OTTLA_BENCH_MIB").ok().and_then(|text| text.parse().ok());
    mib.unwrap_or(512u64) * MIB
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / MIB as f64 / took.as_secs_f64()
}

/// Time that this thread was on a processor: what is left of a measurement where others are busy.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

fn line(name: &str, ours: f64, unit: &str, bare: Option<f64>, goal: &str) {
    let ratio = bare.map_or(String::new(), |bare| {
        format!("  bare {bare:.0} {unit}  ratio {:.0} %", 100.0 * ours / bare)
    });
    println!("{name}: {ours:.0} {unit}{ratio}  (goal {goal})");
}

fn best(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| measure()).min().expect("at least one round")
}

/// Recovery points kept in memory.
#[derive(Default)]
struct Point(AtomicI64);

impl RecoveryPoints for Point {
    fn lower(&self, _: &TopicPartition, offset: Offset) -> io::Result<()> {
        self.0.fetch_min(offset.0, Ordering::Relaxed);
        Ok(())
    }

    fn durable(&self, _: &TopicPartition) -> Offset {
        Offset(self.0.load(Ordering::Relaxed))
    }
}

struct Counter(AtomicU64);

impl Rng for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

fn how(dir: &Path, name: &str, config: &LogConfig, point: &Arc<Point>) -> OpenLog {
    OpenLog {
        disk: Arc::new(RealDisk),
        log_dir: dir.to_owned(),
        partition: TopicPartition { topic: name.into(), partition: PartitionIndex(0) },
        config: config.clone(),
        now: Timestamp(1),
        clean: false,
        recovery_point: point
            .durable(&TopicPartition { topic: name.into(), partition: PartitionIndex(0) }),
        start_offset: Offset(0),
        high_watermark: Offset(0),
        recovery_points: point.clone(),
    }
}

fn create(dir: &Path, name: &str, config: &LogConfig) -> (PartitionLog, Arc<Point>) {
    let point = Arc::new(Point::default());
    let log = how(dir, name, config, &point).create(Uuid::from_random(1)).expect("a new log");
    (log, point)
}

fn remove(dir: &Path, name: &str) {
    RealDisk.remove_dir_all(&dir.join(format!("{name}-0"))).expect("the log can be removed");
}

/// A batch of exactly this size.
fn batch_of(size: usize) -> ProducedBatch {
    let made = |value: usize| {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let value = Some(vec![b'x'; value].into());
        builder.push(&NewRecord { timestamp: Timestamp(1), value, ..NewRecord::default() });
        builder.build()
    };
    let over = made(size).bytes.len() - size;
    ProducedBatch::from_own(made(size - over))
}

fn put(log: &mut PartitionLog, batch: &ProducedBatch) {
    log.append_as_leader(batch, LeaderEpoch(0), Timestamp(1)).expect("an append");
}

fn bare_file(dir: &Path, name: &str) -> Arc<dyn File> {
    RealDisk.open(&dir.join(name), Open::Create).expect("a file")
}

/// Batches of 64 KiB into one partition, page cache: by the time on the processor, which is all that
/// it takes.
fn append(dir: &Path) {
    let batch = batch_of(64 << 10);
    let count = bytes() / (64 << 10);
    let ours = best(|| {
        let (mut log, _) = create(dir, "append", &LogConfig::default());
        let start = on_cpu();
        (0..count).for_each(|_| put(&mut log, &batch));
        let took = on_cpu() - start;
        drop(log);
        remove(dir, "append");
        took
    });
    let bare = best(|| {
        let file = bare_file(dir, "bare");
        let start = on_cpu();
        for n in 0..count {
            file.write_all_at(batch.bytes(), n * (64 << 10)).expect("a write");
        }
        let took = on_cpu() - start;
        RealDisk.remove_file(&dir.join("bare")).expect("removed");
        took
    });
    let (ours, bare) = (rate(bytes(), ours), rate(bytes(), bare));
    line("append 64 KiB batches", ours, "MiB/s", Some(bare), ">= 80 %");
}

/// The same, round robin over a thousand partitions.
fn append_many(dir: &Path) {
    const PARTITIONS: usize = 1000;
    let batch = batch_of(64 << 10);
    let rounds = (bytes() / (64 << 10) / PARTITIONS as u64).max(1);
    let ours = best(|| {
        let name = |n| format!("many{n}");
        let mut logs: Vec<PartitionLog> =
            (0..PARTITIONS).map(|n| create(dir, &name(n), &LogConfig::default()).0).collect();
        let start = on_cpu();
        for _ in 0..rounds {
            logs.iter_mut().for_each(|log| put(log, &batch));
        }
        let took = on_cpu() - start;
        drop(logs);
        (0..PARTITIONS).for_each(|n| remove(dir, &name(n)));
        took
    });
    let bare = best(|| {
        let files: Vec<_> = (0..PARTITIONS).map(|n| bare_file(dir, &format!("bare{n}"))).collect();
        let start = on_cpu();
        for round in 0..rounds {
            for file in &files {
                file.write_all_at(batch.bytes(), round * (64 << 10)).expect("a write");
            }
        }
        let took = on_cpu() - start;
        let names = (0..PARTITIONS).map(|n| dir.join(format!("bare{n}")));
        names.for_each(|name| RealDisk.remove_file(&name).expect("removed"));
        took
    });
    let total = rounds * (64 << 10) * PARTITIONS as u64;
    let (ours, bare) = (rate(total, ours), rate(total, bare));
    line("append round robin to 1,000 partitions", ours, "MiB/s", Some(bare), ">= 60 %");
}

/// 100-byte values under 16-byte keys, each key four times, in batches of 16 KiB.
fn fill_keyed(log: &mut PartitionLog) {
    let total = bytes();
    let keys = total / 125 / 4;
    let mut n = 0u64;
    while log.size() < total {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        while builder.size() < 16 << 10 {
            // A walk over all keys in no order.
            let key = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % keys);
            builder.push(&NewRecord {
                timestamp: Timestamp(1),
                key: Some(key.into()),
                value: Some(Bytes::from_static(&[b'v'; 100])),
                headers: Vec::new(),
            });
            n += 1;
        }
        put(log, &ProducedBatch::from_own(builder.build()));
    }
}

fn compaction(dir: &Path) {
    let config = LogConfig {
        segment_bytes: 64 << 20,
        cleanup: CleanupPolicy { delete: false, compact: true },
        compaction: CompactionConfig { min_dirty_ratio: 0.0, ..CompactionConfig::default() },
        ..LogConfig::default()
    };
    let (mut log, point) = create(dir, "compact", &config);
    fill_keyed(&mut log);
    log.flush().expect("a sync");
    point.0.store(log.recovery_point().0, Ordering::Relaxed);
    log.set_high_watermark(log.end_offset());
    let log = LogHandle::new(log);
    let options =
        CompactOptions { map_bytes: 1 << 30, map_load: 0.9, io_bytes: 256 << 10, seed: [1, 2] };
    let go_on = |_| ControlFlow::Continue(());
    let (start, cpu) = (Instant::now(), on_cpu());
    let report = compact(&log, Timestamp(2), &options, &go_on).expect("a compaction");
    let (took, cpu) = (start.elapsed(), on_cpu() - cpu);
    // The same reads (twice) and writes, and the same syncs.
    let bare = best(|| {
        let input = bare_file(dir, "input");
        let chunk = vec![b'x'; 256 << 10];
        for at in (0..report.read_bytes).step_by(chunk.len()) {
            input.write_all_at(&chunk, at).expect("a write");
        }
        input.sync_data().expect("a sync");
        let output = bare_file(dir, "output");
        let mut buffer = vec![0; 256 << 10];
        let start = Instant::now();
        for _ in 0..2 {
            for at in (0..report.read_bytes).step_by(buffer.len()) {
                input.read_at(&mut buffer, at).expect("a read");
            }
        }
        for at in (0..report.written_bytes).step_by(buffer.len()) {
            output.write_all_at(&buffer, at).expect("a write");
        }
        output.sync_data().expect("a sync");
        let took = start.elapsed();
        RealDisk.remove_file(&dir.join("input")).expect("removed");
        RealDisk.remove_file(&dir.join("output")).expect("removed");
        took
    });
    let (ours, bare) = (rate(report.read_bytes, took), rate(report.read_bytes, bare));
    line("compact small records, one thread", ours, "MiB/s of input", Some(bare), ">= 200 MiB/s");
    println!("  {:.0} MiB of input in a second on the processor", rate(report.read_bytes, cpu));
    println!(
        "  {} MiB to {} MiB, {} of {} records kept, map {:.0} % full",
        report.read_bytes / MIB,
        report.written_bytes / MIB,
        report.records_kept,
        report.records_read,
        100.0 * report.map_utilization
    );
}

fn start_manager(dirs: &[PathBuf], threads: usize, config: &LogConfig) -> (LogManager, OpenReport) {
    let rng = Counter(AtomicU64::new(1));
    let dirs = LogDirs::open(Arc::new(RealDisk), dirs, NodeId(1), &rng).expect("directories");
    let config = config.clone();
    let options = LogManagerOptions {
        recovery_threads: threads,
        config_of: Arc::new(move |_| config.clone()),
        now: Timestamp(1),
    };
    LogManager::open(dirs, options).expect("logs")
}

/// 5,000 partitions with a record each, shut down cleanly (10,000 need more open files at their end than
/// many machines allow).
fn open(dir: &Path) {
    const PARTITIONS: i32 = 5_000;
    let config = LogConfig::default();
    let dirs = [dir.join("logs")];
    let batch = batch_of(200);
    // In portions: a new log has three files open, one that was shut down cleanly has one.
    for first in (0..PARTITIONS).step_by(1000) {
        let (logs, _) = start_manager(&dirs, 2, &config);
        for n in first..first + 1000 {
            let name = TopicPartition { topic: "open".into(), partition: PartitionIndex(n) };
            let log = logs.get_or_create(&name, Uuid::from_random(1), config.clone(), None);
            put(&mut log.expect("a log").lock(), &batch);
        }
        logs.shut_down(BrokerEpoch(1)).expect("a clean end");
    }
    let mut took = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (logs, report) = start_manager(&dirs, 2, &config);
        took = took.min(start.elapsed());
        assert_eq!((report.partitions, report.recovered_bytes), (PARTITIONS as usize, 0));
        logs.shut_down(BrokerEpoch(1)).expect("a clean end");
    }
    line(
        "open 5,000 clean partitions",
        took.as_secs_f64() * 1000.0,
        "ms",
        None,
        "<= 1000 ms: 10,000 in 2 s",
    );
}

/// Reads a directory's files once, whole.
fn read_all(dir: &Path) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    for entry in RealDisk.list(dir).expect("a listing") {
        let mut file = std::fs::File::open(dir.join(entry.name)).expect("a file");
        loop {
            match file.read(&mut buffer).expect("a read") {
                0 => break,
                count => total += count as u64,
            }
        }
    }
    total
}

/// Lets the page cache forget a directory's files.
fn evict(dir: &Path) {
    for entry in RealDisk.list(dir).expect("a listing") {
        let file = std::fs::File::open(dir.join(entry.name)).expect("a file");
        file.sync_all().expect("a sync");
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
}

/// An unclean log whose recovery point was never written.
fn recover(dir: &Path) {
    let batch = batch_of(16 << 10);
    let config = LogConfig { segment_bytes: 128 << 20, ..LogConfig::default() };
    let (mut log, _) = create(dir, "recover", &config);
    (0..bytes() / (16 << 10)).for_each(|_| put(&mut log, &batch));
    log.flush().expect("a sync");
    drop(log);
    let inside = dir.join("recover-0");
    for cold in [true, false] {
        let ours = best(|| {
            if cold {
                evict(&inside);
            }
            let start = Instant::now();
            let point = Arc::new(Point::default());
            let (_log, recovered) = how(dir, "recover", &config, &point).open().expect("recovery");
            assert!(recovered.read_bytes >= bytes() - (16 << 10));
            start.elapsed()
        });
        let bare = best(|| {
            if cold {
                evict(&inside);
            }
            let start = Instant::now();
            read_all(&inside);
            start.elapsed()
        });
        let (ours, bare) = (rate(bytes(), ours), rate(bytes(), bare));
        let name = if cold { "recover, cold cache" } else { "recover, warm cache" };
        line(name, ours, "MiB/s", Some(bare), ">= 50 % of the disk's rate");
    }
}

/// Small synced appends: 64 writers to one partition share syncs; beside one fdatasync a write.
fn sync(dir: &Path) {
    const WRITERS: u64 = 64;
    let batch = batch_of(1 << 10);
    let (log, _) = create(dir, "sync", &LogConfig::default());
    let log = LogHandle::new(log);
    let window = Duration::from_secs(3);
    let count = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while start.elapsed() < window {
                    put(&mut log.lock(), &batch);
                    log.sync().expect("a sync");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let ours = count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    let file = bare_file(dir, "bare");
    let (start, mut bare) = (Instant::now(), 0u64);
    while start.elapsed() < window {
        file.write_all_at(batch.bytes(), bare * (1 << 10)).expect("a write");
        file.sync_data().expect("a sync");
        bare += 1;
    }
    let bare = bare as f64 / start.elapsed().as_secs_f64();
    line("synced appends, 64 writers, one partition", ours, "/s", Some(bare), ">= 2000 %");
}
