//! What a manager does to many logs over time: compaction, delayed removal.

use crate::compaction::{compacted, go_on, options, settle};
use crate::support::*;
use env::Disk;
use env::disk::{MemDisk, read_file};
use log::{CompactError, LogConfig, LogDirs, LogManager, LogManagerOptions};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicPartition};

fn start(disk: &MemDisk) -> LogManager {
    let rng = Counter(AtomicU64::new(1));
    let dirs = LogDirs::open(Arc::new(disk.clone()), &["/a/logs".into()], NodeId(1), &rng).unwrap();
    let options = LogManagerOptions {
        recovery_threads: 1,
        config_of: Arc::new(|_| compacted()),
        now: Timestamp(1),
        open_files_max: 10_000,
    };
    LogManager::open(dirs, options).unwrap().0
}

fn name(index: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: PartitionIndex(index) }
}

/// A partition with this many batches of the same keys, all committed.
fn fill(logs: &LogManager, index: i32, count: usize, config: LogConfig) {
    let log = logs.get_or_create(&name(index), topic_id(1), config, None).unwrap();
    for _ in 0..count {
        append(&mut log.lock(), 1);
    }
    let end = log.lock().end_offset();
    log.lock().set_high_watermark(end);
}

fn file(disk: &MemDisk, name: &str) -> String {
    let bytes = read_file(disk, &Path::new("/a/logs").join(name)).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_dirtiest_log_is_first_and_every_one_has_its_turn() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    for (index, count) in [(0, 20), (1, 60), (2, 4)] {
        fill(&logs, index, count, compacted());
    }
    fill(&logs, 3, 60, small());
    let now = Timestamp(2000);
    assert!(logs.compact_next(now, &options(), &go_on).unwrap().is_none(), "nothing is synced");
    logs.prepare_compaction(now).unwrap();
    let mut turns = Vec::new();
    while let Some(done) = logs.compact_next(now, &options(), &go_on).unwrap() {
        let report = done.result.unwrap();
        assert!(report.records_kept < report.records_read);
        turns.push(done.partition.partition.0);
    }
    turns.sort();
    assert_eq!(turns, [0, 1], "of the third one there is an active segment only");
    assert_eq!(logs.compaction_status().logs, 3);
    let cleaned = logs.get(&name(1)).unwrap().lock().cleaned_to();
    let checkpoint = file(&disk, "cleaner-offset-checkpoint");
    assert!(checkpoint.contains(&format!("t 1 {cleaned}\n")), "{checkpoint}");
    assert!(!checkpoint.contains("t 3"), "only compacted topics: {checkpoint}");
    logs.shut_down(BrokerEpoch(1)).unwrap();
    drop(logs);
    let logs = start(&disk);
    assert_eq!(logs.get(&name(1)).unwrap().lock().cleaned_to(), cleaned);
    logs.prepare_compaction(now).unwrap();
    // All topics are compacted by now: the fourth is the only one that was never.
    let done = logs.compact_next(now, &options(), &go_on).unwrap().unwrap();
    assert_eq!(done.partition, name(3));
    assert!(logs.compact_next(now, &options(), &go_on).unwrap().is_none());
}

#[test]
fn a_damaged_log_is_reported_once_and_the_others_go_on() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    fill(&logs, 0, 60, compacted());
    fill(&logs, 1, 30, compacted());
    logs.prepare_compaction(Timestamp(2000)).unwrap();
    disk.flip_bit(Path::new("/a/logs/t-0/00000000000000000000.log"), 100);
    let mut results = Vec::new();
    while let Some(done) = logs.compact_next(Timestamp(2000), &options(), &go_on).unwrap() {
        results.push((done.partition.partition.0, done.result));
    }
    assert_eq!(results.len(), 2);
    for (index, result) in &results {
        assert_eq!(matches!(result, Err(CompactError::Damaged { .. })), *index == 0);
    }
    let failures = logs.compaction_failures();
    assert_eq!(failures.len(), 1);
    assert!(failures[0].1.contains("damaged"), "{failures:?}");
    let status = logs.compaction_status();
    assert_eq!((status.failed, status.due), (1, 0));
    assert!(status.failed_bytes > 0);
    assert_eq!(logs.directories().len(), 1, "the directory is well");
    let damaged = logs.damaged();
    assert_eq!((damaged.len(), &damaged[0].partition), (1, &name(0)), "the log knows of it");
}

#[test]
fn compaction_waits_for_space_and_leaves_none_taken() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    fill(&logs, 0, 60, compacted());
    logs.prepare_compaction(Timestamp(2000)).unwrap();
    let used = disk.used();
    disk.set_capacity(Some(used + 50));
    let done = logs.compact_next(Timestamp(2000), &options(), &go_on).unwrap().unwrap();
    assert!(matches!(done.result, Err(CompactError::NoSpace(_))), "{:?}", done.result);
    assert!(disk.used() <= used + 50);
    let names = disk.list(Path::new("/a/logs/t-0")).unwrap();
    assert!(!names.iter().any(|entry| entry.name.ends_with(".cleaned")));
    disk.set_capacity(None);
    let done = logs.compact_next(Timestamp(2000), &options(), &go_on).unwrap().unwrap();
    assert!(done.result.is_ok());
    assert!(disk.used() < used);
}

#[test]
fn a_failing_disk_takes_the_directory_offline() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    fill(&logs, 0, 60, compacted());
    logs.prepare_compaction(Timestamp(2000)).unwrap();
    disk.fail_syncs(Some(".log.cleaned"));
    assert!(logs.compact_next(Timestamp(2000), &options(), &go_on).is_err());
    assert!(logs.directories().is_empty());
}

#[test]
fn files_of_deleted_segments_stay_for_their_delay() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    let config = LogConfig { file_delete_delay_ms: 1000, retention_ms: 1, ..small() };
    fill(&logs, 0, 100, config);
    let deleted = || {
        let names = disk.list(Path::new("/a/logs/t-0")).unwrap();
        names.iter().filter(|entry| entry.name.ends_with(".log.deleted")).count()
    };
    let report = logs.run_retention(Timestamp(5000)).unwrap();
    assert!(report.segments > 0);
    assert_eq!(deleted(), report.segments);
    logs.remove_due(Timestamp(5999)).unwrap();
    assert_eq!(deleted(), report.segments);
    logs.remove_due(Timestamp(6000)).unwrap();
    assert_eq!(deleted(), 0);
}

#[test]
fn readers_of_a_segment_that_was_compacted_read_on() {
    let world = World::new(compacted());
    let mut log = world.create();
    for _ in 0..60 {
        append(&mut log, 1);
    }
    settle(&world, &mut log);
    let plan = log.read_plan(Offset(0), log.end_offset(), 1 << 20, true).unwrap();
    let before = plan.read().unwrap();
    let log = log::LogHandle::new(log);
    log::compact(&log, Timestamp(2000), &options(), &go_on).unwrap();
    assert_eq!(plan.read().unwrap(), before, "the plan is of the old file");
    let batch = batch_at(&[1], 10);
    log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).unwrap();
}
