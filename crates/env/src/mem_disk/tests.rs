//! What a crash takes from the disk in memory, and what it leaves.

use super::*;
use crate::disk::{create_dir_durably, read_file, write_file_atomically};

fn disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[test]
fn what_is_synced_survives_every_crash() {
    for seed in 0..50 {
        let disk = disk();
        let path = Path::new("/d/a");
        let file = disk.open(path, Open::CreateNew).unwrap();
        file.write_all_at(b"kept", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(b"more", 4).unwrap();
        disk.crash(seed);
        let found = read_file(&disk, path).unwrap();
        assert!(found.starts_with(b"kept"), "seed {seed}: {found:?}");
        assert!(file.read_at(&mut [0; 4], 0).is_err(), "a file of before is dead");
    }
}

#[test]
fn what_is_not_synced_is_lost_kept_or_torn() {
    let (mut lost, mut kept, mut torn, mut nameless) = (0, 0, 0, 0);
    for seed in 0..200 {
        let disk = disk();
        let file = disk.open(Path::new("/d/a"), Open::Create).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_all_at(&[1; 2000], 0).unwrap();
        disk.open(Path::new("/d/b"), Open::Create).unwrap();
        disk.crash(seed);
        let found = read_file(&disk, Path::new("/d/a")).unwrap();
        match found.iter().filter(|b| **b == 1).count() {
            0 => lost += 1,
            2000 => kept += 1,
            _ => torn += 1,
        }
        nameless += u32::from(!disk.exists(Path::new("/d/b")));
    }
    assert!(lost > 10 && kept > 10 && torn > 10, "{lost} {kept} {torn}");
    assert!((50..150).contains(&nameless), "{nameless}");
}

#[test]
fn an_atomic_write_is_old_or_new_after_a_crash_anywhere() {
    for changes in 0..8 {
        for seed in 0..20 {
            let disk = disk();
            let path = Path::new("/d/a");
            write_file_atomically(&disk, path, b"old").unwrap();
            disk.stop_after(Some(changes));
            let done = write_file_atomically(&disk, path, b"newer").is_ok();
            disk.crash(seed);
            let found = read_file(&disk, path).unwrap();
            let fits = &found[..] == b"newer" || (!done && &found[..] == b"old");
            assert!(fits, "{changes} {seed} {found:?}");
        }
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_then_refuses() {
    let disk = disk();
    let file = disk.open(Path::new("/d/a"), Open::Create).unwrap();
    disk.set_capacity(Some(6));
    file.write_all_at(b"1234", 0).unwrap();
    let error = file.write_all_at(b"5678", 4).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 6);
    file.set_len(4).unwrap();
    file.write_all_at(b"56", 4).unwrap();
}

#[test]
fn a_directory_made_durably_survives_with_what_is_synced_in_it() {
    for seed in 0..50 {
        let disk = MemDisk::new();
        let dir = Path::new("/data/controller");
        create_dir_durably(&disk, dir).unwrap();
        write_file_atomically(&disk, &dir.join("vote"), b"7").unwrap();
        disk.crash(seed);
        assert_eq!(&read_file(&disk, &dir.join("vote")).unwrap()[..], b"7", "seed {seed}");
    }
}

#[test]
fn a_failing_directory_fails_in_every_way_and_others_do_not() {
    let disk = disk();
    disk.create_dir_all(Path::new("/e")).unwrap();
    let file = disk.open(Path::new("/d/a"), Open::Create).unwrap();
    file.write_all_at(b"1234", 0).unwrap();
    disk.fail_directory(Some(Path::new("/d")));
    assert!(file.write_all_at(b"5", 0).is_err() && file.sync_data().is_err());
    assert!(file.read_at(&mut [0; 4], 0).is_err());
    assert!(disk.list(Path::new("/d")).is_err());
    assert!(disk.open(Path::new("/d/a"), Open::Read).is_err());
    assert!(disk.remove_file(Path::new("/d/a")).is_err());
    disk.open(Path::new("/e/a"), Open::Create).unwrap().write_all_at(b"1", 0).unwrap();
    disk.fail_directory(None);
    assert_eq!(&read_file(&disk, Path::new("/d/a")).unwrap()[..], b"1234");
}

#[test]
fn a_sync_that_only_pretends_keeps_nothing() {
    let (mut lost, mut nameless) = (0, 0);
    for seed in 0..50 {
        let disk = disk();
        let file = disk.open(Path::new("/d/a"), Open::Create).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.forget_syncs(Some("/a"));
        disk.forget_directory_syncs(true);
        file.write_all_at(b"1234", 0).unwrap();
        file.sync_data().unwrap();
        disk.open(Path::new("/d/b"), Open::Create).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.crash(seed);
        let found = read_file(&disk, Path::new("/d/a")).unwrap();
        lost += u32::from(&found[..] != b"1234");
        nameless += u32::from(!disk.exists(Path::new("/d/b")));
        let crashes = disk.crashes();
        assert!(crashes.lost_writes + crashes.torn_writes + crashes.lost_names <= 2);
    }
    assert!(lost > 5 && nameless > 5, "{lost} {nameless}");
}

#[test]
fn a_lock_is_held_once() {
    let disk = disk();
    let lock = disk.lock(Path::new("/d/.lock")).unwrap();
    let again = disk.lock(Path::new("/d/.lock"));
    assert_eq!(again.err().map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
    drop(lock);
    assert!(disk.lock(Path::new("/d/.lock")).is_ok());
}

#[test]
fn a_file_takes_space_until_neither_a_name_nor_a_crash_nor_a_user_leads_to_it() {
    let disk = disk();
    let path = Path::new("/d/a");
    let file = disk.open(path, Open::Create).unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.rename(Path::new("/d"), Path::new("/e")).unwrap();
    disk.remove_file(Path::new("/e/a")).unwrap();
    drop(file);
    assert_eq!(disk.used(), 100, "a crash may bring the directory back");
    disk.sync_dir(Path::new("/")).unwrap();
    disk.crash(0);
    assert_eq!(disk.used(), 0);
    assert!(!disk.exists(path) && !disk.exists(Path::new("/e/a")));
}

#[test]
fn a_file_or_directory_that_is_renamed_to_its_own_name_stays() {
    let disk = disk();
    let path = Path::new("/d/a");
    disk.open(path, Open::Create).unwrap().write_all_at(b"kept", 0).unwrap();
    disk.rename(path, path).unwrap();
    disk.rename(Path::new("/d"), Path::new("/d")).unwrap();
    assert_eq!(read_file(&disk, path).unwrap(), &b"kept"[..]);
    let missing = Path::new("/d/b");
    assert!(disk.rename(missing, missing).is_err());
}
