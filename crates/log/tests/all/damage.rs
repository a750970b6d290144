//! Damage below the recovery point: found, told, never served, never removed.

use crate::support::*;
use env::Disk;
use log::{LogConfig, LogHandle, PartitionLog, ReadError, ScrubCursor};
use records::HEADER_BYTES;
use types::{LeaderEpoch, Offset, Timestamp};

/// 30 batches of a record each in segments of about 5, all synced.
fn filled(world: &World) -> PartitionLog {
    let mut log = world.create();
    for _ in 0..30 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    log
}

fn world() -> World {
    World::new(LogConfig { segment_bytes: 700, ..small() })
}

/// Flips a bit of the batch at this offset, `at` bytes from its start.
fn damage(world: &World, log: &PartitionLog, offset: i64, at: usize) -> String {
    let base = *log.segment_bases().iter().rfind(|base| base.0 <= offset).unwrap();
    let name = format!("{:020}.log", base.0);
    let file = world.file(&name);
    let mut position = 0;
    for batch in records::batches(&file) {
        let batch = batch.unwrap();
        if batch.header.base_offset.0 == offset {
            break;
        }
        position += batch.header.size();
    }
    world.disk.flip_bit(&partition_path().join(&name), position + at);
    name
}

/// Scrubs from the start to the end; what was found, and the bytes read.
fn scrub(log: &LogHandle, portion: u64) -> (Vec<(i64, i64)>, u64) {
    let (mut at, mut found, mut bytes) = (ScrubCursor::default(), Vec::new(), 0);
    for _ in 0..1000 {
        let scrubbed = log.scrub(at, portion).unwrap();
        assert!(scrubbed.next.offset() >= at.offset());
        found.extend(scrubbed.damage.map(|d| (d.offset.0, d.end_offset.0)));
        bytes += scrubbed.bytes;
        at = scrubbed.next;
        if scrubbed.is_at_end {
            return (found, bytes);
        }
    }
    panic!("a scrubber does not come to its end");
}

#[test]
fn a_scrubber_reads_every_synced_byte_once_in_portions() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    let size = log.lock().size();
    for portion in [1, 200, 10_000] {
        assert_eq!(scrub(&log, portion), (vec![], size), "in portions of {portion}");
    }
    let first = log.scrub(ScrubCursor::default(), 1).unwrap();
    assert_eq!((first.next.offset(), first.is_at_end), (Offset(1), false), "one batch at least");
}

#[test]
fn a_scrubber_gets_to_a_start_that_lies_within_a_segment() {
    // No index entry but the segment's first place.
    let world = World::new(LogConfig { segment_bytes: 700, index_interval_bytes: 4096, ..small() });
    let log = LogHandle::new(filled(&world));
    log.lock().set_high_watermark(Offset(30));
    assert_eq!(log.lock().advance_start_offset(Offset(4)), Offset(4));
    assert_eq!(scrub(&log, 1).0, []);
}

#[test]
fn a_scrubber_leaves_the_unsynced_tail_alone_and_goes_on_when_it_is_synced() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    append(&mut log.lock(), 2);
    let mut at = ScrubCursor::default();
    let end = loop {
        let scrubbed = log.scrub(at, 1000).unwrap();
        at = scrubbed.next;
        if scrubbed.is_at_end {
            break at;
        }
    };
    assert_eq!(end.offset(), Offset(30));
    assert_eq!(log.scrub(end, 1000).unwrap().bytes, 0);
    log.sync().unwrap();
    let more = log.scrub(end, 1000).unwrap();
    assert!(more.bytes > 0 && more.is_at_end);
    assert_eq!(more.next.offset(), Offset(32));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_and_never_served() {
    for offset in [0, 7, 12, 29] {
        for at in 0..120 {
            let world = world();
            let log = LogHandle::new(filled(&world));
            let name = damage(&world, &log.lock(), offset, at);
            // Outside the CRC, as the broker stamps them, are the leader epoch (bytes 12 to 15) and
            // the base offset. One that still fits its neighbours (byte 7) cannot be told from a
            // right one.
            if at == 7 {
                continue;
            }
            let (found, _) = scrub(&log, 300);
            assert_eq!(found.len(), 1, "offset {offset}, byte {at}");
            let (from, to) = found[0];
            assert!(from <= offset + 1 && offset < to.max(offset + 1), "{found:?}");
            let known = log.damages();
            assert_eq!(known.len(), 1);
            assert!(known[0].file.ends_with(&name), "{:?}", known[0].file);
            never_served(&log, from, to);
            assert_eq!(scrub(&log, 300).0, found, "it is found again by the next round");
            assert_eq!(log.damages().len(), 1, "and known once");
        }
    }
}

fn never_served(log: &LogHandle, from: i64, to: i64) {
    let log = log.lock();
    for start in 0..30 {
        match log.read_plan(Offset(start), Offset(30), 1 << 20, true) {
            Ok(plan) => {
                let bytes = plan.read().unwrap();
                assert!(!bytes.is_empty(), "a plan at {start} with nothing in it");
                for batch in records::batches(&bytes) {
                    let header = batch.unwrap().header;
                    let (base, end) = (header.base_offset.0, header.end_offset().0);
                    assert!(end <= from || base >= to, "{base}..{end} served, {from}..{to} bad");
                }
            }
            Err(ReadError::Damaged { offset, .. }) => {
                assert_eq!(offset.0, from);
                assert!((from..to).contains(&start), "{start} refused, {from}..{to} bad");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_read_that_walks_into_damage_tells_of_it() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    // Magic: no header any more.
    damage(&world, &log.lock(), 7, 16);
    assert!(log.damages().is_empty());
    let read = log.lock().read_plan(Offset(7), Offset(30), 100, true);
    assert!(matches!(read, Err(ReadError::Damaged { offset: Offset(7), .. })));
    assert_eq!(log.damages()[0].offset, Offset(7));
}

#[test]
fn a_suspicion_is_looked_into() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    damage(&world, &log.lock(), 7, HEADER_BYTES + 10);
    assert_eq!(log.examine(Offset(5)).unwrap(), None);
    assert_eq!(log.examine(Offset(99)).unwrap(), None);
    let found = log.examine(Offset(7)).unwrap().unwrap();
    assert_eq!((found.offset, found.end_offset), (Offset(7), Offset(8)));
    assert_eq!(log.examine(Offset(6)).unwrap(), Some(found.clone()), "the batch after, too");
    assert_eq!(log.damages(), [found]);
}

#[test]
fn damage_that_is_cut_off_or_deleted_is_forgotten() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    damage(&world, &log.lock(), 3, HEADER_BYTES + 10);
    damage(&world, &log.lock(), 28, HEADER_BYTES + 10);
    assert_eq!(scrub(&log, 300).0, [(3, 4), (28, 29)]);
    log.lock().truncate_to(Offset(25)).unwrap();
    assert_eq!(log.damages().iter().map(|d| d.offset.0).collect::<Vec<_>>(), [3]);
    log.lock().set_high_watermark(Offset(25));
    log.lock().advance_start_offset(Offset(5));
    assert!(log.damages().is_empty());
    assert_eq!(bases(&log.lock()), (5..25).collect::<Vec<_>>());
}

#[test]
fn damage_is_known_after_a_restart_until_it_is_gone() {
    for is_clean in [true, false] {
        let world = world();
        let log = LogHandle::new(filled(&world));
        damage(&world, &log.lock(), 7, HEADER_BYTES + 10);
        assert_eq!(scrub(&log, 300).0, [(7, 8)]);
        if is_clean {
            log.lock().close().unwrap();
        }
        world.disk.crash(1);
        let log = LogHandle::new(world.open(is_clean).unwrap().0);
        assert_eq!(log.damages().len(), 1, "clean: {is_clean}");
        never_served(&log, 7, 8);
        log.lock().truncate_to(Offset(5)).unwrap();
        world.checkpoint(&log.lock());
        drop(log);
        let log = LogHandle::new(world.open(false).unwrap().0);
        assert_eq!(log.damages(), []);
        assert!(!world.names().iter().any(|name| name.contains("damage")));
    }
}

#[test]
fn a_scrubber_is_not_misled_by_what_happens_to_the_log() {
    let world = world();
    let log = LogHandle::new(filled(&world));
    let half = log.scrub(ScrubCursor::default(), 200).unwrap().next;
    log.lock().truncate_to(Offset(1)).unwrap();
    assert!(log.scrub(half, 200).unwrap().is_at_end);
    for _ in 0..9 {
        let batch = batch_at(&[1, 1], 30);
        log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1)).unwrap();
    }
    log.sync().unwrap();
    let rest = log.scrub(half, 1 << 20).unwrap();
    assert_eq!(rest.damage, None, "a batch may begin elsewhere now");
    assert_eq!(scrub(&log, 100).0, []);
}

#[test]
fn what_a_clean_shutdown_promised_and_the_file_lacks_is_damage() {
    let world = world();
    let mut log = filled(&world);
    log.close().unwrap();
    let last = *log.segment_bases().last().unwrap();
    drop(log);
    let path = partition_path().join(format!("{:020}.log", last.0));
    let file = world.disk.open(&path, env::disk::Open::Write).unwrap();
    let whole = file.len().unwrap();
    file.set_len(whole / 2).unwrap();
    let log = LogHandle::new(world.open(true).unwrap().0);
    let (found, _) = scrub(&log, 1 << 20);
    assert_eq!(found.len(), 1);
    assert!(found[0].0 >= last.0 && found[0].1 == 30, "{found:?}");
}
