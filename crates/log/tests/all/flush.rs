//! When a log asks for a sync, and how concurrent appends share one.

use crate::support::*;
use log::{LogConfig, LogHandle};
use std::sync::Barrier;
use types::{Offset, Timestamp};

#[test]
fn a_sync_is_wanted_after_as_many_records_as_flush_messages() {
    let world = World::new(LogConfig { flush_messages: 3, ..small() });
    let mut log = world.create();
    append(&mut log, 2);
    assert!(!log.wants_flush());
    append(&mut log, 1);
    assert!(log.wants_flush() && log.wants_sync(Timestamp(1000)));
    log.flush().unwrap();
    assert!(!log.wants_flush());
    append(&mut log, 2);
    assert!(!log.wants_flush(), "counted from what is synced");
}

#[test]
fn a_sync_is_wanted_after_flush_ms() {
    let world = World::new(LogConfig { flush_ms: 50, ..small() });
    let mut log = world.create();
    append(&mut log, 1);
    assert!(!log.wants_sync(Timestamp(1049)));
    assert!(log.wants_sync(Timestamp(1050)));
    log.flush().unwrap();
    assert!(!log.wants_sync(Timestamp(2000)));
}

/// Each writer appends and then waits until its record is synced: those who wait together share
/// the sync of the first of them.
#[test]
fn concurrent_appends_share_syncs_and_none_is_told_too_early() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 20;
    let world = World::new(LogConfig { segment_bytes: 1 << 20, ..small() });
    let mut log = world.create();
    append(&mut log, 1);
    let log = LogHandle::new(log);
    log.sync().unwrap();
    let before = world.disk.stats().syncs;
    let together = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let offset = append(&mut log.lock(), 1);
                    together.wait();
                    assert!(log.sync().unwrap() > offset);
                    together.wait();
                }
            });
        }
    });
    assert_eq!(log.lock().synced_offset(), Offset((1 + WRITERS * ROUNDS) as i64));
    assert_eq!(world.disk.stats().syncs - before, ROUNDS as u64);
}
