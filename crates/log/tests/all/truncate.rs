//! Truncation and epochs.

use crate::support::*;
use log::{LogConfig, PartitionLog};
use types::{LeaderEpoch, Offset, ProducerId, Timestamp};

fn end_of(log: &PartitionLog, epoch: i32) -> (i32, i64) {
    let found = log.end_offset_for_epoch(LeaderEpoch(epoch));
    (found.epoch.0, found.offset.0)
}

fn send(log: &mut PartitionLog, epoch: i32, sequence: i32) {
    log.append_as_leader(&produced(1, 0, sequence, 1), LeaderEpoch(epoch), Timestamp(1)).unwrap();
}

#[test]
fn a_truncated_log_is_as_if_the_rest_had_never_been() {
    let world = World::new(small());
    let mut log = world.create();
    for n in 0..150 {
        send(&mut log, n / 50, n);
    }
    assert_eq!(end_of(&log, 0), (0, 50));
    log.truncate_to(Offset(70)).unwrap();
    assert_eq!(log.end_offset(), Offset(70));
    assert_eq!(log.latest_epoch(), LeaderEpoch(1));
    assert_eq!(log.producer(ProducerId(1)).map(|p| p.1), Some(69));
    let expected: Vec<i64> = (0..70).collect();
    assert_eq!(bases(&log), expected);
    let again = log.append_as_leader(&produced(1, 0, 67, 1), LeaderEpoch(3), Timestamp(1)).unwrap();
    assert!(again.is_duplicate && again.base_offset == Offset(67), "the window is whole");
    send(&mut log, 3, 70);
    assert_eq!((end_of(&log, 1), end_of(&log, 2), end_of(&log, 3)), ((1, 70), (1, 70), (3, 71)));
    assert_eq!(bases(&world.reopen()).len(), 71);
}

#[test]
fn a_batch_cut_in_the_middle_goes_whole() {
    let mut log = World::new(small()).create();
    append(&mut log, 5);
    append(&mut log, 5);
    log.truncate_to(Offset(7)).unwrap();
    assert_eq!(log.end_offset(), Offset(5));
    log.truncate_to(Offset(9)).unwrap();
    assert_eq!(log.end_offset(), Offset(5), "the log ends there already");
    log.truncate_to(Offset(0)).unwrap();
    assert_eq!((log.end_offset(), log.size()), (Offset(0), 0));
    assert_eq!(append(&mut log, 1), Offset(0));
}

#[test]
fn a_follower_far_behind_starts_anew() {
    let world = World::new(LogConfig { segment_bytes: 400, ..small() });
    let mut log = world.create();
    for n in 0..20 {
        send(&mut log, 1, n);
    }
    log.truncate_fully_and_start_at(Offset(1000)).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(1000), Offset(1000)));
    assert_eq!(log.high_watermark(), Offset(1000));
    assert_eq!(log.latest_epoch(), LeaderEpoch::NONE);
    assert_eq!(log.producer(ProducerId(1)), None);
    assert_eq!(append(&mut log, 2), Offset(1000));
    let log = world.reopen();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(1000), Offset(1002)));
}

#[test]
fn truncation_lowers_the_recovery_point_before_anything_else() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    assert_eq!(log.recovery_point(), Offset(10));
    log.truncate_to(Offset(4)).unwrap();
    assert_eq!(*world.point.0.lock().unwrap(), Offset(4));
    assert_eq!(log.recovery_point(), Offset(4));
    assert_eq!(log.high_watermark(), Offset(0));
}

#[test]
fn a_sync_from_before_a_truncation_moves_nothing() {
    let mut log = World::new(small()).create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    let job = log.sync();
    let synced = job.run();
    log.truncate_to(Offset(4)).unwrap();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.complete_sync(synced).unwrap();
    assert_eq!(log.recovery_point(), Offset(0));
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), Offset(14));
}

#[test]
fn the_start_offset_rises_to_the_high_watermark_at_most() {
    let mut log = World::new(small()).create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.set_high_watermark(Offset(6));
    assert_eq!(log.advance_start_offset(Offset(4)), Offset(4));
    assert_eq!(log.advance_start_offset(Offset(3)), Offset(4));
    assert_eq!(log.advance_start_offset(Offset(9)), Offset(6));
    assert_eq!(bases(&log), [6, 7, 8, 9]);
    assert_eq!(end_of(&log, 0), (0, 10));
}

#[test]
fn a_sync_planned_before_a_truncation_does_not_bring_the_epochs_back() {
    let world = World::new(small());
    let mut log = world.create();
    send(&mut log, 1, 0);
    send(&mut log, 2, 1);
    let job = log.sync();
    log.truncate_to(Offset(1)).unwrap();
    let truncated = world.file("leader-epoch-checkpoint");
    log.complete_sync(job.run()).unwrap();
    assert_eq!(world.file("leader-epoch-checkpoint"), truncated);
    assert_eq!(world.reopen().latest_epoch(), LeaderEpoch(1));
}

#[test]
fn a_plan_knows_when_its_file_was_cut_and_outlives_its_name() {
    let world = World::new(LogConfig { segment_bytes: 400, ..small() });
    let mut log = world.create();
    for n in 0..20 {
        send(&mut log, 1, n);
    }
    let plan = |log: &PartitionLog, from| {
        log.read_plan(Offset(from), log.end_offset(), 1 << 20, true).unwrap()
    };
    let (first, last) = (plan(&log, 0), plan(&log, 19));
    let before = first.read().unwrap();
    assert_eq!(first.read_now().unwrap(), Some(before.clone()));
    log.truncate_to(Offset(19)).unwrap();
    assert!(first.is_intact(), "another segment was cut");
    assert!(!last.is_intact());
    // Other records of the same size take the place of what was planned.
    log.append_as_leader(&produced(2, 0, 0, 1), LeaderEpoch(2), Timestamp(1)).unwrap();
    assert!(last.read().unwrap().is_empty());
    assert_eq!(last.read_now().unwrap(), None);
    assert!(plan(&log, 19).is_intact());
    log.truncate_fully_and_start_at(Offset(1000)).unwrap();
    assert!(first.is_intact() && first.read().unwrap() == before, "its file lives on");
}
