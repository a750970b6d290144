//! Synced appends by many writers, who share syncs.
//!
//! Writers are tasks on a runtime of two workers, as the broker's connections are: an append is noted
//! as waiting under a lock, and one task syncs on a blocking thread for as long as somebody waits, and
//! wakes those whose records are synced. The bare loop is the same with a file and its length in place
//! of the log, so that the two differ by the log alone; the rate of one `fdatasync` after each write is
//! that of a single thread. Where the disk syncs fast, the processors are the limit: how much of them
//! an append costs is printed, too.

use crate::{bare_file, batch_of, create, process_cpu, put, rounds};
use env::File;
use log::{LogConfig, LogHandle};
use records::ProducedBatch;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const WRITERS: usize = 64;
/// Each way's turn in a round.
const WINDOW: Duration = Duration::from_secs(1);

/// What writers append to. Ends are offsets or positions: they only rise.
trait Target: Send + Sync + 'static {
    /// Appends, and says where the log ends now.
    fn append(&self) -> u64;
    /// Syncs, and says up to where. Blocks.
    fn sync(&self) -> u64;
}

struct Ours {
    log: LogHandle,
    batch: ProducedBatch,
}

impl Target for Ours {
    fn append(&self) -> u64 {
        let mut log = self.log.lock();
        put(&mut log, &self.batch);
        log.end_offset().0 as u64
    }

    fn sync(&self) -> u64 {
        self.log.sync().expect("a sync").0 as u64
    }
}

struct Bare {
    file: Arc<dyn File>,
    batch: ProducedBatch,
    end: Mutex<u64>,
}

impl Target for Bare {
    fn append(&self) -> u64 {
        let mut end = self.end.lock().expect("no thread panicked");
        self.file.write_all_at(self.batch.bytes(), *end).expect("a write");
        *end += self.batch.bytes().len() as u64;
        *end
    }

    fn sync(&self) -> u64 {
        let end = *self.end.lock().expect("no thread panicked");
        self.file.sync_data().expect("a sync");
        end
    }
}

#[derive(Default)]
struct Waits {
    is_syncing: bool,
    /// Where the log must be synced to, and who waits for it; in that order.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A log and those who wait for its syncs.
struct Partition {
    target: Box<dyn Target>,
    waits: Mutex<Waits>,
    appended: AtomicU64,
    syncs: AtomicU64,
}

impl Partition {
    fn new(target: impl Target) -> Arc<Partition> {
        let (target, waits) = (Box::new(target), Mutex::default());
        let (appended, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Partition { target, waits, appended, syncs })
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().expect("no thread panicked")
    }

    fn append(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waits = self.waits();
        waits.waiting.push_back((self.target.append(), sender));
        if !std::mem::replace(&mut waits.is_syncing, true) {
            tokio::spawn(self.clone().sync());
        }
        receiver
    }

    async fn sync(self: Arc<Self>) {
        loop {
            // Those who can append at once do it before the sync begins, not after.
            tokio::task::yield_now().await;
            let partition = self.clone();
            let synced = env::tasks::blocking(move || partition.target.sync()).await;
            self.syncs.fetch_add(1, Ordering::Relaxed);
            let mut waits = self.waits();
            while let Some((end, _)) = waits.waiting.front()
                && *end <= synced
            {
                let (_, sender) = waits.waiting.pop_front().expect("it was there");
                sender.send(()).expect("the writer waits");
            }
            if waits.waiting.is_empty() {
                waits.is_syncing = false;
                return;
            }
        }
    }

    fn forget(&self) {
        self.appended.store(0, Ordering::Relaxed);
        self.syncs.store(0, Ordering::Relaxed);
    }

    async fn write_for(self: Arc<Self>, window: Duration) {
        let start = Instant::now();
        while start.elapsed() < window {
            self.append().await.expect("a sync ended well");
            self.appended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Figures {
    appends_per_s: f64,
    appends_per_sync: f64,
    cpu_us_per_append: f64,
}

/// All writers, spread over the partitions.
fn run(partitions: &[Arc<Partition>]) -> Figures {
    let workers = 2;
    env::sections::set_workers(workers);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build();
    let runtime = runtime.expect("a runtime");
    let (start, cpu) = (Instant::now(), process_cpu());
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| runtime.spawn(partitions[n % partitions.len()].clone().write_for(WINDOW)))
        .collect();
    for writer in writers {
        runtime.block_on(writer).expect("a writer");
    }
    let (took, cpu) = (start.elapsed(), process_cpu() - cpu);
    drop(runtime);
    env::sections::set_workers(0);
    let sum = |of: fn(&Partition) -> &AtomicU64| {
        partitions.iter().map(|p| of(p).load(Ordering::Relaxed)).sum::<u64>() as f64
    };
    let (appends, syncs) = (sum(|p| &p.appended), sum(|p| &p.syncs));
    partitions.iter().for_each(|partition| partition.forget());
    Figures {
        appends_per_s: appends / took.as_secs_f64(),
        appends_per_sync: appends / syncs,
        cpu_us_per_append: cpu.as_secs_f64() * 1e6 / appends,
    }
}

/// One thread that syncs each write: its rate.
fn one_by_one(file: &Arc<dyn File>, batch: &ProducedBatch) -> f64 {
    let (start, mut count) = (Instant::now(), 0u64);
    while start.elapsed() < WINDOW {
        file.write_all_at(batch.bytes(), count * batch.bytes().len() as u64).expect("a write");
        file.sync_data().expect("a sync");
        count += 1;
    }
    count as f64 / start.elapsed().as_secs_f64()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Small synced appends by 64 writers: to one partition, to as many, and to a bare file. They take
/// turns, and each is compared with the one-by-one of its own round: what a sync costs changes from
/// second to second where others use the disk. Medians.
pub fn sync(dir: &Path) {
    let batch = batch_of(1 << 10);
    let ours = |name: String| {
        let log = LogHandle::new(create(dir, &name, &LogConfig::default()).0);
        Partition::new(Ours { log, batch: batch.clone() })
    };
    let many = (0..WRITERS).map(|n| ours(format!("many{n}"))).collect();
    let file = bare_file(dir, "bare");
    let bare = Partition::new(Bare { file, batch: batch.clone(), end: Mutex::new(0) });
    let cases: [(&str, Vec<Arc<Partition>>, &str); 3] = [
        ("1 partition", vec![ours("one".into())], ">= 20"),
        ("a bare file", vec![bare], "what the machine can do"),
        ("64 partitions", many, "to know"),
    ];
    let alone_file = bare_file(dir, "one-by-one");
    let mut alone = Vec::new();
    let mut found = [const { Vec::new() }; 3];
    for _ in 0..rounds() {
        let rate = one_by_one(&alone_file, &batch);
        alone.push(rate);
        for ((_, partitions, _), found) in cases.iter().zip(&mut found) {
            found.push((run(partitions), rate));
        }
    }
    println!("one by one: {:.0} synced appends/s", median(alone));
    for ((name, _, goal), found) in cases.iter().zip(&found) {
        let of = |what: fn(&(Figures, f64)) -> f64| median(found.iter().map(what).collect());
        println!(
            "{WRITERS} writers, {name}: {:.0} synced appends/s, {:.1} times one by one (goal {goal})",
            of(|(figures, _)| figures.appends_per_s),
            of(|(figures, alone)| figures.appends_per_s / alone),
        );
        println!(
            "  {:.1} appends a sync, {:.2} us on the processors an append",
            of(|(figures, _)| figures.appends_per_sync),
            of(|(figures, _)| figures.cpu_us_per_append),
        );
    }
}
