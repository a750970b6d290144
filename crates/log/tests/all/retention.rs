//! Rolling and deleting segments.

use crate::support::*;
use log::{CleanupPolicy, LogConfig, PartitionLog};
use types::{LeaderEpoch, Offset, Timestamp};

const HOUR: i64 = 3_600_000;

fn send(log: &mut PartitionLog, timestamp: i64, now: i64) {
    log.append_as_leader(&batch_at(&[timestamp], 300), LeaderEpoch(0), Timestamp(now)).unwrap();
}

/// Two batches a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 800, retention_ms: HOUR, ..LogConfig::default() }
}

fn retain(world: &World, log: &mut PartitionLog, now: i64) -> (usize, i64) {
    log.flush().unwrap();
    world.checkpoint(log);
    let retained = log.retention(Timestamp(now)).unwrap();
    let result = (retained.segments, retained.start_offset.0);
    retained.job.run().unwrap();
    result
}

#[test]
fn old_segments_below_the_high_watermark_go_oldest_first() {
    let world = World::new(config());
    let mut log = world.create();
    for n in 0..10 {
        send(&mut log, n * HOUR / 2, n * HOUR / 2);
    }
    assert_eq!(log.segment_bases().len(), 5);
    assert_eq!(retain(&world, &mut log, 5 * HOUR), (0, 0), "nothing is replicated yet");
    log.set_high_watermark(Offset(5));
    assert_eq!(retain(&world, &mut log, 5 * HOUR), (2, 4));
    log.set_high_watermark(Offset(10));
    assert_eq!(retain(&world, &mut log, 5 * HOUR), (2, 8));
    assert_eq!(bases(&log), [8, 9]);
    assert!(world.names().iter().all(|name| !name.ends_with(".deleted")));
    let mut world = world;
    world.start_offset = Offset(2);
    assert_eq!(world.reopen().start_offset(), Offset(8), "an older checkpoint does no harm");
}

#[test]
fn a_wholly_old_log_rolls_and_goes() {
    let world = World::new(config());
    let mut log = world.create();
    send(&mut log, 0, 0);
    log.set_high_watermark(Offset(1));
    assert_eq!(retain(&world, &mut log, HOUR), (0, 0));
    assert_eq!(retain(&world, &mut log, HOUR + 1), (1, 1));
    assert_eq!((log.size(), log.end_offset()), (0, Offset(1)));
    assert_eq!(retain(&world, &mut log, 9 * HOUR), (0, 1), "an empty segment stays");
    send(&mut log, 0, 0);
    assert_eq!(bases(&log), [1]);
}

#[test]
fn what_is_not_synced_waits() {
    let world = World::new(config());
    let mut log = world.create();
    for _ in 0..6 {
        send(&mut log, 0, 0);
    }
    log.set_high_watermark(Offset(6));
    assert_eq!(log.retention(Timestamp(9 * HOUR)).unwrap().segments, 0);
    assert_eq!(retain(&world, &mut log, 9 * HOUR), (3, 6));
}

#[test]
fn a_date_in_the_future_pins_nothing() {
    let world = World::new(config());
    let mut log = world.create();
    for _ in 0..4 {
        send(&mut log, 1000 * HOUR, 0);
    }
    log.set_high_watermark(Offset(4));
    assert_eq!(retain(&world, &mut log, HOUR), (0, 0));
    assert_eq!(retain(&world, &mut log, HOUR + 1), (2, 4));
}

#[test]
fn size_keeps_at_least_what_is_asked() {
    let world = World::new(LogConfig { retention_bytes: 1500, ..config() });
    let mut log = world.create();
    for _ in 0..9 {
        send(&mut log, 0, 0);
    }
    log.set_high_watermark(Offset(9));
    let (segments, _) = retain(&world, &mut log, 1);
    assert_eq!(segments, 2);
    assert!(log.size() >= 1500 && log.size() < 1500 + 800, "{}", log.size());
}

#[test]
fn a_compacted_log_loses_only_what_is_below_its_start() {
    let cleanup = CleanupPolicy { delete: false, compact: true };
    let world = World::new(LogConfig { cleanup, retention_bytes: 1, ..config() });
    let mut log = world.create();
    for _ in 0..9 {
        send(&mut log, 0, 0);
    }
    log.set_high_watermark(Offset(9));
    assert_eq!(retain(&world, &mut log, 9 * HOUR), (0, 0));
    log.advance_start_offset(Offset(5));
    assert_eq!(retain(&world, &mut log, 9 * HOUR), (2, 5));
    assert_eq!(log.segment_bases()[0], Offset(4));
}

#[test]
fn segments_roll_by_time_as_the_records_tell_it() {
    let world = World::new(LogConfig { segment_ms: HOUR, ..LogConfig::default() });
    let mut log = world.create();
    send(&mut log, 0, 0);
    send(&mut log, HOUR, 0);
    assert_eq!(log.segment_bases().len(), 1);
    send(&mut log, HOUR + 1, 0);
    assert_eq!(log.segment_bases(), [Offset(0), Offset(2)]);
}

#[test]
fn segments_roll_when_an_index_is_full() {
    let config = LogConfig { index_interval_bytes: 1, index_bytes_max: 36, ..LogConfig::default() };
    let world = World::new(config);
    let mut log = world.create();
    for n in 0..20 {
        send(&mut log, n, 0);
    }
    assert!(log.segment_bases().len() >= 4, "{:?}", log.segment_bases());
    assert_eq!(bases(&log).len(), 20);
}

#[test]
fn a_new_configuration_holds_from_the_next_append() {
    let world = World::new(LogConfig::default());
    let mut log = world.create();
    send(&mut log, 0, 0);
    log.set_config(config());
    send(&mut log, 0, 0);
    send(&mut log, 0, 0);
    assert_eq!(log.segment_bases(), [Offset(0), Offset(2)]);
}
