//! Reads that are planned under the log's lock and run outside it.

use crate::segment::Segment;
use crate::walk::{Walk, WalkError, read_batch};
use crate::{LogDirError, ReadError};
use bytes::{Bytes, BytesMut};
use env::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{LeaderEpoch, Offset, Timestamp};

/// What a reader that gets a stretch of batches could wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behind {
    /// Nothing can be read there yet, or it is not known.
    Nothing,
    /// A batch of the same segment, for which there was no room.
    Batch,
    /// The next segment: a read never crosses over.
    Segment,
}

/// A stretch of whole batches in one segment file.
///
/// The file is written at its end only, and lives for as long as the plan does, whatever becomes of
/// its name (retention, compaction, deletion): the plan's bytes are the log's for ever, unless a
/// truncation cuts the file below them and other records take their place. That is what
/// [`ReadPlan::is_intact`] finds out: bytes that were read before it said so are the planned ones.
///
/// What is planned below a high watermark is not cut as long as leaders are elected cleanly: every
/// record below it is held by the whole ISR; a clean election takes its leader from there; and a
/// follower cuts only what lies above the place where its epochs and the leader's part, which is at
/// or above every watermark that either has told. An unclean election loses records that were
/// promised, these among them.
pub struct ReadPlan {
    file: Arc<dyn File>,
    start_offset: Offset,
    range: Range<u64>,
    behind: Behind,
    /// Of the segment: how often its file was cut, and how often it had been at planning.
    cuts: Arc<AtomicU64>,
    cuts_planned: u64,
}

impl ReadPlan {
    pub(crate) fn new(
        segment: &Segment,
        start_offset: Offset,
        range: Range<u64>,
    ) -> io::Result<ReadPlan> {
        let file = match range.is_empty() {
            // An idle log's file need not be opened for that.
            true => Arc::new(Nothing),
            false => segment.file()?,
        };
        let cuts = segment.cuts.clone();
        let cuts_planned = cuts.load(Ordering::SeqCst);
        let behind = Behind::Nothing;
        Ok(ReadPlan { file, start_offset, range, behind, cuts, cuts_planned })
    }

    pub(crate) fn with_behind(self, behind: Behind) -> ReadPlan {
        ReadPlan { behind, ..self }
    }

    /// What could be read behind it at planning.
    pub fn behind(&self) -> Behind {
        self.behind
    }

    /// Reads the batches: whole ones, of which the first holds the asked offset (its base offset
    /// may be lower). Empty if the plan is, or if the log was truncated meanwhile.
    pub fn read(&self) -> io::Result<Bytes> {
        if self.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = self.file.read_bytes_at(self.len(), self.range.start)?;
        Ok(if bytes.len() == self.len() && self.is_intact() { bytes } else { Bytes::new() })
    }

    /// The same if all is in memory; `None` if it is not, or if the log was truncated meanwhile.
    pub fn read_now(&self) -> io::Result<Option<Bytes>> {
        let mut bytes = BytesMut::zeroed(self.len());
        let count = self.file.read_at_now(&mut bytes, self.range.start)?;
        let is_whole = count == Some(self.len()) && self.is_intact();
        Ok(is_whole.then(|| bytes.freeze()))
    }

    /// Whether the file still holds what was planned.
    pub fn is_intact(&self) -> bool {
        self.cuts.load(Ordering::SeqCst) == self.cuts_planned
    }

    /// Whether it reads this segment, as it is now.
    pub(crate) fn is_of(&self, segment: &Segment) -> bool {
        Arc::ptr_eq(&self.cuts, &segment.cuts) && self.is_intact()
    }

    pub(crate) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The file, for a caller that moves the bytes another way (sendfile, mmap). That of an empty plan
    /// is empty.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where in the file the batches start.
    pub fn position(&self) -> u64 {
        self.range.start
    }

    /// Bytes that `read` returns.
    pub fn len(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The offset that was asked for.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }
}

/// What an empty plan reads.
struct Nothing;

impl File for Nothing {
    fn write_all_at(&self, _buf: &[u8], _position: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&self, _buf: &mut [u8], _position: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a timestamp is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

pub(crate) enum SearchGoal {
    AtOrAfter(Timestamp),
    Exactly(Timestamp),
}

/// A stretch of a segment, from a batch's start.
pub(crate) struct SearchPart {
    pub file: Arc<dyn File>,
    pub position: u64,
    pub end: u64,
}

/// A search for a timestamp. Reads and may decompress batches, so it runs outside the lock.
pub struct TimestampSearch {
    parts: Vec<SearchPart>,
    goal: SearchGoal,
    start_offset: Offset,
    log_dir: PathBuf,
}

/// Most bytes that one batch may decompress to while its records' timestamps are looked at.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

impl TimestampSearch {
    pub(crate) fn new(
        parts: Vec<SearchPart>,
        goal: SearchGoal,
        start_offset: Offset,
        log_dir: PathBuf,
    ) -> TimestampSearch {
        TimestampSearch { parts, goal, start_offset, log_dir }
    }

    /// The first record that fits; `None` if there is none.
    pub fn run(self) -> Result<Option<TimestampOffset>, ReadError> {
        for part in &self.parts {
            if let Some(found) = self.search(part).map_err(|error| self.failed(error))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn failed(&self, error: WalkError) -> ReadError {
        match error {
            WalkError::Bad { error, .. } => ReadError::Damaged { offset: self.start_offset, error },
            WalkError::Io(error) => {
                ReadError::Io(LogDirError::new(&self.log_dir, "search a timestamp", error))
            }
        }
    }

    fn search(&self, part: &SearchPart) -> Result<Option<TimestampOffset>, WalkError> {
        let mut walk = Walk::headers(&part.file, part.position, part.end);
        let target = match self.goal {
            SearchGoal::AtOrAfter(timestamp) | SearchGoal::Exactly(timestamp) => timestamp,
        };
        while let Some(found) = walk.next()? {
            let header = &found.header;
            if header.max_timestamp < target || header.last_offset() < self.start_offset {
                continue;
            }
            let bad = |error| WalkError::Bad { position: found.position, error };
            let batch = read_batch(&part.file, &found)?;
            for record in batch.records(DECOMPRESSED_BYTES_MAX).map_err(bad)? {
                let record = record.map_err(bad)?;
                if record.offset >= self.start_offset && self.fits(record.timestamp) {
                    return Ok(Some(TimestampOffset {
                        timestamp: record.timestamp,
                        offset: record.offset,
                        leader_epoch: header.leader_epoch,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn fits(&self, timestamp: Timestamp) -> bool {
        match self.goal {
            SearchGoal::AtOrAfter(target) => timestamp >= target,
            SearchGoal::Exactly(target) => timestamp == target,
        }
    }
}
