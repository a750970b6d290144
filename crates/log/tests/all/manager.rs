//! Log directories and the manager over them.

use crate::support::*;
use env::Disk;
use env::disk::{MemDisk, Open};
use log::{LogDirs, LogManager, LogManagerOptions, MetaProperties, OpenError, OpenReport};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicPartition};

const CLUSTER: &str = "cluster-a";

fn dirs() -> Vec<PathBuf> {
    vec!["/a/logs".into(), "/b/logs".into()]
}

fn lock(disk: &MemDisk) -> Result<LogDirs, OpenError> {
    let rng = Counter(AtomicU64::new(1));
    LogDirs::open(Arc::new(disk.clone()), &dirs(), NodeId(1), &rng)
}

fn start(disk: &MemDisk) -> (LogManager, OpenReport) {
    let dirs = lock(disk).unwrap();
    let options = LogManagerOptions {
        recovery_threads: 2,
        config_of: Arc::new(|_| small()),
        now: Timestamp(1),
    };
    let (logs, report) = LogManager::open(dirs, options).unwrap();
    logs.join_cluster(CLUSTER).unwrap();
    (logs, report)
}

fn name(topic: &str, index: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionIndex(index) }
}

fn fill(logs: &LogManager, topic: &str, index: i32, count: usize) {
    let log = logs.get_or_create(&name(topic, index), topic_id(1), small(), None).unwrap();
    for _ in 0..count {
        append(&mut log.lock(), 1);
    }
}

fn end(logs: &LogManager, topic: &str, index: i32) -> Offset {
    logs.get(&name(topic, index)).unwrap().lock().end_offset()
}

#[test]
fn a_node_that_shut_down_cleanly_finds_all_and_reads_nothing() {
    let disk = MemDisk::new();
    let (logs, report) = start(&disk);
    assert_eq!(report.partitions, 0);
    for index in 0..6 {
        fill(&logs, "t", index, 50);
    }
    logs.get(&name("t", 3)).unwrap().lock().set_high_watermark(Offset(40));
    logs.shut_down(BrokerEpoch(17)).unwrap();
    drop(logs);
    disk.crash(1);
    let dirs = lock(&disk).unwrap();
    assert_eq!(dirs.previous_broker_epoch(), Some(BrokerEpoch(17)));
    assert_eq!(dirs.cluster_id(), Some(CLUSTER));
    drop(dirs);
    let dirs = lock(&disk).unwrap();
    assert_eq!(dirs.previous_broker_epoch(), None, "the marker holds once");
    drop(dirs);
    let (logs, report) = start(&disk);
    assert_eq!((report.partitions, report.recovered), (6, 6));
    logs.shut_down(BrokerEpoch(18)).unwrap();
    drop(logs);
    let (logs, report) = start(&disk);
    assert_eq!((report.partitions, report.recovered, report.recovered_bytes), (6, 0, 0));
    assert_eq!(end(&logs, "t", 5), Offset(50));
    assert_eq!(logs.get(&name("t", 3)).unwrap().lock().high_watermark(), Offset(40));
}

#[test]
fn partitions_go_to_the_directory_with_the_fewest() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    for index in 0..6 {
        fill(&logs, "t", index, 1);
    }
    let in_first = disk.list(Path::new("/a/logs")).unwrap();
    assert_eq!(in_first.iter().filter(|entry| entry.is_dir).count(), 3);
    let wanted = logs.directories()[1].0;
    let there = name("u", 0);
    logs.get_or_create(&there, topic_id(2), small(), Some(wanted)).unwrap();
    assert_eq!(logs.directory_of(&there), Some(wanted));
}

#[test]
fn a_directory_of_another_cluster_or_node_is_refused_with_both_ids() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    let error = logs.join_cluster("cluster-b").unwrap_err().to_string();
    assert!(error.contains("cluster-a") && error.contains("cluster-b"), "{error}");
    drop(logs);
    let rng = Counter(AtomicU64::new(1));
    let other = LogDirs::open(Arc::new(disk.clone()), &super::manager::dirs(), NodeId(2), &rng);
    let error = other.err().unwrap().to_string();
    assert!(error.contains("node 1") && error.contains("not to 2"), "{error}");
    let meta = MetaProperties::read(&disk, Path::new("/a/logs")).unwrap().unwrap().unwrap();
    assert_eq!(meta.cluster_id.as_deref(), Some(CLUSTER));
}

#[test]
fn a_directory_in_use_is_refused() {
    let disk = MemDisk::new();
    let _held = lock(&disk).unwrap();
    assert!(matches!(lock(&disk), Err(OpenError::Locked(_))));
}

#[test]
fn a_copied_directory_is_refused() {
    let disk = MemDisk::new();
    drop(start(&disk));
    let meta = MetaProperties::read(&disk, Path::new("/a/logs")).unwrap().unwrap().unwrap();
    meta.write(&disk, Path::new("/b/logs")).unwrap();
    assert!(matches!(lock(&disk), Err(OpenError::SameDirectoryId { .. })));
}

#[test]
fn a_deleted_partition_leaves_nothing_to_its_successor() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 30);
    let log = logs.get(&name("t", 0)).unwrap();
    log.lock().set_high_watermark(Offset(30));
    log.lock().advance_start_offset(Offset(20));
    log.sync().unwrap();
    logs.checkpoint_recovery_points().unwrap();
    logs.checkpoint_high_watermarks().unwrap();
    assert!(logs.delete(&name("t", 0), topic_id(9)).unwrap().is_none(), "another topic's id");
    let job = logs.delete(&name("t", 0), topic_id(1)).unwrap().unwrap();
    assert!(logs.get(&name("t", 0)).is_none());
    let batch = batch_at(&[1], 10);
    let late = log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).unwrap_err();
    assert_eq!(late.code(), types::ErrorCode::NotLeaderOrFollower);
    fill(&logs, "t", 0, 3);
    job.run().unwrap();
    drop(logs);
    disk.crash(3);
    let (logs, report) = start(&disk);
    assert!(report.damaged.is_empty());
    if let Some(log) = logs.get(&name("t", 0)) {
        assert_eq!(log.lock().start_offset(), Offset(0));
    }
    let all = disk.list(Path::new("/a/logs")).unwrap();
    assert!(all.iter().all(|entry| !entry.name.ends_with("-delete")), "{all:?}");
}

#[test]
fn a_topic_made_again_sets_the_old_log_aside() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 5);
    let new = logs.get_or_create(&name("t", 0), topic_id(2), small(), None).unwrap();
    assert_eq!(new.lock().end_offset(), Offset(0));
    let names: Vec<_> = dirs().iter().flat_map(|dir| disk.list(dir).unwrap()).collect();
    assert_eq!(names.iter().filter(|entry| entry.name.ends_with("-stray")).count(), 1);
    drop((logs, new));
    let (_, report) = start(&disk);
    assert_eq!(report.partitions, 1, "a stray is nobody's");
}

#[test]
fn a_failing_directory_takes_only_its_own_partitions() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    for index in 0..4 {
        fill(&logs, "t", index, 1);
    }
    disk.fail_writes(Some("/a/logs"));
    let error = logs.checkpoint_recovery_points().unwrap_err();
    assert_eq!(error.dir, Path::new("/a/logs"));
    assert_eq!(logs.partitions().len(), 2);
    assert_eq!(logs.directories().len(), 1);
    fill(&logs, "u", 0, 1);
    let home = logs.directory_of(&name("u", 0)).unwrap();
    assert_eq!(logs.directories()[0].0, home, "new ones go where it works");
}

#[test]
fn a_damaged_partition_stays_closed_and_whole_until_someone_decides() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 10);
    fill(&logs, "t", 1, 10);
    logs.get(&name("t", 0)).unwrap().sync().unwrap();
    logs.checkpoint_recovery_points().unwrap();
    drop(logs);
    let path = dirs().iter().map(|dir| dir.join("t-0")).find(|path| disk.exists(path)).unwrap();
    let path = path.join("00000000000000000000.log");
    let size = disk.open(&path, Open::Read).unwrap().len().unwrap();
    disk.flip_bit(&path, size as usize / 2);
    for _ in 0..2 {
        let (logs, report) = start(&disk);
        assert_eq!(report.partitions, 1);
        assert_eq!(report.damaged.len(), 1);
        assert_eq!(report.damaged[0].0, name("t", 0));
        assert_eq!(disk.open(&path, Open::Read).unwrap().len().unwrap(), size);
        logs.shut_down(BrokerEpoch(1)).unwrap();
    }
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 1);
    assert_eq!(end(&logs, "t", 0), Offset(1), "made anew, the old one is a stray");
}

#[test]
fn retention_and_syncs_run_over_all() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    for index in 0..2 {
        fill(&logs, "t", index, 100);
        logs.get(&name("t", index)).unwrap().lock().set_high_watermark(Offset(100));
    }
    assert_eq!(logs.sync_due(Timestamp(1000)).unwrap(), 2, "both have rolled");
    assert_eq!(logs.sync_due(Timestamp(1000)).unwrap(), 0);
    let report = logs.run_retention(Timestamp(1000 + 8 * 24 * 3_600_000)).unwrap();
    assert!(report.segments >= 4 && report.bytes > 10_000, "{report:?}");
}
