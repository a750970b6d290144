//! The log on a real disk, each figure beside a bare loop that does the same I/O in the same run.
//!
//! `cargo bench -p ottla-log [-- NAME ...]`. `OTTLA_BENCH_DIR` chooses the disk (default: the
//! directory for temporary files), `OTTLA_BENCH_MIB` the data per measurement (default 512),
//! `OTTLA_BENCH_THREADS` those that recover (default: one a processor), `OTTLA_BENCH_ROUNDS` how often a
//! measurement is repeated (default 3, the best counts: the machine has other work).
#![allow(clippy::disallowed_methods)]

mod followers;
mod group_commit;
mod socket;

use bytes::Bytes;
use env::disk::{Open, RealDisk};
use env::{Disk, File, Rng};
use log::{
    CleanupPolicy, CompactOptions, CompactionConfig, LogConfig, LogDirs, LogHandle, LogManager,
    LogManagerOptions, OpenFiles, OpenLog, OpenReport, PartitionLog, RecoveryPoints, compact,
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

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    type Bench = fn(&Path);
    let all: [(&str, Bench); 9] = [
        ("append", append),
        ("append_many", append_many),
        ("compact", compaction),
        ("followers", followers::followers),
        ("open", open),
        ("read", read),
        ("recover", recover),
        ("socket", socket::read_to_socket),
        ("sync", group_commit::sync),
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

fn rounds() -> usize {
    std::env::var("OTTLA_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn bytes() -> u64 {
    let mib = std::env::var("OTTLA_BENCH_MIB").ok().and_then(|text| text.parse().ok());
    mib.unwrap_or(512u64) * MIB
}

fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / MIB as f64 / took.as_secs_f64()
}

/// Time that all threads of this process were on a processor, in steps of 10 ms.
fn process_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // utime and stime, in hundredths of a second.
    let ticks = after_name.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>())
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
    (0..rounds()).map(|_| measure()).min().expect("at least one round")
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
        files: OpenFiles::default(),
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

/// Times of the same work done by the log and by a bare loop, in turn, so that both meet the same
/// machine; the best of each.
struct Pair {
    wall: [Duration; 2],
    cpu: [Duration; 2],
}

fn in_turn(mut ours: impl FnMut() -> Duration2, mut bare: impl FnMut() -> Duration2) -> Pair {
    let mut best = Pair { wall: [Duration::MAX; 2], cpu: [Duration::MAX; 2] };
    for _ in 0..rounds() {
        for (index, took) in [ours(), bare()].into_iter().enumerate() {
            best.wall[index] = best.wall[index].min(took.0);
            best.cpu[index] = best.cpu[index].min(took.1);
        }
    }
    best
}

/// By the clock, and on the processor.
type Duration2 = (Duration, Duration);

fn timed(work: impl FnOnce()) -> Duration2 {
    let (start, cpu) = (Instant::now(), on_cpu());
    work();
    (start.elapsed(), on_cpu() - cpu)
}

impl Pair {
    fn print(&self, name: &str, total: u64, goal: &str) {
        for (by, [ours, bare]) in [("by the clock", self.wall), ("on the processor", self.cpu)] {
            let (ours, bare) = (rate(total, ours), rate(total, bare));
            line(&format!("{name}, {by}"), ours, "MiB/s", Some(bare), goal);
        }
    }
}

/// Batches of 64 KiB into one partition, page cache.
fn append(dir: &Path) {
    let batch = batch_of(64 << 10);
    let count = bytes() / (64 << 10);
    let ours = || {
        let (mut log, _) = create(dir, "append", &LogConfig::default());
        let took = timed(|| (0..count).for_each(|_| put(&mut log, &batch)));
        drop(log);
        remove(dir, "append");
        took
    };
    let bare = || {
        let file = bare_file(dir, "bare");
        let took = timed(|| {
            for n in 0..count {
                file.write_all_at(batch.bytes(), n * (64 << 10)).expect("a write");
            }
        });
        RealDisk.remove_file(&dir.join("bare")).expect("removed");
        took
    };
    in_turn(ours, bare).print("append 64 KiB batches", bytes(), ">= 80 %");
}

/// The same, round robin over a thousand partitions. The bare loop's files lie in directories made the
/// same way: where a file system puts a file, and so what a write costs, depends on them. The first
/// round is not measured: a file's first write since its transaction pays for the journal.
fn append_many(dir: &Path) {
    const PARTITIONS: usize = 1000;
    let batch = batch_of(64 << 10);
    let rounds = (bytes() / (64 << 10) / PARTITIONS as u64).max(1);
    let make = |what: &str| -> Vec<PartitionLog> {
        let made = |n| create(dir, &format!("{what}{n}"), &LogConfig::default()).0;
        (0..PARTITIONS).map(made).collect()
    };
    let unmake = |what: &str| (0..PARTITIONS).for_each(|n| remove(dir, &format!("{what}{n}")));
    let ours = || {
        let mut logs = make("many");
        logs.iter_mut().for_each(|log| put(log, &batch));
        let took = timed(|| {
            (0..rounds).for_each(|_| logs.iter_mut().for_each(|log| put(log, &batch)));
        });
        drop(logs);
        unmake("many");
        took
    };
    let bare = || {
        let made = make("bare");
        let files: Vec<_> = made.iter().map(|log| bare_file(log.dir(), "bare")).collect();
        let write = |file: &Arc<dyn File>, round: u64| {
            file.write_all_at(batch.bytes(), round * (64 << 10)).expect("a write");
        };
        files.iter().for_each(|file| write(file, 0));
        let took = timed(|| {
            for round in 1..=rounds {
                for file in &files {
                    write(file, round);
                }
            }
        });
        drop((files, made));
        unmake("bare");
        took
    };
    let total = rounds * (64 << 10) * PARTITIONS as u64;
    in_turn(ours, bare).print("append round robin to 1,000 partitions", total, ">= 60 %");
}

/// One partition from its start to its end, 1 MiB a read, from the page cache.
fn read(dir: &Path) {
    let batch = batch_of(64 << 10);
    let config = LogConfig { segment_bytes: 128 << 20, ..LogConfig::default() };
    let (mut log, _) = create(dir, "read", &config);
    (0..bytes() / (64 << 10)).for_each(|_| put(&mut log, &batch));
    let total = log.size();
    let ours = || {
        timed(|| {
            let (mut from, end) = (log.start_offset(), log.end_offset());
            while from < end {
                let plan = log.read_plan(from, end, 1 << 20, true).expect("a plan");
                let read = plan.read().expect("a read");
                // What a consumer does, who asks from the next offset.
                let batches = read.len() / (64 << 10);
                from = from.plus(batches as i64);
            }
        })
    };
    let bare = || {
        timed(|| {
            read_all(&dir.join("read-0"));
        })
    };
    in_turn(ours, bare).print("read back", total, "close to 100 %");
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
        open_files_max: 10_000,
    };
    LogManager::open(dirs, options).expect("logs")
}

/// 10,000 partitions with a record each, shut down cleanly: with names and attributes in memory, and
/// (where this process may drop them) without.
fn open(dir: &Path) {
    const PARTITIONS: i32 = 10_000;
    let config = LogConfig::default();
    let dirs = [dir.join("logs")];
    let name = |n| TopicPartition { topic: "open".into(), partition: PartitionIndex(n) };
    {
        let (logs, _) = start_manager(&dirs, 2, &config);
        let log = logs.get_or_create(&name(0), Uuid::from_random(1), config.clone(), None);
        put(&mut log.expect("a log").lock(), &batch_of(200));
        logs.shut_down(BrokerEpoch(1)).expect("a clean end");
    }
    // Copies of the first: making them by the log takes tens of thousands of syncs.
    let first = dirs[0].join("open-0");
    for n in 1..PARTITIONS {
        let copy = dirs[0].join(format!("open-{n}"));
        RealDisk.create_dir_all(&copy).expect("a directory");
        for entry in RealDisk.list(&first).expect("a listing") {
            std::fs::copy(first.join(&entry.name), copy.join(&entry.name)).expect("a copy");
        }
    }
    for cold in [true, false] {
        if cold && std::fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
            continue;
        }
        let (mut opened, mut closed) = (Duration::MAX, Duration::MAX);
        for _ in 0..if cold { 1 } else { rounds() } {
            let before = open_files();
            let start = Instant::now();
            let (logs, report) = start_manager(&dirs, 2, &config);
            opened = opened.min(start.elapsed());
            assert_eq!((report.partitions, report.recovered_bytes), (PARTITIONS as usize, 0));
            // The directory's lock.
            assert!(open_files() <= before + 1, "an idle partition keeps no file open");
            let start = Instant::now();
            logs.shut_down(BrokerEpoch(1)).expect("a clean end");
            closed = closed.min(start.elapsed());
        }
        let cache = if cold { "cold" } else { "warm" };
        let ms = |took: Duration| took.as_secs_f64() * 1000.0;
        line(
            &format!("open 10,000 clean partitions, {cache} cache"),
            ms(opened),
            "ms",
            None,
            "<= 2000 ms",
        );
        println!(
            "  {:.3} ms a partition; shut down in {:.0} ms",
            ms(opened) / 10_000.0,
            ms(closed)
        );
    }
}

/// Files that this process has open.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count())
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

/// Unclean logs whose recovery points were never written, by several threads, beside as many that
/// read the same files.
fn recover(dir: &Path) {
    const PARTITIONS: i32 = 8;
    let threads = std::env::var("OTTLA_BENCH_THREADS").ok().and_then(|text| text.parse().ok());
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let config = LogConfig { segment_bytes: 128 << 20, ..LogConfig::default() };
    let dirs = [dir.join("logs")];
    let batch = batch_of(16 << 10);
    let name = |n| TopicPartition { topic: "recover".into(), partition: PartitionIndex(n) };
    {
        let (logs, _) = start_manager(&dirs, 1, &config);
        for n in 0..PARTITIONS {
            let log = logs.get_or_create(&name(n), Uuid::from_random(1), config.clone(), None);
            let log = log.expect("a log");
            let count = bytes() / PARTITIONS as u64 / (16 << 10);
            (0..count).for_each(|_| put(&mut log.lock(), &batch));
            log.sync().expect("a sync");
        }
    }
    let inside: Vec<PathBuf> =
        (0..PARTITIONS).map(|n| dirs[0].join(format!("recover-{n}"))).collect();
    for cold in [true, false] {
        let prepare = || {
            if cold {
                inside.iter().for_each(|dir| evict(dir));
            }
        };
        let ours = || {
            prepare();
            timed(|| {
                let (_logs, report) = start_manager(&dirs, threads, &config);
                assert!(report.recovered_bytes >= bytes() - (1 << 20));
            })
        };
        let bare = || {
            prepare();
            timed(|| read_all_by(&inside, threads))
        };
        let took = in_turn(ours, bare);
        let [ours, bare] = took.wall.map(|took| rate(bytes(), took));
        let cache = if cold { "cold" } else { "warm" };
        let name = format!("recover {} MiB, {threads} threads, {cache} cache", bytes() / MIB);
        line(&name, ours, "MiB/s", Some(bare), ">= 50 % of the disk's rate");
    }
}

fn read_all_by(dirs: &[PathBuf], threads: usize) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(dir) = dirs.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    read_all(dir);
                }
            });
        }
    });
}
