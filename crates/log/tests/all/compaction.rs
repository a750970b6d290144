//! Compaction: what stays, where it stays, and who does not notice.

use crate::support::*;
use bytes::Bytes;
use log::{
    CleanupPolicy, CompactError, CompactOptions, CompactReport, CompactionConfig, LogConfig,
    LogHandle, PartitionLog, compact,
};
use records::{
    BatchOptions, Compression, EndTransactionMarker, MarkerKind, NewRecord, ProducedBatch,
};
use std::ops::ControlFlow;
use types::{EpochOffset, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Segments of 600 bytes; compaction is due as soon as anything is dirty.
pub fn compacted() -> LogConfig {
    LogConfig {
        segment_bytes: 600,
        index_interval_bytes: 100,
        cleanup: CleanupPolicy { delete: false, compact: true },
        compaction: CompactionConfig {
            min_dirty_ratio: 0.0,
            delete_retention_ms: 1000,
            ..CompactionConfig::default()
        },
        ..LogConfig::default()
    }
}

pub fn options() -> CompactOptions {
    CompactOptions { map_bytes: 1 << 20, map_load: 0.9, io_bytes: 256, seed: [7, 9] }
}

/// A batch of (key, value) records of time 1000; no value: a tombstone.
pub fn keyed(options: BatchOptions, records: &[(&str, Option<&str>)]) -> ProducedBatch {
    let mut builder = records::BatchBuilder::new(options);
    for (key, value) in records {
        builder.push(&NewRecord {
            timestamp: Timestamp(1000),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
            headers: Vec::new(),
        });
    }
    ProducedBatch::from_own(builder.build())
}

fn put(log: &mut PartitionLog, records: &[(&str, Option<&str>)]) -> i64 {
    put_as(log, BatchOptions::default(), records)
}

fn put_as(log: &mut PartitionLog, options: BatchOptions, records: &[(&str, Option<&str>)]) -> i64 {
    let batch = keyed(options, records);
    log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000)).unwrap().base_offset.0
}

/// Fills the active segment up and rolls it, so that what is below can be compacted; everything is
/// synced, checkpointed and below the high watermark then.
fn seal(world: &World, log: &mut PartitionLog) {
    let bases = log.segment_bases().len();
    while log.segment_bases().len() == bases {
        put(log, &[("filler", Some("x"))]);
    }
    settle(world, log);
}

pub fn settle(world: &World, log: &mut PartitionLog) {
    log.flush().unwrap();
    world.checkpoint(log);
    log.set_high_watermark(log.end_offset());
}

pub fn go_on(_bytes: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn run(log: &LogHandle, now: i64) -> CompactReport {
    compact(log, Timestamp(now), &options(), &go_on).unwrap()
}

/// (offset, key, value) of every record but the fillers.
fn rows(log: &LogHandle) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    for batch in read_all(&log.lock()) {
        if batch.header.attributes.is_control() {
            continue;
        }
        for record in batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            let key = record.key.map(text).unwrap_or_default();
            if key != "filler" {
                rows.push((record.offset.0, key, record.value.map(text)));
            }
        }
    }
    rows
}

fn row(offset: i64, key: &str, value: &str) -> (i64, String, Option<String>) {
    (offset, key.to_owned(), Some(value.to_owned()))
}

#[test]
fn the_newest_record_of_each_key_stays_at_its_offset() {
    for compression in Compression::ALL {
        let world = World::new(compacted());
        let mut log = world.create();
        let options = BatchOptions { compression, ..BatchOptions::default() };
        put_as(&mut log, options, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
        put_as(&mut log, options, &[("c", Some("1")), ("b", Some("2"))]);
        seal(&world, &mut log);
        let end = log.end_offset();
        let log = LogHandle::new(log);
        let report = run(&log, 2000);
        let expected = [row(2, "a", "2"), row(3, "c", "1"), row(4, "b", "2")];
        assert_eq!(rows(&log), expected, "{compression:?}");
        assert_eq!(log.lock().end_offset(), end);
        assert_eq!(log.lock().start_offset(), Offset(0));
        assert!(report.records_kept < report.records_read);
        assert!(report.written_bytes < report.read_bytes);
        assert_eq!(report.cleaned_to, log.lock().cleaned_to());
        // And it is found again by every opening.
        for clean in [false, true] {
            if clean {
                log.lock().close().unwrap();
            }
            let again = LogHandle::new(world.open(clean).unwrap().0);
            assert_eq!(rows(&again), expected);
            assert_eq!(again.lock().end_offset(), end);
        }
    }
}

#[test]
fn what_is_not_yet_committed_or_synced_or_sealed_stays() {
    let world = World::new(compacted());
    let mut log = world.create();
    for n in 0..40 {
        put(&mut log, &[("a", Some(&n.to_string()))]);
    }
    let log = LogHandle::new(log);
    let all = rows(&log);
    assert_eq!(run(&log, 2000).read_bytes, 0, "nothing is synced");
    log.lock().flush().unwrap();
    world.checkpoint(&log.lock());
    assert_eq!(run(&log, 2000).read_bytes, 0, "nothing is committed");
    log.lock().set_high_watermark(Offset(20));
    run(&log, 2000);
    let bases = log.lock().segment_bases();
    let until = bases.iter().rev().find(|base| base.0 <= 20).unwrap().0;
    let kept: Vec<_> = all.iter().filter(|row| row.0 >= until - 1).cloned().collect();
    assert_eq!(rows(&log), kept);
    log.lock().set_high_watermark(Offset(40));
    run(&log, 2000);
    let active = log.lock().segment_bases().last().unwrap().0;
    let kept: Vec<_> = all.iter().filter(|row| row.0 >= active - 1).cloned().collect();
    assert_eq!(rows(&log), kept, "the active segment and the newest before it");
}

#[test]
fn readers_at_any_offset_go_on_to_the_next_record() {
    let world = World::new(compacted());
    let mut log = world.create();
    for n in 0..60 {
        put(&mut log, &[(if n % 7 == 0 { "k" } else { "a" }, Some("v"))]);
    }
    settle(&world, &mut log);
    let log = LogHandle::new(log);
    run(&log, 2000);
    let kept = rows(&log);
    let locked = log.lock();
    for from in 0..60 {
        let plan = locked.read_plan(Offset(from), locked.end_offset(), 1, true).unwrap();
        let bytes = plan.read().unwrap();
        let first = records::Batch::parse_first(&bytes).unwrap();
        assert!(first.header.last_offset().0 >= from);
        let next = kept.iter().find(|row| row.0 >= from).unwrap().0;
        assert!(first.header.base_offset.0 <= next, "{from} skips {next}");
    }
}

#[test]
fn a_tombstone_stays_for_its_time_and_then_goes_with_its_key() {
    let world = World::new(compacted());
    let mut log = world.create();
    put(&mut log, &[("a", Some("1")), ("b", Some("1"))]);
    put(&mut log, &[("a", None), ("c", Some("1"))]);
    seal(&world, &mut log);
    let log = LogHandle::new(log);
    run(&log, 5000);
    let tombstone = (2, "a".to_owned(), None);
    assert_eq!(rows(&log), [row(1, "b", "1"), tombstone.clone(), row(3, "c", "1")]);
    let horizon = |log: &LogHandle| {
        read_all(&log.lock()).iter().find_map(|batch| batch.header.delete_horizon())
    };
    assert_eq!(horizon(&log), Some(Timestamp(6000)), "delete.retention.ms after the first run");
    let again = |now| {
        seal(&world, &mut log.lock());
        run(&log, now);
    };
    again(5999);
    assert!(rows(&log).contains(&tombstone));
    assert_eq!(horizon(&log), Some(Timestamp(6000)), "it does not move");
    for batch in read_all(&log.lock()) {
        for record in batch.records(1 << 20).unwrap() {
            assert_eq!(record.unwrap().timestamp, Timestamp(1000), "times are what they were");
        }
    }
    again(6000);
    assert_eq!(rows(&log), [row(1, "b", "1"), row(3, "c", "1")]);
}

#[test]
fn records_without_a_key_go() {
    let world = World::new(compacted());
    let mut log = world.create();
    let mut builder = records::BatchBuilder::new(BatchOptions::default());
    builder.push(&NewRecord { value: Some("x".into()), ..NewRecord::default() });
    let keyless = ProducedBatch::from_own(builder.build());
    log.append_as_leader(&keyless, LeaderEpoch(0), Timestamp(1)).unwrap();
    put(&mut log, &[("a", Some("1"))]);
    seal(&world, &mut log);
    let log = LogHandle::new(log);
    assert_eq!(run(&log, 2000).keyless, 1);
    assert_eq!(rows(&log), [row(1, "a", "1")]);
}

fn producer(id: i64, sequence: i32) -> BatchOptions {
    BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(0),
        base_sequence: sequence,
        ..BatchOptions::default()
    }
}

#[test]
fn nothing_stands_at_the_head_for_records_that_are_gone() {
    let world = World::new(compacted());
    let mut log = world.create();
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2")] {
        put(&mut log, &[(key, Some(value))]);
    }
    seal(&world, &mut log);
    let log = LogHandle::new(log);
    run(&log, 2000);
    let first = read_all(&log.lock())[0].header;
    assert_eq!((first.base_offset, first.records_count), (Offset(1), 1));
    assert_eq!(log.lock().start_offset(), Offset(0));
}

#[test]
fn a_producers_last_sequence_survives_its_records() {
    let world = World::new(compacted());
    let mut log = world.create();
    put_as(&mut log, producer(5, 0), &[("a", Some("1"))]);
    put_as(&mut log, producer(5, 1), &[("a", Some("2")), ("a", Some("3"))]);
    put(&mut log, &[("a", Some("4"))]);
    seal(&world, &mut log);
    let log = LogHandle::new(log);
    run(&log, 2000);
    assert_eq!(rows(&log), [row(3, "a", "4")]);
    // Not even a snapshot is needed.
    for name in world.names().iter().filter(|name| name.ends_with(".snapshot")) {
        env::Disk::remove_file(&world.disk, &partition_path().join(name)).unwrap();
    }
    *world.point.0.lock().unwrap() = Offset(0);
    let mut log = world.reopen();
    assert_eq!(log.producer(ProducerId(5)), Some((ProducerEpoch(0), 2, Offset(2))));
    let retry = keyed(producer(5, 1), &[("a", Some("2")), ("a", Some("3"))]);
    let appended = log.append_as_leader(&retry, LeaderEpoch(0), Timestamp(1)).unwrap();
    assert!(appended.is_duplicate);
    assert_eq!(appended.base_offset, Offset(1));
}

#[test]
fn leader_epochs_end_where_they_did_when_they_are_made_from_the_batches() {
    let world = World::new(compacted());
    let mut log = world.create();
    for epoch in 0..4 {
        for _ in 0..5 {
            let batch = keyed(BatchOptions::default(), &[("a", Some("1"))]);
            log.append_as_leader(&batch, LeaderEpoch(epoch), Timestamp(1)).unwrap();
        }
    }
    let batch = keyed(BatchOptions::default(), &[("filler", Some("x"))]);
    for _ in 0..20 {
        log.append_as_leader(&batch, LeaderEpoch(4), Timestamp(1)).unwrap();
    }
    settle(&world, &mut log);
    let answers = |log: &PartitionLog| -> Vec<EpochOffset> {
        (0..=5).map(|epoch| log.end_offset_for_epoch(LeaderEpoch(epoch))).collect()
    };
    let before = answers(&log);
    let log = LogHandle::new(log);
    let report = run(&log, 2000);
    assert!(report.records_kept < report.records_read);
    let first = read_all(&log.lock())[0].header;
    assert_eq!((first.base_offset, first.leader_epoch), (Offset(5), LeaderEpoch(1)));
    env::Disk::remove_file(&world.disk, &partition_path().join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(answers(&world.reopen()), before, "a follower would learn the same");
}

fn transaction(id: i64, sequence: i32) -> BatchOptions {
    BatchOptions { transactional: true, ..producer(id, sequence) }
}

/// The marker that ends a producer's transaction.
pub fn transaction_end(id: i64, kind: MarkerKind) -> ProducedBatch {
    let marker = EndTransactionMarker { kind, coordinator_epoch: 0 };
    let producer = (ProducerId(id), ProducerEpoch(0));
    ProducedBatch::from_own(marker.build(producer, Timestamp(1000)))
}

fn mark(log: &mut PartitionLog, id: i64, kind: MarkerKind) -> i64 {
    let batch = transaction_end(id, kind);
    log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000)).unwrap().base_offset.0
}

/// Offsets of the control records.
fn markers(log: &LogHandle) -> Vec<i64> {
    let all = read_all(&log.lock());
    let control = all.iter().filter(|b| b.header.attributes.is_control());
    control.filter(|b| b.header.records_count > 0).map(|b| b.header.base_offset.0).collect()
}

#[test]
fn aborted_records_go_at_once_and_markers_after_them() {
    let world = World::new(compacted());
    let mut log = world.create();
    put(&mut log, &[("a", Some("0"))]);
    put_as(&mut log, transaction(1, 0), &[("a", Some("aborted"))]);
    put_as(&mut log, transaction(2, 0), &[("b", Some("committed"))]);
    let abort = mark(&mut log, 1, MarkerKind::Abort);
    let commit = mark(&mut log, 2, MarkerKind::Commit);
    // Their newest batches are elsewhere.
    for (id, key) in [(1, "x"), (2, "y")] {
        put_as(&mut log, transaction(id, 1), &[(key, Some("1"))]);
        mark(&mut log, id, MarkerKind::Commit);
    }
    put(&mut log, &[("c", Some("0"))]);
    seal(&world, &mut log);
    let aborted = |log: &LogHandle| {
        let locked = log.lock();
        locked.aborted_transactions(Offset(0), locked.end_offset()).unwrap().len()
    };
    let log = LogHandle::new(log);
    assert_eq!(aborted(&log), 1);
    run(&log, 5000);
    let values = rows(&log);
    assert!(values.contains(&row(0, "a", "0")), "an aborted record hides nothing: {values:?}");
    assert!(values.contains(&row(2, "b", "committed")));
    assert!(!values.iter().any(|row| row.2.as_deref() == Some("aborted")));
    assert!(markers(&log).contains(&abort), "kept as long as it had batches in this run");
    assert_eq!(aborted(&log), 1);
    seal(&world, &mut log.lock());
    run(&log, 6000);
    assert!(markers(&log).contains(&abort), "its time runs from the first run without batches");
    assert_eq!(aborted(&log), 0, "nothing is left that a reader would have to skip");
    seal(&world, &mut log.lock());
    run(&log, 7000);
    assert!(!markers(&log).contains(&abort));
    assert!(markers(&log).contains(&commit), "its record is still there");
}

#[test]
fn an_open_transaction_holds_compaction_back() {
    let world = World::new(compacted());
    let mut log = world.create();
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("a", Some("2"))]);
    put_as(&mut log, transaction(1, 0), &[("a", Some("3"))]);
    seal(&world, &mut log);
    let log = LogHandle::new(log);
    assert_eq!(run(&log, 2000).read_bytes, 0);
    mark(&mut log.lock(), 1, MarkerKind::Commit);
    settle(&world, &mut log.lock());
    run(&log, 2000);
    assert_eq!(rows(&log), [row(2, "a", "3")]);
}

#[test]
fn small_segments_are_joined() {
    let world = World::new(compacted());
    let mut log = world.create();
    for _ in 0..100 {
        put(&mut log, &[("a", Some("1"))]);
    }
    settle(&world, &mut log);
    let before = log.segment_bases().len();
    let log = LogHandle::new(log);
    run(&log, 2000);
    for _ in 0..2 {
        seal(&world, &mut log.lock());
        run(&log, 2000);
    }
    let after = log.lock().segment_bases().len();
    assert!(after < before / 2, "{before} segments became {after}");
    let stray = world.names().iter().filter(|name| name.ends_with(".snapshot")).count();
    assert!(stray <= after, "snapshots of joined segments go: {:?}", world.names());
    assert_eq!(rows(&log), [row(99, "a", "1")]);
}

#[test]
fn a_map_that_is_too_small_for_all_keys_compacts_in_rounds() {
    let world = World::new(compacted());
    let mut log = world.create();
    for n in 0..200 {
        let key = format!("k{}", n % 50);
        put(&mut log, &[(&key, Some(&n.to_string()))]);
    }
    settle(&world, &mut log);
    let active = *log.segment_bases().last().unwrap();
    let log = LogHandle::new(log);
    let small = CompactOptions { map_bytes: 24 * 20, ..options() };
    let mut rounds = 0;
    while log.lock().cleaned_to() < active {
        let before = log.lock().cleaned_to();
        compact(&log, Timestamp(2000), &small, &go_on).unwrap();
        assert!(log.lock().cleaned_to() > before, "each round gets further");
        rounds += 1;
    }
    assert!(rounds > 5, "{rounds}");
    let newest = rows(&log);
    for n in 150..200 {
        assert!(newest.contains(&row(n, &format!("k{}", n % 50), &n.to_string())), "{n}");
    }
    assert!(newest.len() < 100, "{}", newest.len());
    let none = CompactOptions { map_bytes: 1, ..options() };
    seal(&world, &mut log.lock());
    let error = compact(&log, Timestamp(2000), &none, &go_on).unwrap_err();
    assert!(matches!(error, CompactError::MapTooSmall(_)), "{error}");
}

#[test]
fn a_damaged_segment_is_reported_and_left_as_it_is() {
    let world = World::new(compacted());
    let mut log = world.create();
    for _ in 0..30 {
        put(&mut log, &[("a", Some("1"))]);
    }
    settle(&world, &mut log);
    let log = LogHandle::new(log);
    let first = partition_path().join("00000000000000000000.log");
    world.disk.flip_bit(&first, 200);
    let names = world.names();
    let error = compact(&log, Timestamp(2000), &options(), &go_on).unwrap_err();
    assert!(matches!(error, CompactError::Damaged { base: Offset(0), .. }), "{error}");
    let kept: Vec<_> = world.names().into_iter().filter(|name| name != "ottla-damages").collect();
    assert_eq!(kept, names, "and a note of where the damage is");
    put(&mut log.lock(), &[("a", Some("2"))]);
}

#[test]
fn a_run_that_is_told_to_stop_leaves_nothing_behind() {
    let world = World::new(compacted());
    let mut log = world.create();
    for n in 0..100 {
        put(&mut log, &[(&format!("k{}", n % 10), Some("1"))]);
    }
    settle(&world, &mut log);
    let log = LogHandle::new(log);
    let names = world.names();
    let left = std::cell::Cell::new(40);
    let pace = |_| {
        left.set(left.get() - 1);
        if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = compact(&log, Timestamp(2000), &options(), &pace).unwrap_err();
    assert!(matches!(error, CompactError::Stopped), "{error}");
    assert!(!world.names().iter().any(|n| n.ends_with(".cleaned")), "{:?}", world.names());
    assert!(world.names().len() <= names.len());
    run(&log, 2000);
    assert_eq!(rows(&log).len(), 10 + rows_above_active(&log));
}

/// Records in the active segment and before it that are not their keys' newest.
fn rows_above_active(log: &LogHandle) -> usize {
    let active = log.lock().segment_bases().last().unwrap().0;
    rows(log).iter().filter(|row| row.0 >= active).count()
}

#[test]
fn a_log_that_is_cut_while_it_is_compacted_stays_cut() {
    for at in 1..60 {
        let world = World::new(compacted());
        let mut log = world.create();
        for n in 0..100 {
            put(&mut log, &[(&format!("k{}", n % 10), Some("1"))]);
        }
        settle(&world, &mut log);
        let log = LogHandle::new(log);
        let count = std::cell::Cell::new(0);
        let pace = |_| {
            count.set(count.get() + 1);
            if count.get() == at {
                log.lock().truncate_to(Offset(15)).unwrap();
            }
            ControlFlow::Continue(())
        };
        let result = compact(&log, Timestamp(2000), &options(), &pace);
        if count.get() < at {
            break;
        }
        assert!(matches!(result, Err(CompactError::Changed)) || at > 50, "{at}: {result:?}");
        let end = log.lock().end_offset();
        assert!(end <= Offset(15));
        assert!(log.lock().cleaned_to() <= end);
        put(&mut log.lock(), &[("new", Some("1"))]);
        let again = LogHandle::new(world.reopen());
        assert_eq!(rows(&again), rows(&log));
        assert!(!world.names().iter().any(|n| n.ends_with(".swap") || n.ends_with(".cleaned")));
    }
}

#[test]
fn compact_and_delete_both_happen() {
    let config = LogConfig {
        cleanup: CleanupPolicy { delete: true, compact: true },
        retention_ms: 10_000,
        ..compacted()
    };
    let world = World::new(config);
    let mut log = world.create();
    for n in 0..50 {
        put(&mut log, &[(&format!("k{}", n % 5), Some("1"))]);
    }
    settle(&world, &mut log);
    let log = LogHandle::new(log);
    run(&log, 2000);
    let count = rows(&log).len();
    assert!(count < 50);
    let retained = log.lock().retention(Timestamp(5000)).unwrap();
    assert_eq!(retained.segments, 0);
    let retained = log.lock().retention(Timestamp(11_001)).unwrap();
    assert!(retained.segments > 0);
    retained.job.run().unwrap();
    assert_eq!(rows(&log).len(), 0);
}

#[test]
fn a_resting_segment_is_sealed_when_its_records_are_overdue() {
    let mut config = compacted();
    config.compaction.max_lag_ms = Some(500);
    let world = World::new(config);
    let mut log = world.create();
    put(&mut log, &[("a", Some("1"))]);
    put(&mut log, &[("a", Some("2"))]);
    settle(&world, &mut log);
    assert!(!log.compactable(Timestamp(1400)).unwrap().unwrap().is_due(&log.config().compaction));
    log.compactable(Timestamp(1501)).unwrap();
    settle(&world, &mut log);
    let found = log.compactable(Timestamp(1501)).unwrap().unwrap();
    assert!(found.overdue_ms > 0 && found.is_due(&log.config().compaction));
    let log = LogHandle::new(log);
    run(&log, 1501);
    assert_eq!(rows(&log), [row(1, "a", "2")]);
}

#[test]
fn a_crash_between_any_two_changes_leaves_a_whole_log() {
    let mut finished = false;
    let mut changes = 0;
    while !finished {
        for seed in 0..4 {
            finished = crash_after(changes, seed);
        }
        changes += 1;
    }
    assert!(changes > 30, "{changes}");
}

/// Compacts on a disk that stops after some changes; whether it got through.
fn crash_after(changes: u64, seed: u64) -> bool {
    let world = World::new(compacted());
    let mut log = world.create();
    for n in 0..40 {
        put_as(
            &mut log,
            producer(n % 3, (n / 3) as i32),
            &[(["a", "b", "c"][n as usize % 3], Some("1"))],
        );
    }
    settle(&world, &mut log);
    // A first round, so that the second one joins segments.
    let log = LogHandle::new(log);
    run(&log, 2000);
    seal(&world, &mut log.lock());
    let before = rows(&log);
    let end = log.lock().end_offset();
    let epochs = log.lock().epoch_starts().to_vec();
    let producers: Vec<_> = (0..3).map(|id| log.lock().producer(ProducerId(id))).collect();
    world.disk.stop_after(Some(changes));
    let done = compact(&log, Timestamp(2000), &options(), &go_on).is_ok();
    world.disk.crash(seed);
    let log = LogHandle::new(world.reopen());
    let after = rows(&log);
    let newest: Vec<_> = before[before.len() - 3..].to_vec();
    assert!(after.iter().all(|row| before.contains(row)), "{changes} {seed}");
    assert!(newest.iter().all(|row| after.contains(row)), "{changes} {seed}: {after:?}");
    assert_eq!(log.lock().end_offset(), end, "{changes} {seed}");
    assert_eq!(log.lock().epoch_starts(), epochs, "{changes} {seed}");
    let again: Vec<_> = (0..3).map(|id| log.lock().producer(ProducerId(id))).collect();
    assert_eq!(again, producers, "{changes} {seed}");
    for name in world.names() {
        let leftover = [".swap", ".cleaned", ".deleted"].iter().any(|end| name.ends_with(end));
        assert!(!leftover, "{changes} {seed}: {name}");
    }
    // The whole range can be read again from its start.
    *world.point.0.lock().unwrap() = Offset(0);
    let log = LogHandle::new(world.reopen());
    assert_eq!(rows(&log), after, "{changes} {seed}");
    assert_eq!(log.lock().end_offset(), end, "{changes} {seed}");
    done
}
