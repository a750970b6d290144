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
        open_files_max: 10_000,
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
    let (jobs, failed) = logs.delete(&[(name("t", 0), topic_id(9))]);
    assert!(jobs.is_empty() && failed.is_empty(), "another topic's id");
    let (mut jobs, _) = logs.delete(&[(name("t", 0), topic_id(1))]);
    let job = jobs.pop().unwrap();
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
        assert_eq!(report.damaged[0].partition, name("t", 0));
        assert_eq!(disk.open(&path, Open::Read).unwrap().len().unwrap(), size);
        logs.shut_down(BrokerEpoch(1)).unwrap();
    }
    let (logs, _) = start(&disk);
    let refused = logs.get_or_create(&name("t", 0), topic_id(1), small(), None).err().unwrap();
    assert_eq!(refused.damage().unwrap().offset, Offset(5), "it may be the only copy");
    assert!(!refused.is_of_directory() && logs.fence_directory(&refused).is_empty());
    assert_eq!(logs.damaged().len(), 1);
    let other = logs.get_or_create(&name("t", 0), topic_id(2), small(), None).unwrap();
    assert_eq!(other.lock().end_offset(), Offset(0), "another topic: the old one is a stray");
}

#[test]
fn a_sync_under_way_when_its_partition_is_deleted_harms_nothing_else() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    for index in 0..2 {
        fill(&logs, "t", index, 10);
    }
    let online = logs.directories().len();
    let job = logs.get(&name("t", 0)).unwrap().lock().sync();
    let (removals, failed) = logs.delete(&[(name("t", 0), topic_id(1))]);
    assert_eq!((removals.len(), failed.len()), (1, 0));
    assert!(job.run().is_ok(), "its epochs and names have no directory any more");
    assert_eq!(logs.directories().len(), online);
    assert_eq!(end(&logs, "t", 1), Offset(10));
}

fn names_in(disk: &MemDisk, suffix: &str) -> Vec<PathBuf> {
    let inside = |dir: PathBuf| disk.list(&dir).unwrap().into_iter().map(move |e| dir.join(e.name));
    let ends = |path: &PathBuf| path.to_string_lossy().ends_with(suffix);
    dirs().into_iter().flat_map(inside).filter(ends).collect()
}

#[test]
fn a_quarantined_replica_keeps_its_files_and_an_empty_log_takes_its_place() {
    for is_open in [true, false] {
        let disk = MemDisk::new();
        let (logs, _) = start(&disk);
        fill(&logs, "t", 0, 10);
        let log = logs.get(&name("t", 0)).unwrap();
        log.sync().unwrap();
        log.lock().set_high_watermark(Offset(9));
        logs.checkpoint_recovery_points().unwrap();
        logs.checkpoint_high_watermarks().unwrap();
        let path = log.lock().dir().join("00000000000000000000.log");
        let size = disk.open(&path, Open::Read).unwrap().len().unwrap();
        disk.flip_bit(&path, size as usize / 2);
        let logs = match is_open {
            true => logs,
            false => {
                drop(logs);
                disk.end_program();
                start(&disk).0
            }
        };
        if is_open {
            assert_eq!(log.examine(Offset(5)).unwrap().unwrap().offset, Offset(5));
        }
        let damaged = logs.damaged();
        assert_eq!((&damaged[0].partition, damaged.len()), (&name("t", 0), 1));
        assert_eq!(damaged[0].topic_id.is_some(), is_open);
        let none = logs.quarantine(&name("t", 1), topic_id(1), small()).unwrap();
        assert!(none.is_none(), "no such replica");
        let done = logs.quarantine(&name("t", 0), topic_id(1), small()).unwrap().unwrap();
        assert_eq!(bases(&done.log.lock()), []);
        assert!(done.log.is_same(&logs.get(&name("t", 0)).unwrap()));
        assert!(logs.damaged().is_empty());
        let old = done.aside.join("00000000000000000000.log");
        assert_eq!(disk.open(&old, Open::Read).unwrap().len().unwrap(), size);
        append(&mut done.log.lock(), 2);
        logs.shut_down(BrokerEpoch(1)).unwrap();
        drop((logs, done));
        disk.crash(9);
        let (logs, report) = start(&disk);
        assert_eq!((report.partitions, report.damaged.len()), (1, 0));
        let log = logs.get(&name("t", 0)).unwrap();
        let high = log.lock().high_watermark();
        let end = log.lock().end_offset();
        assert_eq!((high, end), (Offset(0), Offset(2)), "nothing of the old one's checkpoints");
        assert_eq!(names_in(&disk, "-quarantined").len(), 1);
    }
}

#[test]
fn a_crash_within_a_quarantine_leaves_the_old_replica_or_a_name_that_is_free() {
    for changes in 0..14 {
        for seed in 0..6 {
            let disk = MemDisk::new();
            let (logs, _) = start(&disk);
            fill(&logs, "t", 0, 10);
            logs.get(&name("t", 0)).unwrap().sync().unwrap();
            logs.checkpoint_recovery_points().unwrap();
            disk.stop_after(Some(changes));
            let done = logs.quarantine(&name("t", 0), topic_id(1), small()).is_ok();
            drop(logs);
            disk.crash(seed);
            let (logs, report) = start(&disk);
            if report.damaged.iter().any(|closed| closed.damage.is_some()) {
                // This disk may leave a part of a directory under each of its names.
                assert!(!done);
                continue;
            }
            let log = logs.get_or_create(&name("t", 0), topic_id(1), small(), None).unwrap();
            let end = log.lock().end_offset();
            let aside = names_in(&disk, "-quarantined").len();
            // A rename that was not synced may lose both names on this disk.
            let fits = match done {
                true => end == Offset(0) && aside == 1,
                false => end == Offset(0) || (end == Offset(10) && aside == 0),
            };
            assert!(fits, "{changes} {seed}: {end:?} and {aside} aside");
        }
    }
}

#[test]
fn records_without_their_topic_id_are_not_taken_for_a_leftover() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 10);
    let dir = logs.get(&name("t", 0)).unwrap().lock().dir().to_owned();
    logs.shut_down(BrokerEpoch(1)).unwrap();
    drop(logs);
    disk.end_program();
    disk.remove_file(&dir.join("partition.metadata")).unwrap();
    let (logs, report) = start(&disk);
    assert_eq!(report.damaged.len(), 1);
    let refused = logs.get_or_create(&name("t", 0), topic_id(1), small(), None).err().unwrap();
    assert!(refused.damage().is_some(), "{refused}");
    assert!(disk.exists(&dir.join("00000000000000000000.log")));
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

#[test]
fn what_a_recovery_has_looked_through_is_not_looked_through_again() {
    let disk = MemDisk::new();
    let (logs, _) = start(&disk);
    fill(&logs, "t", 0, 500);
    // On disk, but no checkpoint tells so.
    logs.get(&name("t", 0)).unwrap().sync().unwrap();
    drop(logs);
    disk.crash(1);
    let (logs, first) = start(&disk);
    assert!(first.recovered_bytes > 10_000, "{first:?}");
    logs.sync_recovered().unwrap();
    drop(logs);
    disk.crash(2);
    let (logs, again) = start(&disk);
    assert_eq!(end(&logs, "t", 0), Offset(500));
    assert!(again.recovered_bytes * 5 < first.recovered_bytes, "{again:?} after {first:?}");
}
