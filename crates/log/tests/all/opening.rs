//! What opening and closing cost: counted, so that they cannot grow unseen.

use crate::support::*;
use env::Disk;
use env::disk::MemDisk;
use env::mem_disk::MemDiskStats;
use log::{LogConfig, LogDirs, LogManager, LogManagerOptions, OpenReport, WantedLog};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicPartition};

const PARTITIONS: i32 = 20;

/// Small enough that each log has several segments.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 500, ..small() }
}

fn start(disk: &MemDisk, open_files_max: usize) -> (LogManager, OpenReport) {
    let rng = Counter(AtomicU64::new(1));
    let dirs: Vec<PathBuf> = vec!["/a/logs".into()];
    let dirs = LogDirs::open(Arc::new(disk.clone()), &dirs, NodeId(1), &rng).unwrap();
    let options = LogManagerOptions {
        recovery_threads: 1,
        config_of: Arc::new(|_| config()),
        now: Timestamp(1),
        open_files_max,
    };
    LogManager::open(dirs, options).unwrap()
}

fn name(index: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: PartitionIndex(index) }
}

/// 20 partitions of 12 batches each; the first half empty.
fn fill(logs: &LogManager) {
    for index in 0..PARTITIONS {
        let log = logs.get_or_create(&name(index), topic_id(1), config(), None).unwrap();
        for _ in 0..(if index < PARTITIONS / 2 { 0 } else { 12 }) {
            append(&mut log.lock(), 1);
        }
    }
}

fn done(disk: &MemDisk, work: impl FnOnce()) -> MemDiskStats {
    let before = disk.stats();
    work();
    let after = disk.stats();
    MemDiskStats {
        reads: after.reads - before.reads,
        read_bytes: after.read_bytes - before.read_bytes,
        writes: after.writes - before.writes,
        syncs: after.syncs - before.syncs,
        opens: after.opens - before.opens,
        lists: after.lists - before.lists,
        looks: after.looks - before.looks,
    }
}

fn closed(disk: &MemDisk) {
    let (logs, _) = start(disk, 1000);
    fill(&logs);
    logs.shut_down(BrokerEpoch(1)).unwrap();
}

fn wanted() -> Vec<WantedLog> {
    let want = |index| WantedLog {
        partition: name(index),
        topic_id: topic_id(1),
        config: config(),
        directory: None,
    };
    (0..PARTITIONS).map(want).collect()
}

#[test]
fn partitions_that_are_made_together_share_a_sync_of_their_names() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk, 1000);
    let cost = done(&disk, || {
        let found = logs.get_or_create_all(&wanted());
        assert!(found.failed.is_empty() && found.logs.iter().all(Result::is_ok));
    });
    // Of each: its partition.metadata, and its directory.
    assert_eq!(cost.syncs, PARTITIONS as u64 * 2 + 1, "{cost:?}");
    let cost = done(&disk, || drop(logs.get_or_create_all(&wanted())));
    assert_eq!((cost.syncs, cost.writes, cost.opens), (0, 0, 0), "all are there: {cost:?}");
    drop(logs);
    disk.crash(1);
    assert_eq!(start(&disk, 1000).1.partitions, PARTITIONS as usize);
}

#[test]
fn partitions_that_are_deleted_together_share_a_sync_of_their_names() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk, 1000);
    fill(&logs);
    logs.checkpoint_recovery_points().unwrap();
    let all: Vec<_> = (0..PARTITIONS).map(|index| (name(index), topic_id(1))).collect();
    let mut jobs = Vec::new();
    let cost = done(&disk, || jobs = logs.delete(&all).0);
    assert_eq!((jobs.len(), cost.syncs), (PARTITIONS as usize, 1), "{cost:?}");
    for job in jobs {
        job.run().unwrap();
    }
    // Made again at once: what the checkpoints say of them is forgotten by one write of each file.
    let cost = done(&disk, || {
        let found = logs.get_or_create_all(&wanted());
        let end = |log: &log::LogHandle| log.lock().end_offset();
        assert!(found.logs.iter().all(|log| end(log.as_ref().unwrap()) == Offset(0)));
    });
    assert!(cost.syncs <= PARTITIONS as u64 * 2 + 1 + 2 * 2, "{cost:?}");
}

#[test]
fn partitions_whose_names_are_not_synced_are_not_there() {
    let mut changes = 0;
    loop {
        let disk = MemDisk::new();
        let (logs, _) = start(&disk, 1000);
        disk.stop_after(Some(changes));
        let found = logs.get_or_create_all(&wanted());
        if found.logs.iter().all(Result::is_ok) {
            break;
        }
        assert!(
            found.logs.iter().all(Result::is_err),
            "the sync of all names comes last: {changes}"
        );
        assert!(logs.partitions().is_empty() && logs.has_offline(), "{changes}");
        changes += 1;
    }
    assert!(changes > PARTITIONS as u64 * 4, "{changes}");
}

#[test]
fn a_clean_partition_opens_with_a_listing_a_look_a_segment_and_three_small_files() {
    let disk = MemDisk::new();
    closed(&disk);
    let segments = disk_segments(&disk);
    assert!(segments >= PARTITIONS as u64 * 2, "{segments}");
    // The directory's own: lock, shutdown marker, meta.properties, checkpoints.
    const OWN: u64 = 10;
    let partitions = PARTITIONS as u64;
    let mut logs = None;
    let cost = done(&disk, || logs = Some(start(&disk, 1000)));
    let (logs, report) = logs.unwrap();
    assert_eq!((report.partitions, report.recovered), (PARTITIONS as usize, 0));
    // partition.metadata, the snapshot and, where there was a leader, its epochs.
    assert!(cost.opens <= partitions * 5 / 2 + OWN, "{cost:?}");
    assert!(cost.lists <= partitions + 1, "{cost:?}");
    assert_eq!(cost.looks, segments, "{cost:?}");
    assert!(cost.reads <= cost.opens && cost.read_bytes < partitions * 200, "{cost:?}");
    assert!(cost.writes <= 2 && cost.syncs <= 4, "{cost:?}");
    assert_eq!((disk.open_files(), logs.open_files()), (0, 0), "an idle log keeps no file open");
}

fn disk_segments(disk: &MemDisk) -> u64 {
    let dirs = (0..PARTITIONS).map(|n| PathBuf::from(format!("/a/logs/t-{n}")));
    let names = dirs.flat_map(|dir| disk.list(&dir).unwrap());
    names.filter(|entry| entry.name.ends_with(".log")).count() as u64
}

#[test]
fn logs_that_were_not_used_close_without_touching_a_file() {
    let disk = MemDisk::new();
    closed(&disk);
    let (logs, _) = start(&disk, 1000);
    let used = logs.get(&name(15)).unwrap();
    let end = append(&mut used.lock(), 1);
    let cost = done(&disk, || logs.shut_down(BrokerEpoch(2)).unwrap());
    assert!(cost.opens <= 20 && cost.lists == 0 && cost.writes <= 20, "{cost:?}");
    drop((logs, used));
    disk.crash(5);
    let (logs, report) = start(&disk, 1000);
    assert_eq!(report.recovered, 0);
    assert_eq!(logs.get(&name(15)).unwrap().lock().end_offset(), end.plus(1));
    assert_eq!(logs.get(&name(14)).unwrap().lock().end_offset(), Offset(12));
}

/// Ten thousand partitions could not be opened after a kill where a process may have 20,000 files: all
/// of them had to be open at once, until they were synced.
#[test]
fn recovery_works_within_the_bound_and_notes_what_it_has_synced() {
    const MAX: usize = 6;
    let disk = MemDisk::new();
    let (logs, _) = start(&disk, 1000);
    fill(&logs);
    drop(logs);
    disk.set_descriptors(Some(MAX as u64 + 4));
    let (logs, killed) = start(&disk, MAX);
    assert!(killed.offline.is_empty() && killed.damaged.is_empty(), "{killed:?}");
    assert_eq!((killed.partitions, killed.recovered), (PARTITIONS as usize, 10));
    assert!(logs.open_files() <= MAX, "{}", logs.open_files());
    logs.sync_recovered().unwrap();
    for index in 10..PARTITIONS {
        let log = logs.get(&name(index)).unwrap();
        assert_eq!(log.lock().recovery_point(), Offset(12), "partition {index}");
        assert_eq!(bases(&log.lock()), (0..12).collect::<Vec<_>>());
        append(&mut log.lock(), 1);
        assert!(logs.open_files() <= MAX, "{}", logs.open_files());
    }
    drop(logs);
    let (_, again) = start(&disk, MAX);
    assert!(again.recovered_bytes * 2 < killed.recovered_bytes, "{again:?} after {killed:?}");
}

#[test]
fn files_beyond_the_bound_are_closed_and_opened_again_on_demand() {
    const MAX: usize = 10;
    let disk = MemDisk::new();
    closed(&disk);
    let (logs, _) = start(&disk, MAX);
    for _ in 0..3 {
        for index in 10..PARTITIONS {
            let log = logs.get(&name(index)).unwrap();
            assert_eq!(bases(&log.lock()), (0..12).collect::<Vec<_>>());
            assert!(logs.open_files() <= MAX, "{}", logs.open_files());
            assert!(disk.open_files() <= MAX as u64);
        }
    }
    let all: Vec<_> = (0..PARTITIONS).map(|index| logs.get(&name(index)).unwrap()).collect();
    for log in &all {
        let batch = batch_at(&[1000], 50);
        log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000)).unwrap();
    }
    assert!(logs.open_files() <= MAX, "{} are open, unsynced ones too", logs.open_files());
    for log in &all {
        log.sync().unwrap();
    }
    for log in &all {
        let log = log.lock();
        assert_eq!(bases(&log).last(), Some(&(log.end_offset().0 - 1)));
    }
    assert!(logs.open_files() <= MAX, "{}", logs.open_files());
    assert_eq!(disk.open_files(), logs.open_files() as u64);
}

#[test]
fn a_log_whose_files_were_closed_is_cut_rolled_and_shut_down_like_any_other() {
    let disk = MemDisk::new();
    closed(&disk);
    for round in 0..4 {
        let (logs, report) = start(&disk, 10);
        assert_eq!(report.recovered, 0, "round {round}");
        for index in 10..PARTITIONS {
            let log = logs.get(&name(index)).unwrap();
            let end = log.lock().end_offset();
            log.lock().truncate_to(end.plus(-3)).unwrap();
            for _ in 0..6 {
                append(&mut log.lock(), 1);
            }
            log.sync().unwrap();
            assert_eq!(bases(&log.lock()), (0..end.0 + 3).collect::<Vec<_>>());
        }
        logs.shut_down(BrokerEpoch(1)).unwrap();
        drop(logs);
        disk.crash(round);
    }
}
