//! Looking for damage: all batches below the recovery point, a portion at a time.
//!
//! What is not synced yet is only in the page cache, so its turn comes after its sync. A portion is
//! read outside the lock; what it finds counts only if the log has not changed underneath.

use super::PartitionLog;
use crate::cold::ColdFile;
use crate::damage::{Damage, PLACES_MAX};
use crate::epochs::EpochCache;
use crate::names::{DAMAGES, LOG, segment_file};
use crate::removal::gone_is_fine;
use crate::segment::Segment;
use crate::walk::{Walk, WalkError};
use crate::{LogDirError, ReadError};
use env::File;
use env::disk::{Open, read_file, write_file_atomically};
use records::{BatchError, BatchHeader, HEADER_BYTES};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use types::Offset;

/// Where a scrubber stands in a log; the default is its start. It stays good whatever happens to the
/// log, and may be kept for as long as the log is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScrubCursor {
    offset: Offset,
    place: Option<Place>,
}

impl ScrubCursor {
    /// Everything below was looked at.
    pub fn offset(&self) -> Offset {
        self.offset
    }
}

/// A batch's start in a segment, as long as the log's shape is that one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    base: Offset,
    position: u64,
    shape: u64,
}

/// What came of a portion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scrubbed {
    /// Where to go on: after the damage, if there was any.
    pub next: ScrubCursor,
    /// Bytes that were read, for the caller's throttle.
    pub bytes: u64,
    /// Found in this portion; the log knows of it too. At most one a portion.
    pub damage: Option<Damage>,
    /// Everything that is synced by now was looked at. Go on here later, or from the start.
    pub is_at_end: bool,
}

/// A stretch of a segment to be read outside the lock.
pub(crate) struct ScrubPart {
    file: Arc<dyn File>,
    base: Offset,
    position: u64,
    size: u64,
    /// No record of the stretch is below.
    expected: Offset,
    /// Records from here on are not looked at: they are not synced, or of the next segment.
    limit: Offset,
    /// No record of the segment is at or above.
    end: Offset,
    shape: u64,
    log_start: Offset,
    epochs: EpochCache,
    log_dir: PathBuf,
}

enum Stop {
    Paused,
    End,
    Bad(BatchError),
}

/// How far a part was read.
pub(crate) struct ScrubWalked {
    stop: Stop,
    position: u64,
    expected: Offset,
    bytes: u64,
}

const UNFIT: BatchError = BatchError::BadRecord("offsets do not continue the log");
const OTHER_EPOCH: BatchError =
    BatchError::BadRecord("leader epoch is not the log's at its offset");

/// Offsets of a batch are outside its CRC: they are checked by their neighbours.
fn fits(header: &BatchHeader, expected: Offset, end: Offset) -> bool {
    header.base_offset >= expected && header.end_offset() <= end
}

/// The leader epoch of a batch is outside its CRC, too: the log's own epochs tell what it must be. A
/// wrong one would have followers cut records that they share with their leader, or keep others.
/// Logs of old Kafkas have batches that no epoch is known for.
fn fits_epoch(header: &BatchHeader, log_start: Offset, epochs: &EpochCache) -> bool {
    if header.end_offset() <= log_start {
        return true;
    }
    let known = epochs.at(header.base_offset.max(log_start));
    known.is_none_or(|epoch| epoch == header.leader_epoch)
}

impl ScrubPart {
    /// Reads at least one batch, and at most `bytes_max` bytes if that is more. Blocks.
    pub fn walk(&self, bytes_max: u64) -> Result<ScrubWalked, LogDirError> {
        let mut walk = Walk::scan(&self.file, self.position, self.size);
        let mut expected = self.expected;
        let stop = loop {
            let bytes = walk.position() - self.position;
            if expected >= self.limit {
                break Stop::End;
            }
            if bytes > 0 && bytes >= bytes_max {
                break Stop::Paused;
            }
            let position = walk.position();
            match walk.next_checked() {
                Ok(None) => break Stop::End,
                Ok(Some(found)) if !fits(&found.header, expected, self.end) => {
                    return Ok(self.walked(Stop::Bad(UNFIT), position, expected));
                }
                Ok(Some(found)) if found.header.base_offset >= self.limit => break Stop::End,
                Ok(Some(found)) if !fits_epoch(&found.header, self.log_start, &self.epochs) => {
                    return Ok(self.walked(Stop::Bad(OTHER_EPOCH), position, expected));
                }
                Ok(Some(found)) => expected = found.header.end_offset(),
                Err(WalkError::Bad { error, .. }) => break Stop::Bad(error),
                Err(WalkError::Io(error)) => {
                    let doing = format!("scrub segment {}", self.base);
                    return Err(LogDirError::new(&self.log_dir, doing, error));
                }
            }
        };
        Ok(self.walked(stop, walk.position(), expected))
    }

    fn walked(&self, stop: Stop, position: u64, expected: Offset) -> ScrubWalked {
        ScrubWalked { stop, position, expected, bytes: position - self.position }
    }
}

impl PartitionLog {
    /// Changes whenever places in segments do: by truncation and by compaction.
    fn shape(&self) -> u64 {
        self.sync.generation + self.replaced
    }

    /// The stretch that a scrubber reads next; `None` if it is through.
    pub(crate) fn scrub_part(&self, at: ScrubCursor) -> Result<Option<ScrubPart>, LogDirError> {
        self.check_open()?;
        let offset = at.offset.max(self.start_offset);
        if offset >= self.recovery_point {
            return Ok(None);
        }
        let index = self.segment_index(offset);
        let segment = &self.segments[index];
        let same = |place: &Place| place.base == segment.base && place.shape == self.shape();
        // Also below the log's start: from a hint on, it may take several parts to get there.
        let (position, expected) = match at.place.filter(same) {
            Some(place) => (place.position, at.offset),
            None => {
                let hint = segment.position_hint(offset);
                let hint = hint.map_err(|error| self.scrub_failed(error))?;
                (hint, segment.base)
            }
        };
        Ok(Some(ScrubPart {
            file: self.cold_file(segment).map_err(|error| self.scrub_failed(error))?,
            base: segment.base,
            position,
            size: segment.size,
            expected,
            limit: self.recovery_point.min(self.segment_end(index)),
            end: self.segment_end(index),
            shape: self.shape(),
            log_start: self.start_offset,
            epochs: self.epochs.clone(),
            log_dir: self.id.log_dir.clone(),
        }))
    }

    fn cold_file(&self, segment: &Segment) -> io::Result<Arc<dyn File>> {
        let file = self.id.disk.open(segment.log.path(), Open::Read)?;
        Ok(Arc::new(ColdFile::new(file)))
    }

    fn scrub_failed(&self, error: io::Error) -> LogDirError {
        LogDirError::new(&self.id.log_dir, format!("scrub {}", self.id.dir.display()), error)
    }

    /// Takes note of what a scrubber read.
    pub(crate) fn scrubbed(&self, part: &ScrubPart, walked: ScrubWalked) -> Scrubbed {
        let next = ScrubCursor { offset: walked.expected, place: None };
        let mut done = Scrubbed { next, bytes: walked.bytes, damage: None, is_at_end: false };
        let index = self.segment_index(part.base);
        if self.failure.get().is_some()
            || part.shape != self.shape()
            || self.segments[index].base != part.base
        {
            // Cut, compacted or deleted meanwhile: looked at again where it may have changed.
            return done;
        }
        let is_active = index + 1 == self.segments.len();
        let position = walked.position;
        match walked.stop {
            Stop::Paused => {
                let place = Place { base: part.base, position, shape: part.shape };
                done.next.place = Some(place);
            }
            Stop::End if is_active && walked.expected < part.limit && position >= part.size => {
                // What the log took for written (after a clean shutdown nobody looks) is not there.
                let error = BatchError::BadRecord("the segment ends before the log does");
                done.damage = Some(self.damage_from(index, position, walked.expected, error).0);
                done.next.offset = part.limit;
            }
            Stop::End if is_active => done.next.offset = part.limit,
            Stop::End => done.next.offset = self.segment_end(index),
            Stop::Bad(error) => {
                let (damage, after) = self.damage_from(index, position, walked.expected, error);
                done.next.offset = damage.end_offset;
                done.next.place =
                    after.map(|position| Place { base: part.base, position, shape: part.shape });
                done.damage = Some(damage);
            }
        }
        if let Some(damage) = &done.damage {
            self.note_damage(damage.clone());
        }
        done.is_at_end = done.next.offset >= self.recovery_point;
        done
    }

    /// Reads the batch that holds `offset`, and the one after it, and checks them: for somebody who
    /// saw something wrong there. Damage that is found is known to the log from then on. `None`: all
    /// is well, or there is no such record. Reads little (an index interval and two batches).
    pub fn examine(&self, offset: Offset) -> Result<Option<Damage>, LogDirError> {
        self.judge(offset, |header| fits_epoch(header, self.start_offset, &self.epochs))
    }

    /// Takes the batch that holds `offset` for damaged: its leader epoch, which this log believed, is
    /// above that of what its leaders have next.
    pub fn blame_epoch(&self, offset: Offset) -> Result<Option<Damage>, LogDirError> {
        self.judge(offset, |_| false)
    }

    fn judge(
        &self,
        offset: Offset,
        has_right_epoch: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<Damage>, LogDirError> {
        self.check_open()?;
        if offset < self.start_offset || offset >= self.end_offset {
            return Ok(None);
        }
        let index = self.segment_index(offset);
        let segment = &self.segments[index];
        let hint = segment.position_hint(offset).map_err(|error| self.scrub_failed(error))?;
        let file = segment.file().map_err(|error| self.scrub_failed(error))?;
        let mut walk = Walk::scan(&file, hint, segment.size);
        let mut expected = segment.base;
        // A batch that leaves a gap, and is the one that is wrong if the next goes back behind it.
        let mut doubtful = None;
        let mut is_met = false;
        let (position, error) = loop {
            let position = walk.position();
            match walk.next_checked() {
                Ok(Some(found)) if !fits(&found.header, expected, self.segment_end(index)) => {
                    let (before, end) = doubtful.unwrap_or((position, expected));
                    expected = end;
                    break (before, UNFIT);
                }
                Ok(Some(found)) if found.header.last_offset() < offset => {
                    expected = found.header.end_offset();
                }
                Ok(Some(found)) if !has_right_epoch(&found.header) => {
                    break (position, OTHER_EPOCH);
                }
                Ok(Some(found)) if !is_met => {
                    is_met = true;
                    let before = segment.end_before(position).unwrap_or(segment.base);
                    doubtful = (found.header.base_offset > before).then_some((position, before));
                    expected = found.header.end_offset();
                }
                Ok(Some(_) | None) => return Ok(None),
                Err(WalkError::Io(error)) => return Err(self.scrub_failed(error)),
                Err(WalkError::Bad { position, error }) => break (position, error),
            }
        };
        let (damage, _) = self.damage_from(index, position, expected, error);
        self.note_damage(damage.clone());
        Ok(Some(damage))
    }

    /// The same for the batch at a position of a segment.
    pub(crate) fn examine_at(
        &self,
        base: Offset,
        position: u64,
    ) -> Result<Option<Damage>, LogDirError> {
        let index = self.segment_index(base);
        let segment = &self.segments[index];
        if segment.base != base {
            return Ok(None);
        }
        let file = segment.file().map_err(|error| self.scrub_failed(error))?;
        match Walk::scan(&file, position, segment.size).next_checked() {
            Ok(_) => Ok(None),
            Err(WalkError::Bad { position, error }) => {
                Ok(Some(self.damage_met(index, position, error)))
            }
            Err(WalkError::Io(error)) => Err(self.scrub_failed(error)),
        }
    }

    /// What is known to be damaged, by rising offset.
    pub fn damages(&self) -> Vec<Damage> {
        self.damages.list()
    }

    pub(super) fn note_damage(&self, damage: Damage) {
        if self.damages.note(damage.clone()) {
            tracing::error!(partition = %self.id.partition, %damage, "log is damaged");
            self.keep_damages();
        }
    }

    /// So that a restart, which reads no segment, does not serve what is known to be damaged. If it
    /// cannot be written, the next scrub finds the damage again.
    fn keep_damages(&self) {
        let lines = self.damages.list().into_iter().map(|damage| format!("{}\n", damage.offset));
        let text: String = lines.collect();
        let path = self.id.dir.join(DAMAGES);
        if let Err(error) = write_file_atomically(&*self.id.disk, &path, text.as_bytes()) {
            tracing::warn!(path = %path.display(), %error, "damage is not kept for the next start");
        }
    }

    /// Looks again, at opening, where damage was found before.
    pub(super) fn recall_damages(&self) -> io::Result<()> {
        let path = self.id.dir.join(DAMAGES);
        let bytes = read_file(&*self.id.disk, &path)?;
        let text = String::from_utf8_lossy(&bytes);
        for offset in text.lines().filter_map(|line| line.parse().ok()).take(PLACES_MAX) {
            if let Err(error) = self.examine(Offset(offset)) {
                tracing::warn!(partition = %self.id.partition, %error, "cannot look at damage again");
            }
        }
        if self.damages.is_empty() {
            // Cut off or deleted since.
            gone_is_fine(self.id.disk.remove_file(&path))?;
        }
        Ok(())
    }

    /// Damage after all that is below `expected`, for somebody who refuses the log because of it.
    pub(super) fn damage_at(
        &self,
        index: usize,
        position: u64,
        expected: Offset,
        error: BatchError,
    ) -> Damage {
        self.damage_from(index, position, expected, error).0
    }

    /// Damage met by a walk over headers, which is noted.
    pub(super) fn damage_met(&self, index: usize, position: u64, error: BatchError) -> Damage {
        let segment = &self.segments[index];
        let expected = segment.end_before(position).unwrap_or(segment.base);
        let (damage, _) = self.damage_from(index, position, expected, error);
        self.note_damage(damage.clone());
        damage
    }

    /// How far damage at `position` reaches, where no record before it is at or above `expected`:
    /// over one batch, if its header can be believed, else to the end of its segment. With the
    /// position of the batch after it.
    fn damage_from(
        &self,
        index: usize,
        position: u64,
        expected: Offset,
        error: BatchError,
    ) -> (Damage, Option<u64>) {
        let file = segment_file(&self.id.dir, self.segments[index].base, LOG);
        let header = self.believable(index, position, expected);
        let (offset, end_offset) = match &header {
            Some(header) => (header.base_offset, header.end_offset()),
            None => (expected, self.segment_end(index).max(expected.plus(1))),
        };
        let after = header.map(|header| position + header.size() as u64);
        (Damage { offset, end_offset, file, position, error }, after)
    }

    /// The header of a batch whose CRC is wrong, if another batch, or the segment's end, is where it
    /// says that it ends.
    fn believable(&self, index: usize, position: u64, expected: Offset) -> Option<BatchHeader> {
        let segment = &self.segments[index];
        let header_at = |position| {
            let bytes = segment.file().ok()?.read_bytes_at(HEADER_BYTES, position).ok()?;
            BatchHeader::parse(&bytes).ok()
        };
        let header = header_at(position)?;
        let next = position + header.size() as u64;
        let end = self.segment_end(index);
        let follows = match next.cmp(&segment.size) {
            std::cmp::Ordering::Less => header_at(next)?.base_offset >= header.end_offset(),
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => false,
        };
        (follows && fits(&header, expected, end)).then_some(header)
    }

    /// The damage that a read from `offset` would start in.
    pub(super) fn check_damage(&self, offset: Offset) -> Result<Option<Offset>, ReadError> {
        match self.damages.first_from(offset) {
            None => Ok(None),
            Some(damage) if damage.offset <= offset => {
                Err(ReadError::Damaged { offset: damage.offset, error: damage.error })
            }
            Some(damage) => Ok(Some(damage.offset)),
        }
    }
}
