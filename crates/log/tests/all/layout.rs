//! The bytes on disk, which other programs read too.

use crate::support::*;
use env::disk::RealDisk;
use log::{LogConfig, OpenLog};
use std::sync::Arc;
use types::{LeaderEpoch, Offset, Timestamp};

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
    assert_eq!(&world.file("leader-epoch-checkpoint")[..], b"0\n2\n0 0\n1 8\n");
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
