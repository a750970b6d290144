//! The journal against a model, on a disk that loses what was not synced.

use super::journal::{Durable, Journal, JournalOptions};
use super::recovery::segment_name;
use bytes::Bytes;
use env::clock::ManualClock;
use env::disk::MemDisk;
use env::rng::{Rng, SeededRng};
use env::{Disk, rng};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use types::{Monotonic, Timestamp};

const DIRECTORY: &str = "/raft";

/// What a journal should hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Model {
    entries: Vec<(u64, Bytes)>,
    vote: Bytes,
    purged: Option<u64>,
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<(u64, Bytes)>),
    Truncate(u64),
    Vote(Bytes),
    Purge(u64),
}

impl Model {
    fn next(&self) -> u64 {
        let purged = self.purged.map_or(0, |index| index + 1);
        self.entries.last().map_or(purged, |(index, _)| index + 1)
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(entries) => self.entries.extend(entries.iter().cloned()),
            Op::Truncate(from) => self.entries.retain(|(index, _)| index < from),
            Op::Vote(vote) => self.vote = vote.clone(),
            Op::Purge(upto) => {
                self.purged = Some(*upto);
                self.entries.retain(|(index, _)| index > upto);
            }
        }
    }

    fn random_op(&self, rng: &SeededRng, number: u64) -> Op {
        let next = self.next();
        let first = self.entries.first().map_or(next, |(index, _)| *index);
        match rng.below(10) {
            0..=5 => {
                let count = 1 + rng.below(4);
                let entry = |offset| {
                    let size = rng.below(300) as usize;
                    (next + offset, Bytes::from(vec![number as u8; size]))
                };
                Op::Append((0..count).map(entry).collect())
            }
            6 => Op::Truncate(first + rng.below(next - first + 1)),
            7 | 8 => Op::Vote(Bytes::from(number.to_be_bytes().to_vec())),
            // Now and then beyond the end, as an installed snapshot does.
            _ => Op::Purge((first + rng.below(next - first + 3)).max(self.purged.unwrap_or(0))),
        }
    }
}

fn open(disk: &MemDisk) -> io::Result<Journal> {
    let directory = PathBuf::from(DIRECTORY);
    let clock = Arc::new(ManualClock::new(Monotonic::ZERO, Timestamp(0)));
    let options =
        JournalOptions { directory, clock, segment_bytes: 1500, own_thread: false, _lock: None };
    Journal::open(Arc::new(disk.clone()), options)
}

fn new_disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new(DIRECTORY)).expect("a directory");
    disk.sync_dir(Path::new("/")).expect("a sync");
    disk
}

/// Runs an operation; whether it was reported as stored.
fn run(journal: &Journal, op: &Op) -> bool {
    let done = Arc::new(Mutex::new(None));
    let sink = done.clone();
    let on_durable = Box::new(move |result: io::Result<()>| {
        *sink.lock().expect("a lock") = Some(result.is_ok());
    });
    match op.clone() {
        Op::Append(entries) => journal.append(entries, on_durable),
        Op::Truncate(from) => journal.truncate(from, on_durable),
        Op::Vote(vote) => journal.update(|state| state.vote = vote, Some(on_durable)),
        Op::Purge(upto) => {
            journal.update(|state: &mut Durable| state.purged_index = Some(upto), Some(on_durable));
        }
    }
    let done = done.lock().expect("a lock").take();
    done.expect("an inline journal answers at once")
}

fn content(journal: &Journal) -> Model {
    let range = journal.range();
    let bytes = journal.read(range.clone()).expect("entries are readable");
    let state = journal.state();
    let entries = range.zip(bytes).collect();
    Model { entries, vote: state.vote, purged: state.purged_index }
}

/// Whether `found` is what was stored, with the operation that failed done, undone or half done.
fn is_allowed(found: &Model, stored: &Model, failed: &Op) -> bool {
    if found == stored {
        return true;
    }
    let parts = match failed {
        Op::Append(entries) => {
            (1..=entries.len()).map(|count| Op::Append(entries[..count].to_vec())).collect()
        }
        Op::Truncate(_) | Op::Vote(_) | Op::Purge(_) => vec![failed.clone()],
    };
    parts.iter().any(|part| {
        let mut model = stored.clone();
        model.apply(part);
        *found == model
    })
}

fn crash_run(seed: u64) {
    let rng = rng::SeededRng::new(seed);
    let disk = new_disk();
    let mut model = Model::default();
    let mut number = 0;
    for life in 0..8 {
        let journal = open(&disk).expect("a journal opens after a crash");
        assert_eq!(content(&journal), model, "seed {seed}, life {life}");
        disk.stop_after(Some(rng.below(40)));
        let failed = loop {
            number += 1;
            let op = model.random_op(&rng, number);
            if !run(&journal, &op) {
                break op;
            }
            model.apply(&op);
            assert_eq!(content(&journal), model, "seed {seed}, after {op:?}");
        };
        let later = Op::Vote(Bytes::from_static(b"later"));
        assert!(!run(&journal, &later), "a journal that failed takes nothing more");
        drop(journal);
        disk.crash(rng.next_u64());
        let found = content(&open(&disk).expect("a torn tail is cut"));
        assert!(
            is_allowed(&found, &model, &failed),
            "seed {seed}, life {life}: {failed:?} failed on {model:?}, found {found:?}"
        );
        model = found;
    }
}

#[test]
fn what_was_reported_as_stored_survives_any_crash() {
    for seed in 0..400 {
        crash_run(seed);
    }
}

fn append(journal: &Journal, index: u64, size: usize) {
    assert!(run(journal, &Op::Append(vec![(index, Bytes::from(vec![7; size]))])));
}

#[test]
fn damage_of_what_was_synced_is_refused_and_a_torn_tail_is_cut() {
    let disk = new_disk();
    let journal = open(&disk).expect("an empty journal opens");
    for index in 0..4 {
        append(&journal, index, 100);
    }
    drop(journal);
    let path = Path::new(DIRECTORY).join(segment_name(0));
    let end = env::disk::read_file(&disk, &path).expect("the file is there").len();
    // In the last frame: nothing later says that it was synced.
    disk.flip_bit(&path, end - 10);
    let journal = open(&disk).expect("a bad tail is cut");
    assert_eq!(journal.range(), 0..3);
    append(&journal, 3, 100);
    drop(journal);
    // In an earlier one: the frames after it prove that it was synced.
    disk.flip_bit(&path, end - 200);
    let error = open(&disk).err().expect("damage is refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("was synced"), "{error}");
}

#[test]
fn purged_files_go_and_a_missing_one_is_noticed() {
    let disk = new_disk();
    let journal = open(&disk).expect("an empty journal opens");
    for index in 0..60 {
        append(&journal, index, 200);
    }
    let files = || disk.list(Path::new(DIRECTORY)).expect("a list").len();
    let before = files();
    assert!(run(&journal, &Op::Purge(40)));
    assert!(files() < before);
    drop(journal);
    let journal = open(&disk).expect("a purged journal opens");
    assert_eq!(journal.range(), 41..60);
    drop(journal);
    let names = disk.list(Path::new(DIRECTORY)).expect("a list");
    disk.remove_file(&Path::new(DIRECTORY).join(&names[1].name)).expect("it goes");
    assert!(open(&disk).is_err());
}

#[test]
fn entries_that_left_the_cache_are_read_from_the_file() {
    let disk = new_disk();
    let journal = open(&disk).expect("an empty journal opens");
    for index in 0..20 {
        append(&journal, index, 1 << 20);
    }
    let read = journal.read(0..20).expect("readable");
    assert_eq!(read.len(), 20);
    assert!(read.iter().all(|bytes| bytes.len() == 1 << 20 && bytes[5] == 7));
}
