//! Appending as leader and as follower, producers' sequences, failing disks.

use crate::support::*;
use bytes::Bytes;
use env::disk::{Disk, Open};
use env::mem_disk::MemDiskStats;
use log::{AppendError, LogConfig, PartitionLog};
use records::{
    BatchBuilder, BatchOptions, EndTransactionMarker, MarkerKind, NewRecord, ProducedBatch,
    TimestampType, batches,
};
use std::time::Duration;
use types::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

fn send(log: &mut PartitionLog, batch: &ProducedBatch) -> Result<(i64, bool), ErrorCode> {
    log.append_as_leader(batch, LeaderEpoch(0), Timestamp(5000))
        .map(|appended| (appended.base_offset.0, appended.is_duplicate))
        .map_err(|error| error.code())
}

#[test]
fn offsets_and_epoch_are_stamped_and_nothing_else() {
    let world = World::new(small());
    let mut log = world.create();
    let batch = batch_at(&[10, 20, 15], 30);
    append(&mut log, 4);
    let appended = log.append_as_leader(&batch, LeaderEpoch(3), Timestamp(99)).unwrap();
    assert_eq!((appended.base_offset, appended.last_offset), (Offset(4), Offset(6)));
    assert_eq!(appended.log_append_time, Timestamp::NONE);
    let read = &read_all(&log)[1];
    assert_eq!(read.header.leader_epoch, LeaderEpoch(3));
    assert_eq!(read.bytes[12 + 4..], batch.bytes()[12 + 4..], "from the magic on");
    let (log_file, first) = (world.file("00000000000000000000.log"), read_all(&log));
    assert_eq!(log_file[first[0].bytes.len()..], read.bytes[..], "the file is the wire");
}

#[test]
fn log_append_time_replaces_the_records_times() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..small() };
    let mut log = World::new(config).create();
    let batch = batch_at(&[10, 20], 30);
    let appended = log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(777)).unwrap();
    assert_eq!(appended.log_append_time, Timestamp(777));
    let read = read_all(&log).remove(0);
    read.check_crc().unwrap();
    let times: Vec<_> = read.records(1 << 20).unwrap().map(|r| r.unwrap().timestamp).collect();
    assert_eq!(times, [Timestamp(777); 2]);
}

#[test]
fn a_retry_within_five_batches_gets_its_first_offset() {
    let mut log = World::new(small()).create();
    for n in 0..6 {
        assert_eq!(send(&mut log, &produced(1, 0, n * 2, 2)), Ok((i64::from(n) * 2, false)));
    }
    for n in 1..6 {
        assert_eq!(send(&mut log, &produced(1, 0, n * 2, 2)), Ok((i64::from(n) * 2, true)));
    }
    let forgotten = send(&mut log, &produced(1, 0, 0, 2));
    assert_eq!(forgotten, Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(log.end_offset(), Offset(12));
}

#[test]
fn sequences_follow_kafkas_rules() {
    let mut log = World::new(small()).create();
    assert_eq!(send(&mut log, &produced(1, 3, 40, 2)), Ok((0, false)), "unknown: any sequence");
    assert_eq!(send(&mut log, &produced(1, 3, 43, 1)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut log, &produced(1, 3, 40, 1)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut log, &produced(1, 2, 42, 1)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(send(&mut log, &produced(1, 4, 42, 1)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(send(&mut log, &produced(1, 4, 0, 1)), Ok((2, false)), "a new epoch starts at 0");
    assert_eq!(send(&mut log, &produced(1, 4, 1, 1)), Ok((3, false)));
    assert_eq!(send(&mut log, &produced(1, 3, 40, 2)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(send(&mut log, &produced(2, 0, i32::MAX - 1, 3)), Ok((4, false)));
    assert_eq!(send(&mut log, &produced(2, 0, i32::MAX - 1, 3)), Ok((4, true)), "wrapped inside");
    assert_eq!(send(&mut log, &produced(2, 0, 1, 1)), Ok((7, false)), "and after");
    assert_eq!(log.producer(ProducerId(2)), Some((ProducerEpoch(0), 1, Offset(7))));
}

#[test]
fn a_silent_producer_is_forgotten() {
    let mut log = World::new(small()).create();
    send(&mut log, &produced(1, 0, 0, 1)).unwrap();
    // It may have sent just now: its silence begins with the first look.
    log.expire_producers(HOUR * 24);
    log.expire_producers(HOUR * 23);
    assert!(log.producer(ProducerId(1)).is_some());
    log.expire_producers(HOUR);
    assert!(log.producer(ProducerId(1)).is_none());
    assert_eq!(send(&mut log, &produced(1, 0, 7, 1)), Ok((1, false)));
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_producer_of_old_records_is_remembered_like_any_other() {
    for timestamp in [-1, 0, 1000] {
        let mut log = World::new(small()).create();
        let options = BatchOptions {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            base_sequence: 0,
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options);
        builder.push(&NewRecord { timestamp: Timestamp(timestamp), ..NewRecord::default() });
        let batch = ProducedBatch::from_own(builder.build());
        assert_eq!(send(&mut log, &batch), Ok((0, false)));
        log.expire_producers(Duration::from_secs(600));
        log.expire_producers(Duration::from_secs(600));
        assert_eq!(send(&mut log, &batch), Ok((0, true)), "dated {timestamp}: a retry");
    }
}

#[test]
fn a_retry_tells_that_its_producer_is_there() {
    let mut log = World::new(small()).create();
    for _ in 0..3 {
        send(&mut log, &produced(1, 0, 0, 1)).unwrap();
        log.expire_producers(HOUR);
        log.expire_producers(HOUR * 20);
    }
    assert!(log.producer(ProducerId(1)).is_some());
}

#[test]
fn silence_goes_on_after_a_restart_and_time_without_the_broker_does_not_count() {
    let world = World::new(small());
    let mut log = world.create();
    send(&mut log, &produced(1, 0, 0, 1)).unwrap();
    send(&mut log, &produced(2, 0, 0, 1)).unwrap();
    log.expire_producers(HOUR);
    log.expire_producers(HOUR * 20);
    send(&mut log, &produced(2, 0, 1, 1)).unwrap();
    log.close().unwrap();
    drop(log);
    let (mut log, _) = world.open(true).unwrap();
    log.expire_producers(HOUR * 3);
    assert!(log.producer(ProducerId(1)).is_some());
    log.expire_producers(HOUR);
    assert!(log.producer(ProducerId(1)).is_none());
    assert_eq!(send(&mut log, &produced(2, 0, 1, 1)), Ok((2, true)), "it was heard of later");
}

#[test]
fn an_open_transaction_holds_the_unstable_offset_until_its_marker() {
    let mut log = World::new(small()).create();
    append(&mut log, 3);
    let producer = (ProducerId(9), ProducerEpoch(0));
    let options = BatchOptions {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: 0,
        transactional: true,
        ..BatchOptions::default()
    };
    send(&mut log, &with_options(options, &[1], 5)).unwrap();
    append(&mut log, 1);
    assert_eq!(log.first_unstable_offset(), Offset(3));
    assert_eq!(send(&mut log, &produced(9, 0, 1, 1)), Err(ErrorCode::InvalidTxnState));
    let marker = |coordinator_epoch| {
        let marker = EndTransactionMarker { kind: MarkerKind::Commit, coordinator_epoch };
        ProducedBatch::from_own(marker.build(producer, Timestamp(5)))
    };
    send(&mut log, &marker(4)).unwrap();
    assert_eq!(log.first_unstable_offset(), log.end_offset());
    assert_eq!(send(&mut log, &marker(3)), Err(ErrorCode::TransactionCoordinatorFenced));
}

#[test]
fn a_follower_keeps_the_leaders_bytes() {
    let mut leader = World::new(small()).create();
    for n in 0..100 {
        let batch = produced(1, 0, n, 1);
        leader.append_as_leader(&batch, LeaderEpoch(n / 30), Timestamp(1)).unwrap();
    }
    let all: Vec<u8> = read_all(&leader).iter().flat_map(|b| b.bytes.to_vec()).collect();
    let all = Bytes::from(all);
    let world = World::new(LogConfig { segment_bytes: 1500, ..small() });
    let mut follower = world.create();
    assert_eq!(follower.append_as_follower(&all, Timestamp(1)).unwrap(), Offset(100));
    assert_eq!(read_all(&follower), read_all(&leader));
    assert!(follower.segment_bases().len() > leader.segment_bases().len());
    assert_eq!(follower.epoch_starts(), leader.epoch_starts());
    assert_eq!(follower.producer(ProducerId(1)), leader.producer(ProducerId(1)));
    let again = follower.append_as_follower(&all, Timestamp(1));
    assert!(matches!(again, Err(AppendError::OffsetMismatch { .. })));
    assert_eq!(follower.end_offset(), Offset(100));
}

#[test]
fn a_damaged_replicated_batch_is_refused_with_all_that_follows() {
    let mut leader = World::new(small()).create();
    for _ in 0..3 {
        append(&mut leader, 2);
    }
    let batches = read_all(&leader);
    let mut all: Vec<u8> = batches.iter().flat_map(|b| b.bytes.to_vec()).collect();
    let before = batches[0].bytes.len();
    all[before + batches[1].bytes.len() - 1] ^= 1;
    let mut follower = World::new(small()).create();
    let error = follower.append_as_follower(&all.into(), Timestamp(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CorruptMessage);
    assert_eq!((follower.end_offset(), follower.size()), (Offset(2), before as u64));
    assert_eq!(read_all(&follower), batches[..1]);
}

/// What no checksum covers, and the next batch contradicts.
#[test]
fn a_batch_with_a_wrong_offset_or_epoch_is_not_taken_and_examining_it_tells() {
    const BASE: usize = 7;
    const EPOCH: usize = 12 + 3;
    for (at, value) in [(BASE, 9), (BASE, 1), (EPOCH, 1)] {
        let world = World::new(small());
        let mut leader = world.create();
        for _ in 0..4 {
            append(&mut leader, 2);
        }
        let batches = read_all(&leader);
        let mut all: Vec<u8> = batches.iter().flat_map(|b| b.bytes.to_vec()).collect();
        let position = 2 * batches[0].bytes.len();
        all[position + at] = value;
        let mut follower = World::new(small()).create();
        let refused = follower.append_as_follower(&Bytes::from(all), Timestamp(1));
        assert!(refused.is_err(), "{at} {value}");
        assert_eq!(follower.end_offset(), Offset(4), "{at} {value}: asked for next");
        assert_eq!(read_all(&follower), batches[..2]);

        // The same on the leader's own disk.
        let segment = leader.dir().join(format!("{:020}.log", 0));
        let file = world.disk.open(&segment, Open::Write).unwrap();
        file.write_all_at(&[value], (position + at) as u64).unwrap();
        let damage = leader.examine(Offset(4)).unwrap().expect("damage");
        assert_eq!((damage.offset, damage.position), (Offset(4), position as u64), "{at} {value}");
    }
}

#[test]
fn a_batch_whose_epoch_was_believed_is_damage_once_it_is_blamed() {
    let mut leader = World::new(small()).create();
    for epoch in [0, 0, 3] {
        leader.append_as_leader(&batch_at(&[1, 2], 1), LeaderEpoch(epoch), Timestamp(1)).unwrap();
    }
    let batches = read_all(&leader);
    let first = batches[0].bytes.len();
    // The epoch is outside of the checksum.
    let mut misdated = batches[0].bytes.to_vec();
    misdated[12 + 3] = 1;
    let mut follower = World::new(small()).create();
    follower.append_as_follower(&misdated.into(), Timestamp(1)).unwrap();
    let error = follower.append_as_follower(&batches[1].bytes, Timestamp(1)).unwrap_err();
    assert!(matches!(error, AppendError::StaleLeaderEpoch { .. }), "{error}");
    assert_eq!(follower.end_offset(), Offset(2));
    assert_eq!(follower.examine(Offset(1)).unwrap(), None, "it fits what the log believes");
    let damage = follower.blame_epoch(Offset(1)).unwrap().expect("damage");
    assert_eq!((damage.offset, damage.end_offset, damage.position), (Offset(0), Offset(2), 0));
    assert_eq!(follower.damages(), [damage]);
    assert_eq!(follower.size(), first as u64, "nothing is removed");
}

#[test]
fn an_older_leader_epoch_is_refused() {
    let mut log = World::new(small()).create();
    log.assign_epoch_start(LeaderEpoch(5)).unwrap();
    let late = log.append_as_leader(&batch_at(&[1], 1), LeaderEpoch(4), Timestamp(1));
    assert_eq!(late.unwrap_err().code(), ErrorCode::NotLeaderOrFollower);
}

#[test]
fn a_full_disk_refuses_cuts_back_and_goes_on() {
    let world = World::new(small());
    let mut log = world.create();
    append(&mut log, 1);
    let size = log.size();
    world.disk.set_capacity(Some(world.disk.used() + 70));
    let error = log.append_as_leader(&batch_at(&[1], 300), LeaderEpoch(0), Timestamp(1));
    let error = error.unwrap_err();
    assert!(matches!(error, AppendError::NoSpace(_)), "{error}");
    assert_eq!(error.code(), ErrorCode::KafkaStorageError);
    assert_eq!(log.end_offset(), Offset(1));
    assert_eq!(world.file("00000000000000000000.log").len() as u64, size);
    world.disk.set_capacity(None);
    assert_eq!(append(&mut log, 1), Offset(1));
    assert_eq!(bases(&world.reopen()), [0, 1]);
}

#[test]
fn a_full_disk_at_a_roll_refuses_and_goes_on() {
    let world = World::new(LogConfig { segment_bytes: 400, ..small() });
    let mut log = world.create();
    append(&mut log, 4);
    world.disk.set_capacity(Some(world.disk.used()));
    let batch = batch_at(&[1; 4], 50);
    let error = log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).unwrap_err();
    assert!(matches!(error, AppendError::NoSpace(_)), "{error}");
    world.disk.set_capacity(None);
    append(&mut log, 4);
    append(&mut log, 4);
    assert_eq!(bases(&log), [0, 4, 8]);
    assert_eq!(bases(&world.reopen()), [0, 4, 8]);
}

#[test]
fn a_failing_disk_closes_the_log_for_good() {
    let world = World::new(small());
    let mut log = world.create();
    append(&mut log, 1);
    world.disk.fail_writes(Some(".log"));
    let batch = batch_at(&[1], 50);
    let error = log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).unwrap_err();
    assert!(matches!(&error, AppendError::Io(error) if error.dir.to_str() == Some(DIR)), "{error}");
    world.disk.fail_writes(None);
    let again = log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1));
    assert!(matches!(again, Err(AppendError::Io(_))), "no retry");
    assert!(log.flush().is_err());
}

#[test]
fn a_failed_sync_closes_the_log_and_leaves_the_recovery_point() {
    let world = World::new(small());
    let mut log = world.create();
    append(&mut log, 1);
    world.disk.fail_syncs(Some(".log"));
    assert!(log.flush().is_err());
    world.disk.fail_syncs(None);
    assert!(log.flush().is_err(), "a sync is never tried again");
    assert_eq!(log.recovery_point(), Offset(0));
    let batch = batch_at(&[1], 50);
    assert!(log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).is_err());
}

#[test]
fn an_append_is_one_write_and_no_sync() {
    let world = World::new(LogConfig { segment_bytes: 1 << 20, ..small() });
    let mut log = world.create();
    append(&mut log, 1);
    let before = world.disk.stats();
    for _ in 0..100 {
        append(&mut log, 1);
    }
    let after = world.disk.stats();
    // The segment is opened at its first use.
    let (writes, opens) = (before.writes + 100, before.opens + 1);
    let expected = MemDiskStats { writes, opens, ..before };
    assert_eq!(after, expected);
}

#[test]
fn batches_of_one_read_are_whole() {
    let mut log = World::new(small()).create();
    for _ in 0..200 {
        append(&mut log, 3);
    }
    for from in [0, 1, 2, 3, 250, 599] {
        for max_bytes in [0, 100, 1000, 100_000] {
            let plan = log.read_plan(Offset(from), Offset(580), max_bytes, true).unwrap();
            let bytes = plan.read().unwrap();
            let found: Vec<_> = batches(&bytes).map(|b| b.unwrap().header).collect();
            if from >= 580 {
                assert!(found.is_empty());
                continue;
            }
            assert_eq!(found[0].base_offset, Offset(from / 3 * 3));
            assert!(found.len() == 1 || bytes.len() <= max_bytes, "{from} {max_bytes}");
            assert!(found.iter().all(|header| header.end_offset() <= Offset(580)));
        }
    }
}

#[test]
fn a_follower_takes_older_epochs_after_it_led_and_wrote_nothing() {
    let leader = World::new(small());
    let mut leader = leader.create();
    for _ in 0..2 {
        leader.append_as_leader(&batch_at(&[1, 2], 8), LeaderEpoch(4), Timestamp(1)).unwrap();
    }
    let batches = read_all(&leader);
    let mut log = World::new(small()).create();
    log.append_as_follower(&batches[0].bytes, Timestamp(1)).unwrap();
    log.assign_epoch_start(LeaderEpoch(5)).unwrap();
    let end = log.append_as_follower(&batches[1].bytes, Timestamp(2));
    assert_eq!(
        end.unwrap(),
        Offset(4),
        "the next leader has records of epoch 4 that this one lacks"
    );
    assert_eq!(log.latest_epoch(), LeaderEpoch(4));
}

#[test]
fn a_follower_without_records_begins_with_a_batch_that_its_start_lies_within() {
    let mut leader = World::new(small()).create();
    for n in 0..4 {
        let batch = produced(1, 0, n * 5, 5);
        leader.append_as_leader(&batch, LeaderEpoch(n / 2), Timestamp(1)).unwrap();
    }
    leader.set_high_watermark(Offset(20));
    leader.advance_start_offset(Offset(7));
    let batches = read_all(&leader);
    assert_eq!(batches[0].header.base_offset, Offset(5));
    let world = World::new(small());
    let mut follower = world.create();
    follower.truncate_fully_and_start_at(Offset(7)).unwrap();
    let beside = follower.append_as_follower(&batches[1].bytes, Timestamp(1));
    assert_eq!(beside.unwrap(), Offset(15), "a gap is as well");
    follower.truncate_fully_and_start_at(Offset(7)).unwrap();
    for (batch, end) in batches.iter().zip([10, 15, 20]) {
        let appended = follower.append_as_follower(&batch.bytes, Timestamp(1));
        assert_eq!(appended.unwrap(), Offset(end));
    }
    let bounds = |log: &PartitionLog| (log.start_offset(), log.end_offset());
    assert_eq!(bounds(&follower), (Offset(7), Offset(20)));
    assert_eq!(follower.high_watermark(), Offset(7));
    assert_eq!(read_all(&follower), batches);
    assert_eq!(follower.epoch_starts(), leader.epoch_starts());
    let again = follower.append_as_follower(&batches[2].bytes, Timestamp(1));
    assert!(matches!(again, Err(AppendError::OffsetMismatch { .. })), "only where nothing is");
    // Without a checkpoint of the start, all that is there is shown.
    follower.flush().unwrap();
    world.checkpoint(&follower);
    let again = world.reopen();
    assert_eq!(bounds(&again), (Offset(5), Offset(20)));
}

#[test]
fn a_damaged_batch_around_the_start_leaves_the_log_as_it_was() {
    let mut leader = World::new(small()).create();
    append(&mut leader, 5);
    let mut bytes = read_all(&leader)[0].bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let mut follower = World::new(small()).create();
    follower.truncate_fully_and_start_at(Offset(3)).unwrap();
    let error = follower.append_as_follower(&bytes.into(), Timestamp(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CorruptMessage);
    assert_eq!((follower.start_offset(), follower.end_offset()), (Offset(3), Offset(3)));
}
