//! The journal: Raft's log and vote in segment files, with all positions in memory.
//!
//! Promises:
//! - Operations take effect in the order in which they are given; their completions come in that
//!   order too (openraft drops progress otherwise).
//! - An entry is readable from the moment `append` returns.
//! - `on_durable` is called with `Ok` only after the data is synced; after a failure of the disk
//!   every later operation fails.
//! - Purging deletes whole files, after the new state is synced.
//!
//! Does not: know what an entry means.

use super::pace::Pace;
use super::recovery;
use super::writer::{Operation, Writer};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use env::{Clock, Disk, File};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Encoded entries kept in memory; older ones are read from the file.
const CACHE_BYTES_MAX: usize = 4 << 20;

/// What is called once an operation is on disk, or has failed.
pub type OnDurable = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Small facts that are written whole: the last state frame counts. The bytes are the caller's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Durable {
    pub vote: Bytes,
    /// The last purged entry's index, and its id in the caller's encoding.
    pub purged_index: Option<u64>,
    pub purged: Bytes,
    /// A committed position. May be older than the real one.
    pub committed: Bytes,
}

impl Durable {
    /// version (1) · has purged (1) · purged index (8) · three times length (4) and bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(1);
        out.put_u8(u8::from(self.purged_index.is_some()));
        out.put_u64(self.purged_index.unwrap_or(0));
        for part in [&self.vote, &self.purged, &self.committed] {
            out.put_u32(part.len() as u32);
            out.put_slice(part);
        }
        out.freeze()
    }

    pub fn decode(body: &Bytes) -> Option<Durable> {
        let mut body = body.clone();
        if body.len() < 10 || body.get_u8() != 1 {
            return None;
        }
        let has_purged = body.get_u8() == 1;
        let index = body.get_u64();
        let mut parts = [Bytes::new(), Bytes::new(), Bytes::new()];
        for part in &mut parts {
            if body.len() < 4 {
                return None;
            }
            let length = body.get_u32() as usize;
            if body.len() < length {
                return None;
            }
            *part = body.split_to(length);
        }
        let [vote, purged, committed] = parts;
        Some(Durable { vote, purged_index: has_purged.then_some(index), purged, committed })
    }
}

/// One file of the journal.
pub struct Segment {
    pub number: u64,
    pub file: Arc<dyn File>,
    /// The highest index of an entry in it.
    pub max_index: Option<u64>,
}

/// Where an entry's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub segment: u64,
    pub position: u64,
    pub length: usize,
}

/// One entry of the log. At least one of `place` and `bytes` is there.
#[derive(Clone, Debug)]
pub struct Slot {
    pub index: u64,
    pub place: Option<Place>,
    pub bytes: Option<Bytes>,
}

/// What readers see; shared with the writer.
#[derive(Default)]
pub struct Index {
    pub slots: VecDeque<Slot>,
    pub segments: VecDeque<Segment>,
    pub durable: Durable,
    /// Total of `bytes` in `slots`.
    cached_bytes: usize,
    /// Slots before this one have no bytes.
    first_cached_index: u64,
}

impl Index {
    fn position(&self, index: u64) -> Option<usize> {
        let first = self.slots.front()?.index;
        let position = usize::try_from(index.checked_sub(first)?).ok()?;
        (position < self.slots.len()).then_some(position)
    }

    fn drop_front(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.cached_bytes -= slot.bytes.map_or(0, |bytes| bytes.len());
        }
    }

    fn drop_back(&mut self) {
        if let Some(slot) = self.slots.pop_back() {
            self.cached_bytes -= slot.bytes.map_or(0, |bytes| bytes.len());
            self.first_cached_index = self.first_cached_index.min(slot.index);
        }
    }

    /// Notes where an entry was written, unless it was truncated or rewritten meanwhile.
    pub fn placed(&mut self, index: u64, bytes: &Bytes, place: Place) {
        if let Some(position) = self.position(index) {
            let slot = &mut self.slots[position];
            let same = slot.bytes.as_ref().is_some_and(|own| own.as_ptr() == bytes.as_ptr());
            if same {
                slot.place = Some(place);
            }
        }
        self.evict();
    }

    fn evict(&mut self) {
        while self.cached_bytes > CACHE_BYTES_MAX {
            let Some(first) = self.slots.front().map(|slot| slot.index) else { return };
            self.first_cached_index = self.first_cached_index.max(first);
            let Some(position) = self.position(self.first_cached_index) else { return };
            let slot = &mut self.slots[position];
            if slot.place.is_none() {
                return;
            }
            self.cached_bytes -= slot.bytes.take().map_or(0, |bytes| bytes.len());
            self.first_cached_index += 1;
        }
    }
}

/// The journal of one directory. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    index: Arc<Mutex<Index>>,
    writer: Arc<Writer>,
    pace: Pace,
}

/// Where the journal lives and how it behaves.
pub struct JournalOptions {
    pub directory: PathBuf,
    /// Tells how long writes take.
    pub clock: Arc<dyn Clock>,
    /// A file is closed at this size.
    pub segment_bytes: u64,
    /// Write and sync on a thread of its own, so that a slow disk does not hold up the caller;
    /// otherwise inline, which the simulator needs.
    pub own_thread: bool,
    /// Held as long as anything may still be written.
    pub _lock: Option<Box<dyn Send + Sync>>,
}

impl Journal {
    /// Recovers what is in the directory, which must exist.
    pub fn open(disk: Arc<dyn Disk>, options: JournalOptions) -> io::Result<Journal> {
        let recovered = recovery::recover(&*disk, &options.directory)?;
        let index = Index {
            first_cached_index: recovered.slots.back().map_or(0, |slot| slot.index + 1),
            slots: recovered.slots,
            segments: recovered.segments,
            durable: recovered.durable,
            cached_bytes: 0,
        };
        let index = Arc::new(Mutex::new(index));
        let pace = Pace::new(options.clock.clone());
        let (next, tail) = (recovered.next_sequence, recovered.tail);
        let writer = Writer::start(disk, options, index.clone(), pace.clone(), next, tail)?;
        Ok(Journal { index, writer: Arc::new(writer), pace })
    }

    /// How long writes have lately taken.
    pub fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Whether a directory has files of a journal.
    pub fn exists(disk: &dyn Disk, directory: &Path) -> io::Result<bool> {
        recovery::segment_numbers(disk, directory).map(|numbers| !numbers.is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("journal lock")
    }

    /// The state as given last, durable or not.
    pub fn state(&self) -> Durable {
        self.lock().durable.clone()
    }

    /// The indexes in the log, end exclusive; empty where there is no entry.
    pub fn range(&self) -> Range<u64> {
        let index = self.lock();
        match (index.slots.front(), index.slots.back()) {
            (Some(first), Some(last)) => first.index..last.index + 1,
            _ => 0..0,
        }
    }

    /// Adds entries with indexes that follow the last one.
    pub fn append(&self, entries: Vec<(u64, Bytes)>, on_durable: OnDurable) {
        {
            let mut index = self.lock();
            for (number, bytes) in &entries {
                if let Some(last) = index.slots.back() {
                    assert_eq!(last.index + 1, *number, "an appended entry follows the last one");
                }
                index.cached_bytes += bytes.len();
                let bytes = Some(bytes.clone());
                index.slots.push_back(Slot { index: *number, place: None, bytes });
            }
        }
        self.writer.submit(Operation::Append { entries, on_durable });
    }

    /// Removes entries from index `from` on.
    pub fn truncate(&self, from: u64, on_durable: OnDurable) {
        {
            let mut index = self.lock();
            while index.slots.back().is_some_and(|slot| slot.index >= from) {
                index.drop_back();
            }
        }
        self.writer.submit(Operation::Truncate { from, on_durable });
    }

    /// Changes the state. `on_durable` may be left out for facts that need no sync of their own;
    /// they go out with the next operation.
    pub fn update(&self, change: impl FnOnce(&mut Durable), on_durable: Option<OnDurable>) {
        let state = {
            let mut index = self.lock();
            change(&mut index.durable);
            if let Some(purged) = index.durable.purged_index {
                while index.slots.front().is_some_and(|slot| slot.index <= purged) {
                    index.drop_front();
                }
            }
            index.durable.clone()
        };
        if let Some(on_durable) = on_durable {
            self.writer.submit(Operation::State { state, on_durable });
        }
    }

    /// The entries of a range that the log holds, in order.
    pub fn read(&self, range: Range<u64>) -> io::Result<Vec<Bytes>> {
        enum Found {
            Bytes(Bytes),
            File(Arc<dyn File>, Place),
        }
        let mut found = Vec::new();
        {
            let index = self.lock();
            let Some(first) = index.slots.front().map(|slot| slot.index) else {
                return Ok(Vec::new());
            };
            let start = range.start.max(first) - first;
            let end = range.end.max(first) - first;
            let end = usize::try_from(end).unwrap_or(usize::MAX).min(index.slots.len());
            let start = usize::try_from(start).unwrap_or(usize::MAX).min(end);
            for slot in index.slots.range(start..end) {
                match (&slot.bytes, slot.place) {
                    (Some(bytes), _) => found.push(Found::Bytes(bytes.clone())),
                    (None, Some(place)) => {
                        let segment = index.segments.iter().find(|s| s.number == place.segment);
                        let segment = segment.expect("the file of a kept entry is open");
                        found.push(Found::File(segment.file.clone(), place));
                    }
                    (None, None) => unreachable!("an entry is in memory until it is written"),
                }
            }
        }
        let read = |one| match one {
            Found::Bytes(bytes) => Ok(bytes),
            Found::File(file, place) => {
                let bytes = file.read_bytes_at(place.length, place.position)?;
                if bytes.len() == place.length {
                    Ok(bytes)
                } else {
                    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "journal file is short"))
                }
            }
        };
        found.into_iter().map(read).collect()
    }

    /// Waits until all operations given so far are done and ends the writer's thread.
    pub fn close(&self) {
        self.writer.close();
    }
}
