//! When a log asks for a sync, and how concurrent appends share one.

use crate::support::*;
use log::{LogConfig, LogHandle};
use types::{LeaderEpoch, Offset, Timestamp};

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

/// Each writer appends and then waits until its record is synced; together they need far fewer
/// syncs than there are records.
#[test]
fn concurrent_appends_share_syncs_and_none_is_told_too_early() {
    const WRITERS: usize = 8;
    const ROUNDS: usize = 50;
    let world = World::new(LogConfig { segment_bytes: 1 << 20, ..small() });
    let log = LogHandle::new(world.create());
    log.sync().unwrap();
    let before = world.disk.stats().syncs;
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let batch = batch_at(&[1000], 50);
                    let appended =
                        log.lock().append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000));
                    let offset = appended.unwrap().base_offset;
                    assert!(log.sync().unwrap() > offset);
                }
            });
        }
    });
    let all = (WRITERS * ROUNDS) as u64;
    assert_eq!(log.lock().synced_offset(), Offset(all as i64));
    let syncs = world.disk.stats().syncs - before;
    assert!(syncs <= all, "{syncs} syncs for {all} records");
}
