//! When a log asks for a sync, and how concurrent appends share one.

use crate::support::*;
use env::disk::{DirEntry, MemDisk, Open};
use env::{Disk, File};
use log::{LogConfig, LogHandle, OpenLog};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use types::{Offset, Timestamp};

#[test]
fn a_sync_is_wanted_after_as_many_records_as_flush_messages() {
    let world = World::new(LogConfig { flush_messages: 3, ..small() });
    let mut log = world.create();
    append(&mut log, 2);
    assert!(!log.wants_flush());
    append(&mut log, 1);
    assert!(log.wants_flush() && log.wants_sync(Timestamp(1000)));
    log.flush().unwrap();
    assert!(!log.wants_flush());
    append(&mut log, 2);
    assert!(!log.wants_flush(), "counted from what is synced");
}

#[test]
fn a_sync_is_wanted_after_flush_ms() {
    let world = World::new(LogConfig { flush_ms: 50, ..small() });
    let mut log = world.create();
    append(&mut log, 1);
    assert!(!log.wants_sync(Timestamp(1049)));
    assert!(log.wants_sync(Timestamp(1050)));
    log.flush().unwrap();
    assert!(!log.wants_sync(Timestamp(2000)));
}

/// Each writer appends and then waits until its record is synced: those who wait together share
/// the sync of the first of them.
#[test]
fn concurrent_appends_share_syncs_and_none_is_told_too_early() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 20;
    let world = World::new(LogConfig { segment_bytes: 1 << 20, ..small() });
    let mut log = world.create();
    append(&mut log, 1);
    let log = LogHandle::new(log);
    log.sync().unwrap();
    let before = world.disk.stats().syncs;
    let together = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let offset = append(&mut log.lock(), 1);
                    together.wait();
                    assert!(log.sync().unwrap() > offset);
                    together.wait();
                }
            });
        }
    });
    assert_eq!(log.lock().synced_offset(), Offset((1 + WRITERS * ROUNDS) as i64));
    assert_eq!(world.disk.stats().syncs - before, ROUNDS as u64);
}

#[test]
fn all_who_share_a_sync_that_fails_are_told_so() {
    const WRITERS: usize = 8;
    let world = World::new(small());
    let mut log = world.create();
    append(&mut log, 1);
    let log = LogHandle::new(log);
    log.sync().unwrap();
    world.disk.fail_syncs(Some(".log"));
    let together = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                append(&mut log.lock(), 1);
                together.wait();
                assert!(log.sync().is_err());
            });
        }
    });
    world.disk.fail_syncs(None);
    assert!(log.sync().is_err(), "it is never tried again");
    assert_eq!(log.lock().synced_offset(), Offset(1));
}

/// A disk whose syncs wait for a gate.
struct GatedDisk {
    disk: MemDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    /// Syncs of segment files that have begun.
    begun: AtomicU64,
}

impl Gate {
    fn shut(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut is_shut = self.is_shut.lock().unwrap();
        while *is_shut {
            is_shut = self.opened.wait(is_shut).unwrap();
        }
    }
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Option<Arc<Gate>>,
}

impl File for GatedFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(buf, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.iter().for_each(|gate| gate.pass());
        self.file.sync_data()
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let is_segment = path.extension().is_some_and(|kind| kind == "log");
        let gate = is_segment.then(|| self.gate.clone());
        Ok(Arc::new(GatedFile { file: self.disk.open(path, how)?, gate }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}

#[test]
fn indexes_that_are_completed_beside_a_sync_are_synced_by_the_next_one() {
    for seed in 0..8 {
        let world = World::new(small());
        let mut log = world.create();
        let beside = loop {
            let job = log.sync();
            append(&mut log, 1);
            if log.segment_bases().len() > 1 {
                break job;
            }
        };
        log.complete_sync(beside.run()).unwrap();
        log.flush().unwrap();
        drop(log);
        world.disk.crash(seed);
        let times = world.file("00000000000000000000.timeindex");
        assert!(!times.is_empty(), "seed {seed}");
    }
}

#[test]
fn appends_go_on_beside_a_sync_and_wait_for_the_next_one() {
    let world = World::new(LogConfig { segment_bytes: 1 << 20, ..small() });
    let gate: Arc<Gate> = Arc::default();
    let disk = Arc::new(GatedDisk { disk: world.disk.clone(), gate: gate.clone() });
    let mut log = OpenLog { disk, ..world.how(false) }.create(topic_id(1)).unwrap();
    append(&mut log, 1);
    let log = LogHandle::new(log);
    log.sync().unwrap();
    gate.shut(true);
    let before = gate.begun.load(Ordering::SeqCst);
    append(&mut log.lock(), 1);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (log, answered) = (&log, &answered);
        let sync = move |above: i64| {
            assert!(log.sync().unwrap() > Offset(above));
            answered.fetch_add(1, Ordering::SeqCst);
        };
        scope.spawn(move || sync(1));
        while gate.begun.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
        // The sync is under way: the lock is free, and what comes now is not covered.
        for _ in 0..4 {
            let offset = append(&mut log.lock(), 1);
            scope.spawn(move || sync(offset.0));
        }
        assert_eq!(log.lock().synced_offset(), Offset(1));
        assert_eq!(answered.load(Ordering::SeqCst), 0, "nobody before the sync");
        gate.shut(false);
    });
    assert_eq!(log.lock().synced_offset(), Offset(6));
    let syncs = gate.begun.load(Ordering::SeqCst) - before;
    assert!((2..=5).contains(&syncs), "{syncs}");
}
