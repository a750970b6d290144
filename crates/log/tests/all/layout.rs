//! The bytes on disk, which other programs read too.

use crate::compaction::{compacted, go_on, keyed, options, transaction_end};
use crate::support::*;
use env::disk::RealDisk;
use log::{LogConfig, LogHandle, OpenLog, PartitionLog, compact};
use records::{BatchOptions, Compression, MarkerKind};
use std::sync::Arc;
use types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicPartition,
};

/// A closed log of two segments, with two producers, two epochs and every file there is.
fn closed() -> World {
    let config =
        LogConfig { segment_bytes: 1200, index_interval_bytes: 200, ..LogConfig::default() };
    let world = World::new(config);
    let mut log = world.create();
    for n in 0..7 {
        let batch = produced(1 + i64::from(n % 2), 0, n / 2 * 2, 2);
        log.append_as_leader(&batch, LeaderEpoch(n / 4), Timestamp(5)).unwrap();
    }
    for n in 0..10 {
        let batch = batch_at(&[2000 + n], 30);
        log.append_as_leader(&batch, LeaderEpoch(1), Timestamp(5)).unwrap();
    }
    log.close().unwrap();
    world
}

fn words(bytes: &[u8]) -> Vec<i64> {
    bytes
        .chunks_exact(4)
        .map(|word| i64::from(i32::from_be_bytes(word.try_into().unwrap())))
        .collect()
}

#[test]
fn a_partition_has_kafkas_files() {
    let world = closed();
    assert_eq!(
        world.names(),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "00000000000000000019.index",
            "00000000000000000019.log",
            "00000000000000000019.snapshot",
            "00000000000000000019.timeindex",
            "00000000000000000024.snapshot",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ]
    );
    // Behind the last digit there are 32 marks, which Kafka reads as white space.
    let epochs = world.file("leader-epoch-checkpoint");
    assert_eq!(epochs.trim_ascii_end(), b"0\n2\n0 0\n1 8");
    assert_eq!(epochs.len(), epochs.trim_ascii_end().len() + 32 + 1);
    let metadata = world.file("partition.metadata");
    assert!(metadata.starts_with(b"version: 0\ntopic_id: "), "{metadata:?}");
}

#[test]
fn index_entries_are_last_offset_and_position_of_a_batch() {
    let world = closed();
    let index = words(&world.file("00000000000000000000.index"));
    let log = world.file("00000000000000000000.log");
    assert!(!index.is_empty());
    for entry in index.chunks(2) {
        let header = records::BatchHeader::parse(&log[entry[1] as usize..]).unwrap();
        assert_eq!(header.last_offset(), Offset(entry[0]));
    }
}

#[test]
fn time_index_entries_rise_and_end_with_the_newest() {
    let world = closed();
    let bytes = world.file("00000000000000000019.timeindex");
    let entries: Vec<(i64, i32)> = bytes
        .chunks_exact(12)
        .map(|entry| {
            let (time, relative) = entry.split_at(8);
            let time = i64::from_be_bytes(time.try_into().unwrap());
            (time, i32::from_be_bytes(relative.try_into().unwrap()))
        })
        .collect();
    assert!(entries.is_sorted());
    assert_eq!(entries.last(), Some(&(2009, 4)));
}

#[test]
fn a_snapshot_has_a_row_for_each_batch_kept() {
    let world = closed();
    let bytes = world.file("00000000000000000024.snapshot");
    assert_eq!(bytes[..2], [0, 1], "version");
    assert_eq!(bytes[2..6], crc32c::crc32c(&bytes[6..]).to_be_bytes());
    assert_eq!(bytes[6..10], 7i32.to_be_bytes(), "four batches of one, three of the other");
    assert_eq!(bytes.len(), 10 + 7 * 46);
    let rows: Vec<(i64, i32, i64)> = bytes[10..]
        .chunks_exact(46)
        .map(|row| {
            let id = i64::from_be_bytes(row[..8].try_into().unwrap());
            let sequence = i32::from_be_bytes(row[10..14].try_into().unwrap());
            (id, sequence, i64::from_be_bytes(row[14..22].try_into().unwrap()))
        })
        .collect();
    assert_eq!(rows[..4], [(1, 1, 1), (1, 3, 5), (1, 5, 9), (1, 7, 13)], "oldest first");
    assert_eq!(rows[4..], [(2, 1, 3), (2, 3, 7), (2, 5, 11)]);
}

#[test]
fn a_real_disk_holds_the_same() {
    let world = closed();
    let temp = tempfile::tempdir().unwrap();
    // `OTTLA_LAYOUT_DIR` keeps the files, for the dump tools of others.
    let keep = std::env::var_os("OTTLA_LAYOUT_DIR").map(std::path::PathBuf::from);
    let log_dir = keep.unwrap_or_else(|| temp.path().to_owned());
    let mut log =
        OpenLog { disk: Arc::new(RealDisk), log_dir: log_dir.clone(), ..world.how(false) }
            .create(topic_id(1))
            .unwrap();
    let (source, _) = world.open(true).unwrap();
    let all: Vec<u8> = read_all(&source).iter().flat_map(|b| b.bytes.to_vec()).collect();
    log.append_as_follower(&all.into(), Timestamp(5)).unwrap();
    log.close().unwrap();
    for name in world.names() {
        let real = env::disk::read_file(&RealDisk, &log_dir.join("events-0").join(&name)).unwrap();
        assert_eq!(real, world.file(&name), "{name}");
    }
}

/// Three producers, one of them with transactions; keys that come again, and tombstones; every codec.
fn fill_for_compaction(log: &mut PartitionLog) {
    for n in 0..60i32 {
        let producer = BatchOptions {
            compression: Compression::ALL[n as usize % 5],
            producer_id: ProducerId(i64::from(n % 3)),
            producer_epoch: ProducerEpoch(0),
            base_sequence: n / 3 * 2,
            transactional: n % 3 == 2,
            ..BatchOptions::default()
        };
        let key = format!("key {}", n % 7);
        let batch = keyed(producer, &[(&key, Some("value")), ("gone", None)]);
        log.append_as_leader(&batch, LeaderEpoch(n / 20), Timestamp(1000)).unwrap();
        if n % 3 == 2 {
            let kind = if n % 2 == 0 { MarkerKind::Abort } else { MarkerKind::Commit };
            let marker = transaction_end(2, kind);
            log.append_as_leader(&marker, LeaderEpoch(n / 20), Timestamp(1000)).unwrap();
        }
    }
}

/// A compacted log with what only compaction makes: delete horizons, batches without records, gaps,
/// joined segments, an index of aborted transactions.
#[test]
fn a_compacted_log_on_a_real_disk_is_the_same_after_recovery() {
    let temp = tempfile::tempdir().unwrap();
    let keep = std::env::var_os("OTTLA_LAYOUT_DIR").map(std::path::PathBuf::from);
    let log_dir = keep.unwrap_or_else(|| temp.path().to_owned());
    let world = World::new(compacted());
    let partition = TopicPartition { topic: "compacted".into(), partition: PartitionIndex(0) };
    let how = |clean| OpenLog {
        disk: Arc::new(RealDisk),
        log_dir: log_dir.clone(),
        partition: partition.clone(),
        ..world.how(clean)
    };
    let mut log = how(false).create(topic_id(2)).unwrap();
    fill_for_compaction(&mut log);
    log.flush().unwrap();
    world.checkpoint(&log);
    log.set_high_watermark(log.end_offset());
    let log = LogHandle::new(log);
    let report = compact(&log, Timestamp(2000), &options(), &go_on).unwrap();
    assert!(report.records_kept < report.records_read);
    let (batches, end) = {
        let mut log = log.lock();
        let all = (read_all(&log), log.end_offset());
        log.close().unwrap();
        all
    };
    assert!(batches.iter().any(|batch| batch.header.records_count == 0));
    assert!(batches.iter().any(|batch| batch.header.delete_horizon().is_some()));
    let names = |suffix: &str| {
        let all = env::Disk::list(&RealDisk, &log_dir.join("compacted-0")).unwrap();
        all.into_iter().map(|entry| entry.name).filter(|n| n.ends_with(suffix)).collect::<Vec<_>>()
    };
    assert!(!names(".txnindex").is_empty());
    assert!(names(".cleaned").is_empty() && names(".swap").is_empty());
    let indexes: Vec<_> = [".index", ".timeindex"]
        .iter()
        .flat_map(|suffix| names(suffix))
        .map(|n| {
            (
                n.clone(),
                env::disk::read_file(&RealDisk, &log_dir.join("compacted-0").join(n)).unwrap(),
            )
        })
        .collect();
    // Without the indexes of aborted transactions: of those whose records are gone nothing is left
    // that a reader would skip, and a recovery does not find them.
    *world.point.0.lock().unwrap() = Offset(0);
    let (mut log, recovered) = how(false).open().unwrap();
    assert!(recovered.unclean && recovered.cut_bytes == 0);
    assert_eq!((read_all(&log), log.end_offset()), (batches, end));
    log.close().unwrap();
    for (name, before) in indexes {
        let path = log_dir.join("compacted-0").join(&name);
        assert_eq!(env::disk::read_file(&RealDisk, &path).unwrap(), before, "{name}");
    }
}
