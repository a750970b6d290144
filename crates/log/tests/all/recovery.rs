//! Opening after a clean shutdown, after a crash, and with damage.

use crate::support::*;
use env::Disk;
use env::disk::Open;
use log::{LogConfig, OpenLogError, Recovered};
use records::Batch;
use std::path::Path;
use types::{EpochOffset, LeaderEpoch, Offset, ProducerId, Timestamp};

const FIRST: &str = "00000000000000000000.log";

#[test]
fn a_clean_log_opens_without_reading_a_segment() {
    let world = World::new(small());
    let mut log = world.create();
    for n in 0..200 {
        log.append_as_leader(&produced(1, 0, n, 1), LeaderEpoch(n / 60), Timestamp(1)).unwrap();
    }
    let epochs: Vec<EpochOffset> = log.epoch_starts().to_vec();
    log.close().unwrap();
    let before = world.disk.stats().read_bytes;
    let (mut log, recovered) = world.open(true).unwrap();
    assert_eq!(recovered, Recovered::default());
    let read = world.disk.stats().read_bytes - before;
    assert!(read < 1000, "metadata, epochs and one snapshot: {read}");
    assert_eq!((log.end_offset(), log.recovery_point()), (Offset(200), Offset(200)));
    assert_eq!(log.epoch_starts(), epochs);
    for n in 195..200 {
        let batch = produced(1, 0, n, 1);
        let again = log.append_as_leader(&batch, LeaderEpoch(9), Timestamp(1)).unwrap();
        assert!(again.is_duplicate && again.base_offset.0 == i64::from(n), "all five are kept");
    }
    assert_eq!(append_more(&mut log), 200);
    assert_eq!(bases(&log).len(), 201);
}

fn append_more(log: &mut log::PartitionLog) -> i64 {
    let batch = batch_at(&[1], 10);
    log.append_as_leader(&batch, LeaderEpoch(9), Timestamp(1)).unwrap().base_offset.0
}

#[test]
fn an_unclean_log_is_read_from_its_recovery_point_only() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..200 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    for _ in 0..5 {
        append(&mut log, 1);
    }
    let (log, recovered) = world.open(false).unwrap();
    assert!(recovered.unclean);
    assert!(recovered.read_bytes <= 2 * 4096, "{recovered:?}");
    assert_eq!((log.end_offset(), recovered.cut_bytes), (Offset(205), 0));
    assert_eq!(log.recovery_point(), Offset(200), "nothing was synced since");
}

#[test]
fn a_torn_tail_is_cut_at_the_first_bad_batch() {
    for cut in [1, 30, 61, 100] {
        let world = World::new(small());
        let mut log = world.create();
        for _ in 0..3 {
            append(&mut log, 1);
        }
        let path = partition_path().join(FIRST);
        let file = world.disk.open(&path, Open::Write).unwrap();
        let size = file.len().unwrap();
        file.set_len(size - cut).unwrap();
        let (mut log, recovered) = world.open(false).unwrap();
        let end = if cut < size / 3 { 2 } else { 1 };
        assert_eq!(log.end_offset(), Offset(end), "cut {cut}");
        assert!(recovered.cut_bytes > 0);
        assert_eq!(append(&mut log, 1), Offset(end));
        assert_eq!(bases(&world.reopen()).len() as i64, end + 1);
    }
}

#[test]
fn damage_below_the_recovery_point_is_reported_and_nothing_is_cut() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    let size = world.file(FIRST).len();
    world.disk.flip_bit(&partition_path().join(FIRST), size / 2);
    for _ in 0..2 {
        match world.open(false) {
            Err(OpenLogError::Damaged(damage)) => assert_eq!(damage.offset, Offset(5)),
            other => panic!("{:?}", other.map(|(log, _)| log.end_offset())),
        }
        assert_eq!(world.file(FIRST).len(), size);
    }
}

#[test]
fn the_same_bit_above_the_recovery_point_is_a_torn_tail() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    let size = world.file(FIRST).len();
    world.disk.flip_bit(&partition_path().join(FIRST), size / 2);
    assert_eq!(world.open(false).unwrap().0.end_offset(), Offset(5));
}

/// Epochs of batches of a record each, of which one has a wrong bit in a byte of its epoch.
fn recovered_with_a_wrong_epoch(epochs: &[i32], at: usize, byte: usize) -> (Vec<i32>, Vec<i32>) {
    let world = World::new(small());
    let mut log = world.create();
    for epoch in epochs {
        log.append_as_leader(&batch_at(&[1], 10), LeaderEpoch(*epoch), Timestamp(1)).unwrap();
    }
    let size = world.file(FIRST).len() / epochs.len();
    world.disk.flip_bit(&partition_path().join(FIRST), at * size + byte);
    let flipped: Vec<Batch> = records::batches(&world.file(FIRST)).map(Result::unwrap).collect();
    let epoch = |batch: &Batch| batch.header.leader_epoch.0;
    let log = world.reopen();
    for batch in read_all(&log) {
        let header = &batch.header;
        assert_eq!(log.epoch_at(header.base_offset), Some(header.leader_epoch), "{at} {byte}");
    }
    (flipped.iter().map(epoch).collect(), read_all(&log).iter().map(epoch).collect())
}

#[test]
fn a_log_is_cut_where_its_leader_epochs_fall() {
    let epochs = [2, 2, 4, 4, 4, 5, 8, 8];
    for at in 0..epochs.len() {
        for byte in [12, 15] {
            let (flipped, kept) = recovered_with_a_wrong_epoch(&epochs, at, byte);
            assert_ne!(flipped, epochs);
            if flipped.is_sorted() {
                assert_eq!(kept, flipped, "nothing tells that it is wrong");
                continue;
            }
            assert_eq!(kept, epochs[..kept.len()], "batch {at}, byte {byte}: {flipped:?}");
            assert!((at.saturating_sub(1)..=at).contains(&kept.len()), "{at}: {kept:?}");
        }
    }
}

#[test]
fn epochs_that_fall_below_the_recovery_point_are_damage() {
    let world = World::new(small());
    let mut log = world.create();
    for _ in 0..10 {
        append(&mut log, 1);
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    let size = world.file(FIRST).len() / 10;
    world.disk.flip_bit(&partition_path().join(FIRST), 4 * size + 12);
    let before = world.file(FIRST);
    let Err(OpenLogError::Damaged(damage)) = world.open(false) else { panic!("it is damaged") };
    assert_eq!((damage.offset, damage.end_offset), (Offset(4), Offset(5)));
    assert_eq!(world.file(FIRST), before);
}

#[test]
fn epochs_and_producers_come_back_from_the_batches() {
    let world = World::new(small());
    let mut log = world.create();
    for n in 0..120 {
        log.append_as_leader(&produced(1, 0, n, 1), LeaderEpoch(n / 50), Timestamp(1)).unwrap();
    }
    let again = world.reopen();
    assert_eq!(again.epoch_starts(), log.epoch_starts());
    assert_eq!(again.producer(ProducerId(1)), log.producer(ProducerId(1)));
    world.disk.remove_file(&partition_path().join("leader-epoch-checkpoint")).ok();
    log.flush().unwrap();
    world.checkpoint(&log);
    world.disk.flip_bit(&partition_path().join("leader-epoch-checkpoint"), 0);
    assert_eq!(world.reopen().epoch_starts(), log.epoch_starts(), "damaged: read from the log");
}

#[test]
fn a_segment_that_follows_a_hole_is_dropped() {
    let world = World::new(LogConfig { segment_bytes: 400, ..small() });
    let mut log = world.create();
    for _ in 0..12 {
        append(&mut log, 1);
    }
    let bases = log.segment_bases();
    assert!(bases.len() >= 3);
    let gone = partition_path().join(format!("{:020}.log", bases[1].0));
    world.disk.remove_file(&gone).unwrap();
    let log = world.reopen();
    assert_eq!(log.end_offset(), bases[1]);
    assert_eq!(log.segment_bases(), [Offset(0)]);
}

#[test]
fn a_directory_without_its_topic_id_is_not_opened() {
    let world = World::new(small());
    world.disk.create_dir_all(Path::new("/logs/events-0")).unwrap();
    assert!(matches!(world.open(false), Err(OpenLogError::Unidentified(_))));
}

#[test]
fn a_start_offset_above_what_survived_empties_the_log() {
    let mut world = World::new(small());
    let mut log = world.create();
    append(&mut log, 5);
    drop(log);
    world.start_offset = Offset(9);
    let mut log = world.reopen();
    assert_eq!((log.start_offset(), log.end_offset()), (Offset(9), Offset(9)));
    assert_eq!(append(&mut log, 1), Offset(9));
}

#[test]
fn an_epoch_after_a_start_without_an_epochs_file_is_kept() {
    let mut world = World::new(small());
    let mut log = world.create();
    append(&mut log, 1);
    drop(log);
    world.start_offset = Offset(100);
    world.disk.open(&partition_path().join(FIRST), Open::Write).unwrap().set_len(0).unwrap();
    world.disk.remove_file(&partition_path().join("leader-epoch-checkpoint")).ok();
    let mut log = world.reopen();
    log.flush().unwrap();
    log.append_as_leader(&batch_at(&[1], 10), LeaderEpoch(4), Timestamp(1)).unwrap();
    log.flush().unwrap();
    let file = world.file("leader-epoch-checkpoint");
    assert!(String::from_utf8_lossy(&file).starts_with("0\n1\n4 100"), "{file:?}");
}

#[test]
fn a_sync_that_runs_late_does_not_put_old_epochs_in_the_place_of_new_ones() {
    let world = World::new(small());
    let mut log = world.create();
    let mut append = |epoch| {
        log.append_as_leader(&batch_at(&[1], 10), LeaderEpoch(epoch), Timestamp(1)).unwrap();
        log.sync()
    };
    let (late, early) = (append(3), append(5));
    for job in [early, late] {
        log.complete_sync(job.run()).unwrap();
    }
    let file = world.file("leader-epoch-checkpoint");
    assert!(String::from_utf8_lossy(&file).starts_with("0\n2\n3 0\n5 1"), "{file:?}");
}

#[test]
fn an_unsynced_batch_of_a_wrong_epoch_does_not_put_the_blame_on_a_synced_one() {
    let world = World::new(small());
    let mut log = world.create();
    for epoch in [4, 4, 5] {
        log.append_as_leader(&batch_at(&[1], 10), LeaderEpoch(epoch), Timestamp(1)).unwrap();
    }
    log.flush().unwrap();
    world.checkpoint(&log);
    log.append_as_leader(&batch_at(&[1], 10), LeaderEpoch(5), Timestamp(1)).unwrap();
    let size = world.file(FIRST).len() / 4;
    world.disk.flip_bit(&partition_path().join(FIRST), 3 * size + 15);
    assert_eq!(world.reopen().end_offset(), Offset(3));
}

#[test]
fn synced_records_survive_and_the_rest_is_a_prefix() {
    for seed in 0..100 {
        let world = World::new(LogConfig { segment_bytes: 400, ..small() });
        let mut log = world.create();
        for _ in 0..8 {
            append(&mut log, 1);
        }
        log.flush().unwrap();
        for _ in 0..8 {
            append(&mut log, 1);
        }
        let before = read_all(&log);
        world.disk.crash(seed);
        let log = world.reopen();
        let after = read_all(&log);
        assert!(after.len() >= 8, "seed {seed}: {}", after.len());
        assert_eq!(after[..], before[..after.len()], "seed {seed}");
    }
}

#[test]
fn epochs_that_the_batches_do_not_bear_out_are_made_anew() {
    for (wrong, why) in [
        ("0\n3\n0 0\n1 49\n2 100\n", "starts early"),
        ("0\n3\n0 0\n1 53\n2 100\n", "starts late: a follower would keep too much"),
        ("0\n3\n0 0\n1 50\n3 100\n", "another epoch"),
    ] {
        let world = World::new(LogConfig { segment_bytes: 1500, ..small() });
        let mut log = world.create();
        for n in 0..120 {
            log.append_as_leader(&produced(1, 0, n, 1), LeaderEpoch(n / 50), Timestamp(1)).unwrap();
        }
        log.flush().unwrap();
        world.checkpoint(&log);
        let path = partition_path().join("leader-epoch-checkpoint");
        env::disk::write_file_atomically(&world.disk, &path, wrong.as_bytes()).unwrap();
        assert_eq!(world.reopen().epoch_starts(), log.epoch_starts(), "{why}");
    }
}

#[test]
fn a_batch_of_an_epoch_that_does_not_fit_is_not_believed_over_the_file() {
    for offset in [0, 49, 50, 99] {
        // Without a checksum: the highest byte but one of the leader epoch.
        let world = World::new(LogConfig { segment_bytes: 1500, ..small() });
        let mut log = world.create();
        for n in 0..120 {
            log.append_as_leader(&produced(1, 0, n, 1), LeaderEpoch(n / 50), Timestamp(1)).unwrap();
        }
        log.flush().unwrap();
        world.checkpoint(&log);
        let base = log.segment_bases().into_iter().rfind(|base| base.0 <= offset).unwrap();
        let position: usize = read_all(&log)
            .iter()
            .filter(|batch| (base..Offset(offset)).contains(&batch.header.base_offset))
            .map(|batch| batch.bytes.len())
            .sum();
        world.disk.flip_bit(&partition_path().join(format!("{:020}.log", base.0)), position + 13);
        let mut again = world.reopen();
        assert_eq!(again.epoch_starts(), log.epoch_starts(), "batch {offset}");
        let next = produced(1, 0, 120, 1);
        again.append_as_leader(&next, LeaderEpoch(3), Timestamp(1)).unwrap();
    }
}
