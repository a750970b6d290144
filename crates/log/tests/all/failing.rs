//! A disk that is full, and directories that fail.

use crate::support::*;
use env::Disk;
use env::disk::MemDisk;
use log::{AppendError, LogDirs, LogManager, LogManagerOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use types::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, Timestamp, TopicPartition};

fn start(disk: &MemDisk) -> LogManager {
    let paths: [PathBuf; 2] = ["/a/logs".into(), "/b/logs".into()];
    let rng = Counter(AtomicU64::new(1));
    let dirs = LogDirs::open(Arc::new(disk.clone()), &paths, NodeId(1), &rng).unwrap();
    let options = LogManagerOptions {
        recovery_threads: 1,
        config_of: Arc::new(|_| small()),
        now: Timestamp(1),
        open_files_max: 10_000,
    };
    LogManager::open(dirs, options).unwrap().0
}

fn name(index: i32) -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: PartitionIndex(index) }
}

/// Partitions 0 and 1, one in each directory, with a record each.
fn two(logs: &LogManager) -> [log::LogHandle; 2] {
    [0, 1].map(|index| {
        let log = logs.get_or_create(&name(index), topic_id(1), small(), None).unwrap();
        append(&mut log.lock(), 1);
        log
    })
}

fn try_append(log: &log::LogHandle) -> Result<Offset, AppendError> {
    let batch = batch_at(&[1000], 50);
    let appended = log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000));
    appended.map(|appended| appended.base_offset)
}

#[test]
fn a_full_disk_takes_no_directory_offline() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    let [first, _] = two(&logs);
    disk.set_capacity(Some(disk.used()));
    assert!(matches!(try_append(&first), Err(AppendError::NoSpace(_))));
    let full = logs.checkpoint_high_watermarks().unwrap_err();
    assert!(full.is_no_space(), "{full}");
    assert!(logs.get_or_create(&name(2), topic_id(1), small(), None).is_err());
    assert!(!logs.has_offline());
    disk.set_capacity(None);
    assert_eq!(try_append(&first).unwrap(), Offset(1));
    logs.checkpoint_high_watermarks().unwrap();
    logs.get_or_create(&name(2), topic_id(1), small(), None).unwrap();
    let strays = ["/a/logs", "/b/logs"].map(|dir| disk.list(Path::new(dir)).unwrap());
    assert!(strays.iter().flatten().all(|entry| !entry.name.contains("-stray")), "{strays:?}");
}

/// The process had no descriptor left: of its disks that says nothing.
#[test]
fn want_of_descriptors_takes_no_directory_offline_and_passes() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    two(&logs);
    logs.shut_down(BrokerEpoch(1)).unwrap();
    drop(logs);
    let logs = start(&disk);
    let [first, second] = [0, 1].map(|index| logs.get(&name(index)).unwrap());
    disk.set_descriptors(Some(0));
    assert!(matches!(try_append(&first), Err(AppendError::NoSpace(_))));
    assert!(logs.get_or_create(&name(2), topic_id(1), small(), None).is_err());
    disk.set_descriptors(None);
    assert_eq!(try_append(&first).unwrap(), Offset(1));
    let batch = batch_at(&[1000], 50);
    second.lock().append_as_leader(&batch, LeaderEpoch(1), Timestamp(1000)).unwrap();
    disk.set_descriptors(Some(0));
    // The new epoch has a file of its own.
    let failed = second.sync().unwrap_err();
    assert!(failed.is_no_space() && !failed.is_of_directory(), "{failed}");
    first.sync().unwrap();
    let failed = logs.checkpoint_recovery_points().unwrap_err();
    assert!(failed.is_no_space(), "{failed}");
    assert!(logs.fence_directory(&failed).is_empty() && !logs.has_offline());
    disk.set_descriptors(None);
    assert_eq!(second.sync().unwrap(), Offset(2), "a sync that could not begin is tried again");
    logs.checkpoint_recovery_points().unwrap();
    logs.get_or_create(&name(2), topic_id(1), small(), None).unwrap();
    second.lock().append_as_leader(&batch, LeaderEpoch(1), Timestamp(1000)).unwrap();
    assert!(logs.failed_directories().is_empty());
}

#[test]
fn a_failed_sync_closes_every_log_of_its_directory_and_is_not_tried_again() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    let [first, second] = two(&logs);
    let beside = logs.get_or_create(&name(2), topic_id(1), small(), None).unwrap();
    disk.fail_syncs(Some("t-0"));
    let failed = first.sync().unwrap_err();
    disk.fail_syncs(None);
    assert!(first.sync().is_err(), "never a retry");
    let lost = logs.fence_directory(&failed);
    assert_eq!(lost, [name(0), name(2)]);
    assert!(matches!(try_append(&beside), Err(AppendError::Io(_))));
    assert!(!logs.holds(&name(0), &first) && logs.holds(&name(1), &second));
    assert_eq!(try_append(&second).unwrap(), Offset(1));
    second.sync().unwrap();
    assert!(logs.has_offline());
    let online: Vec<bool> = logs.describe_directories().iter().map(|dir| dir.is_online).collect();
    assert_eq!(online, [false, true]);
    assert_eq!(logs.failed_directories().len(), 1);
}

/// Whoever finds the failure may hold the log's lock: this stood still for ever.
#[test]
fn a_directory_is_fenced_under_the_lock_of_a_log_in_it() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    let [first, second] = two(&logs);
    disk.fail_syncs(Some("t-0"));
    let failed = first.sync().unwrap_err();
    let locked = first.lock();
    assert_eq!(logs.fence_directory(&failed), [name(0)]);
    drop(locked);
    assert!(try_append(&first).is_err() && try_append(&second).is_ok());
}

#[test]
fn a_sync_that_fails_for_want_of_space_is_a_failure_all_the_same() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    let [first, _] = two(&logs);
    disk.fail_syncs(Some("t-0"));
    let failed = first.sync().unwrap_err();
    assert!(!failed.is_no_space(), "{failed}");
    assert!(!logs.fence_directory(&failed).is_empty());
}

#[test]
fn directories_are_described_with_what_they_hold() {
    let disk = MemDisk::new();
    let logs = start(&disk);
    two(&logs);
    let views = logs.describe_directories();
    let held: Vec<Vec<TopicPartition>> =
        views.iter().map(|view| view.logs.iter().map(|(name, _)| name.clone()).collect()).collect();
    assert_eq!(held, [vec![name(0)], vec![name(1)]]);
    assert!(views.iter().all(|view| view.is_online && view.id.is_some()));
}
