//! One segment: a `.log` file and its indexes.
//!
//! Promises: `size` bytes of the file are whole batches in rising offsets, all at or above `base`;
//! index lookups are checked against the log and fall back to a walk from the start.

use crate::config::LogConfig;
use crate::index::{Entry, EntryIndex, OffsetEntry, TimeEntry};
use crate::names::{INDEX, LOG, TIME_INDEX, TRANSACTION_INDEX, segment_file, with_suffix};
use crate::open_files::{LazyFile, OpenFiles};
use crate::transaction_index::TransactionIndex;
use crate::walk::{Found, Walk, WalkError};
use env::{Disk, File, disk::Open};
use records::BatchHeader;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Offset, Timestamp};

/// The largest timestamp of a segment, and the last offset of the first batch that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxTimestamp {
    pub timestamp: Timestamp,
    pub offset: Offset,
}

pub struct Segment {
    pub base: Offset,
    pub log: LazyFile,
    pub size: u64,
    pub offsets: EntryIndex<OffsetEntry>,
    pub times: EntryIndex<TimeEntry>,
    pub transactions: TransactionIndex,
    /// `None`: not known yet; see `max_timestamp`.
    max_timestamp: Option<MaxTimestamp>,
    bytes_since_index: u64,
    /// Max timestamp of the first batch, from which `segment.ms` counts.
    first_timestamp: Option<Timestamp>,
    /// The node's time at the last append (as the file system has it, after opening): the age of a segment whose records are
    /// dated in the future, or not at all.
    pub touched: Timestamp,
    /// How often the file was cut, told to the plans that read it; see [`crate::ReadPlan`].
    pub cuts: Arc<AtomicU64>,
}

/// Where segments are made and opened.
pub struct SegmentDir<'a> {
    pub disk: &'a Arc<dyn Disk>,
    pub dir: &'a Path,
    pub files: &'a OpenFiles,
}

impl SegmentDir<'_> {
    fn lazy(&self, path: PathBuf) -> LazyFile {
        LazyFile::new(self.disk, path, Open::Write, self.files)
    }

    /// A new, empty segment; leftovers of the same name are emptied.
    pub fn create(&self, base: Offset, now: Timestamp) -> io::Result<Segment> {
        self.create_aside(base, "", now)
    }

    /// The same with names that end in `suffix`.
    pub fn create_aside(&self, base: Offset, suffix: &str, now: Timestamp) -> io::Result<Segment> {
        let path = |kind| with_suffix(&segment_file(self.dir, base, kind), suffix);
        let is_leftover = !self.disk.open(&path(LOG), Open::Create)?.is_empty()?;
        let log = self.lazy(path(LOG));
        if is_leftover {
            log.for_writing()?.set_len(0)?;
        }
        Ok(Segment {
            base,
            log,
            size: 0,
            offsets: EntryIndex::empty(self.disk, path(INDEX), self.files)?,
            times: EntryIndex::empty(self.disk, path(TIME_INDEX), self.files)?,
            transactions: TransactionIndex::empty(self.disk.clone(), path(TRANSACTION_INDEX))?,
            max_timestamp: Some(MaxTimestamp { timestamp: Timestamp::NONE, offset: base }),
            bytes_since_index: 0,
            first_timestamp: None,
            touched: now,
            cuts: Arc::default(),
        })
    }

    /// A segment as the files have it; nothing is opened or read.
    pub fn open(&self, base: Offset, now: Timestamp) -> io::Result<Segment> {
        let path = |kind| segment_file(self.dir, base, kind);
        let found = self.disk.stat(&path(LOG))?;
        // A restart makes nothing younger.
        let touched = found.modified.map_or(now, |modified| modified.min(now));
        let transactions = TransactionIndex::existing(self.disk.clone(), path(TRANSACTION_INDEX));
        Ok(Segment {
            base,
            size: found.len,
            log: self.lazy(path(LOG)),
            offsets: EntryIndex::existing(self.disk, path(INDEX), self.files),
            times: EntryIndex::existing(self.disk, path(TIME_INDEX), self.files),
            transactions,
            max_timestamp: None,
            bytes_since_index: 0,
            first_timestamp: None,
            touched,
            cuts: Arc::default(),
        })
    }
}

impl Segment {
    /// The `.log` file, for reading.
    pub fn file(&self) -> io::Result<Arc<dyn File>> {
        self.log.get()
    }

    /// The files, which were made aside and synced, bear the log's own names now.
    pub fn renamed(&mut self, dir: &Path) {
        self.log.set_path(segment_file(dir, self.base, LOG));
        self.offsets.set_path(segment_file(dir, self.base, INDEX));
        self.times.set_path(segment_file(dir, self.base, TIME_INDEX));
        self.transactions.set_path(segment_file(dir, self.base, TRANSACTION_INDEX));
        self.synced();
    }

    /// All that was written has been synced: the files may be closed. True if some had been written.
    pub fn synced(&mut self) -> bool {
        let log = self.log.synced();
        let indexes = self.offsets.synced() | self.times.synced();
        self.transactions.close();
        log | indexes
    }

    /// Forgets the indexes, to be filled again by `note`.
    pub fn reset_indexes(&mut self, disk: &Arc<dyn Disk>, files: &OpenFiles) -> io::Result<()> {
        self.offsets = EntryIndex::empty(disk, self.offsets.path().to_owned(), files)?;
        self.times = EntryIndex::empty(disk, self.times.path().to_owned(), files)?;
        self.transactions =
            TransactionIndex::empty(disk.clone(), self.transactions.path().clone())?;
        self.max_timestamp = Some(MaxTimestamp { timestamp: Timestamp::NONE, offset: self.base });
        self.bytes_since_index = 0;
        self.first_timestamp = None;
        Ok(())
    }

    fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset.0 - self.base.0).expect("offsets of a segment fit 31 bits")
    }

    pub fn fits(&self, last_offset: Offset) -> bool {
        i32::try_from(last_offset.0 - self.base.0).is_ok()
    }

    /// Takes note of a batch that was written at `position`, the end of what was noted before.
    pub fn note(
        &mut self,
        header: &BatchHeader,
        position: u64,
        index_interval: u32,
    ) -> io::Result<()> {
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        let mut max = self.max_timestamp()?;
        if header.max_timestamp > max.timestamp && header.records_count != 0 {
            max = MaxTimestamp { timestamp: header.max_timestamp, offset: header.last_offset() };
            self.max_timestamp = Some(max);
        }
        if self.bytes_since_index > u64::from(index_interval) {
            let relative = self.relative(header.last_offset());
            self.offsets.push(OffsetEntry { relative, position: position as u32 })?;
            self.note_time(max)?;
            self.bytes_since_index = 0;
        }
        self.bytes_since_index += header.size() as u64;
        Ok(())
    }

    fn note_time(&mut self, max: MaxTimestamp) -> io::Result<()> {
        if max.timestamp.0 < 0 || self.times.last()?.is_some_and(|e| e.timestamp >= max.timestamp) {
            return Ok(());
        }
        let relative = self.relative(max.offset);
        self.times.push(TimeEntry { timestamp: max.timestamp, relative })
    }

    /// The largest timestamp (`Timestamp::NONE` if there is none), from memory, else from the time
    /// index and the batches after its last entry.
    pub fn max_timestamp(&mut self) -> io::Result<MaxTimestamp> {
        if let Some(max) = self.max_timestamp {
            return Ok(max);
        }
        let max = self.find_max_timestamp()?;
        self.max_timestamp = Some(max);
        Ok(max)
    }

    /// Time of the newest record; where records are not dated, or in the future, the time at which
    /// this node saw the segment change: no date pins data for ever.
    pub fn newest(&mut self, now: Timestamp) -> io::Result<Timestamp> {
        let newest = self.max_timestamp()?.timestamp;
        Ok(if newest.0 < 0 || newest > now { self.touched } else { newest })
    }

    /// Time of the first batch, likewise.
    pub fn oldest(&mut self, now: Timestamp) -> io::Result<Timestamp> {
        let first = self.first_timestamp()?.filter(|first| first.0 >= 0 && *first <= now);
        Ok(first.unwrap_or(self.touched))
    }

    /// Of the larger index.
    pub fn index_bytes(&self) -> io::Result<u64> {
        let offsets = self.offsets.len()? * OffsetEntry::BYTES as u64;
        Ok(offsets.max(self.times.len()? * TimeEntry::BYTES as u64))
    }

    fn first_timestamp(&mut self) -> io::Result<Option<Timestamp>> {
        if self.first_timestamp.is_none() && self.size > 0 {
            let first = sound(Walk::headers(&self.file()?, 0, self.size).next())?.flatten();
            self.first_timestamp = first.map(|found| found.header.max_timestamp);
        }
        Ok(self.first_timestamp)
    }

    fn find_max_timestamp(&self) -> io::Result<MaxTimestamp> {
        let mut max = MaxTimestamp { timestamp: Timestamp::NONE, offset: self.base };
        let mut position = 0;
        if let Some(entry) = self.times.last()? {
            let offset = self.base.plus(i64::from(entry.relative));
            max = MaxTimestamp { timestamp: entry.timestamp, offset };
            position = self.position_hint(offset)?;
        }
        let mut walk = Walk::headers(&self.file()?, position, self.size);
        // Damage is found by whoever reads the records.
        while let Some(found) = sound(walk.next())?.flatten() {
            // What compaction emptied has no record of that time any more.
            if found.header.max_timestamp > max.timestamp && found.header.records_count != 0 {
                let (timestamp, offset) = (found.header.max_timestamp, found.header.last_offset());
                max = MaxTimestamp { timestamp, offset };
            }
        }
        Ok(max)
    }

    /// Time since the first batch, by the records' time where they have one, as `segment.ms` counts.
    pub fn age_ms(&mut self, now: Timestamp, newest: Timestamp) -> io::Result<i64> {
        Ok(match self.first_timestamp()? {
            Some(first) if first.0 >= 0 => newest.0 - first.0,
            _ => now.0 - self.touched.0,
        })
    }

    /// A batch position at or before the batch that holds `offset`; 0 if the index has none or
    /// does not agree with the log.
    pub fn position_hint(&self, offset: Offset) -> io::Result<u64> {
        let entry =
            self.offsets.last_where(|entry| self.base.0 + i64::from(entry.relative) <= offset.0)?;
        self.checked_hint(entry)
    }

    fn checked_hint(&self, entry: Option<OffsetEntry>) -> io::Result<u64> {
        let Some(entry) = entry else {
            return Ok(0);
        };
        let position = u64::from(entry.position);
        if position >= self.size {
            return Ok(0);
        }
        let found = sound(Walk::headers(&self.file()?, position, self.size).next())?.flatten();
        let offset = self.base.plus(i64::from(entry.relative));
        Ok(match found {
            Some(found) if found.header.last_offset() == offset => position,
            _ => 0,
        })
    }

    /// The first batch whose last offset is at or after `offset`, looked for from `hint` or the index.
    pub fn find(&self, offset: Offset, hint: Option<u64>) -> Result<Option<Found>, WalkError> {
        let position = match hint {
            Some(position) => position,
            None => self.position_hint(offset)?,
        };
        let mut walk = Walk::headers(&self.file()?, position, self.size);
        while let Some(found) = walk.next()? {
            if found.header.last_offset() >= offset {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The end of the last batch that starts at or after `start` and ends at or before `limit`,
    /// with no record at or after `upper`; `start` if there is none. Ends before damage: whoever reads
    /// on from there learns of it.
    pub fn boundary(&self, start: u64, limit: u64, upper: Offset) -> Result<u64, WalkError> {
        let entry = self.offsets.last_where(|entry| {
            u64::from(entry.position) <= limit && self.base.0 + i64::from(entry.relative) < upper.0
        })?;
        let mut walk =
            Walk::headers(&self.file()?, self.checked_hint(entry)?.max(start), self.size);
        let mut end = walk.position();
        while let Some(found) = sound(walk.next())?.flatten() {
            if found.end() > limit || found.header.end_offset() > upper {
                break;
            }
            end = found.end();
        }
        Ok(end)
    }

    /// The end offset of the batch that ends at `position`; the base if that is the start.
    pub fn end_before(&self, position: u64) -> Result<Offset, WalkError> {
        let entry = self.offsets.last_where(|entry| u64::from(entry.position) < position)?;
        let mut walk = Walk::headers(&self.file()?, self.checked_hint(entry)?, position);
        let mut end = self.base;
        while let Some(found) = walk.next()? {
            end = found.header.end_offset();
        }
        Ok(end)
    }

    /// Cuts the file at a batch boundary, the indexes with it.
    pub fn truncate(&mut self, position: u64, offset: Offset) -> io::Result<()> {
        // Before the bytes go: whoever reads others afterwards finds the count changed.
        self.cuts.fetch_add(1, Ordering::SeqCst);
        self.log.for_writing()?.set_len(position)?;
        self.size = position;
        let base = self.base.0;
        self.offsets.truncate(|entry| {
            base + i64::from(entry.relative) < offset.0 && u64::from(entry.position) < position
        })?;
        self.times.truncate(|entry| base + i64::from(entry.relative) < offset.0)?;
        self.transactions.truncate(offset)?;
        self.max_timestamp = None;
        self.bytes_since_index = 0;
        if position == 0 {
            self.first_timestamp = None;
        }
        Ok(())
    }

    /// Completes the indexes of a segment that gets no more batches (or is closed).
    pub fn seal(&mut self) -> io::Result<()> {
        let max = self.max_timestamp()?;
        if self.size > 0 {
            self.note_time(max)?;
        }
        self.offsets.write_tail()?;
        self.times.write_tail()
    }

    /// Whether a batch must go to a new segment.
    pub fn is_full(
        &mut self,
        config: &LogConfig,
        batch: &BatchHeader,
        end: Placement,
    ) -> io::Result<bool> {
        if self.size == 0 {
            return Ok(!self.fits(end.last_offset));
        }
        let limit_ms = config.roll_after_ms().saturating_sub(end.jitter_ms);
        Ok(self.size + batch.size() as u64 > u64::from(config.segment_bytes)
            || !self.fits(end.last_offset)
            || self.age_ms(end.now, batch.max_timestamp)? > limit_ms
            || self.offsets.is_full(config.index_bytes_max)?
            || self.times.is_full(config.index_bytes_max)?)
    }
}

/// Where and when a batch is about to be appended.
#[derive(Clone, Copy)]
pub struct Placement {
    pub last_offset: Offset,
    pub now: Timestamp,
    pub jitter_ms: i64,
}

/// Takes damage as "nothing there", for lookups whose answer is a hint.
pub fn sound<T>(result: Result<T, WalkError>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(WalkError::Bad { .. }) => Ok(None),
        Err(WalkError::Io(error)) => Err(error),
    }
}
