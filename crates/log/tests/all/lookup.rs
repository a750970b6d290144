//! Reads by offset at the edges, and searches by timestamp.

use crate::support::*;
use log::{Behind, PartitionLog, ReadError, TimestampOffset};
use types::{LeaderEpoch, Offset, Timestamp};

fn send(log: &mut PartitionLog, timestamps: &[i64]) {
    log.append_as_leader(&batch_at(timestamps, 40), LeaderEpoch(2), Timestamp(1)).unwrap();
}

fn at(log: &mut PartitionLog, timestamp: i64) -> Option<(i64, i64)> {
    let found = log.offset_for_timestamp(Timestamp(timestamp)).unwrap().run().unwrap();
    found.map(|TimestampOffset { timestamp, offset, leader_epoch }| {
        assert_eq!(leader_epoch, LeaderEpoch(2));
        (timestamp.0, offset.0)
    })
}

fn newest(log: &mut PartitionLog) -> Option<(i64, i64)> {
    let found = log.max_timestamp_offset().unwrap().run().unwrap();
    found.map(|found| (found.timestamp.0, found.offset.0))
}

#[test]
fn reads_outside_the_log_say_where_it_is() {
    let mut log = World::new(small()).create();
    append(&mut log, 5);
    log.set_high_watermark(Offset(5));
    log.advance_start_offset(Offset(2));
    for offset in [0, 1, 6] {
        match log.read_plan(Offset(offset), Offset(5), 100, true) {
            Err(ReadError::OutOfRange { start_offset, end_offset, .. }) => {
                assert_eq!((start_offset, end_offset), (Offset(2), Offset(5)));
            }
            other => panic!("{offset}: {:?}", other.map(|plan| plan.len())),
        }
    }
    assert!(log.read_plan(Offset(5), Offset(5), 100, true).unwrap().is_empty());
    assert!(log.read_plan(Offset(3), Offset(3), 100, true).unwrap().is_empty());
    assert!(!log.read_plan(Offset(3), Offset(5), 0, true).unwrap().is_empty());
    assert!(log.read_plan(Offset(3), Offset(5), 0, false).unwrap().is_empty());
}

#[test]
fn a_read_says_what_stands_behind_it() {
    let mut log = World::new(small()).create();
    while log.segment_bases().len() < 3
        || log.segment_bases().last().unwrap().plus(4) > log.end_offset()
    {
        send(&mut log, &[1]);
    }
    let end = log.end_offset().0;
    let behind = |from: i64, upper: i64, max_bytes| {
        log.read_plan(Offset(from), Offset(upper), max_bytes, true).unwrap().behind()
    };
    assert_eq!(behind(0, end, 1), Behind::Batch, "in an old segment");
    assert_eq!(behind(0, end, 1 << 20), Behind::Segment);
    assert_eq!(behind(end - 3, end, 1), Behind::Batch, "in the active segment");
    assert_eq!(behind(end - 3, end - 1, 1), Behind::Batch);
    assert_eq!(behind(end - 3, end - 2, 1 << 20), Behind::Nothing, "the rest is above the bound");
    assert_eq!(behind(end - 3, end, 1 << 20), Behind::Nothing);
}

#[test]
fn timestamps_are_found_in_every_segment() {
    let world = World::new(small());
    let mut log = world.create();
    for n in 0..200 {
        send(&mut log, &[n * 100, n * 100 + 50]);
    }
    assert!(log.segment_bases().len() > 5);
    let check = |log: &mut PartitionLog| {
        for n in [0, 1, 57, 58, 120, 199] {
            assert_eq!(at(log, n * 100), Some((n * 100, n * 2)));
            assert_eq!(at(log, n * 100 + 1), Some((n * 100 + 50, n * 2 + 1)));
        }
        assert_eq!(at(log, 0), Some((0, 0)));
        assert_eq!(at(log, 19951), None);
        assert_eq!(newest(log), Some((19950, 399)));
    };
    check(&mut log);
    check(&mut world.reopen());
    log.close().unwrap();
    check(&mut world.open(true).unwrap().0);
}

#[test]
fn the_first_record_of_a_time_is_found_though_times_go_back() {
    let mut log = World::new(small()).create();
    send(&mut log, &[100, 300, 200]);
    send(&mut log, &[50]);
    send(&mut log, &[300, 300]);
    assert_eq!(at(&mut log, 150), Some((300, 1)));
    assert_eq!(at(&mut log, 300), Some((300, 1)));
    assert_eq!(newest(&mut log), Some((300, 1)));
    log.set_high_watermark(log.end_offset());
    log.advance_start_offset(Offset(2));
    assert_eq!(at(&mut log, 300), Some((300, 4)), "below the start nothing is found");
}

#[test]
fn an_empty_log_has_no_timestamps() {
    let mut log = World::new(small()).create();
    assert_eq!(at(&mut log, 0), None);
    assert_eq!(newest(&mut log), None);
}

#[test]
fn a_wrong_index_slows_a_read_and_no_more() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..100 {
        append(&mut log, 2);
    }
    log.close().unwrap();
    let index = world.file("00000000000000000000.index");
    assert!(index.len() >= 16);
    for byte in 0..index.len() {
        world.disk.flip_bit(&partition_path().join("00000000000000000000.index"), byte);
    }
    let log = world.open(true).unwrap().0;
    let expected: Vec<i64> = (0..100).map(|n| n * 2).collect();
    assert_eq!(bases(&log), expected);
}
