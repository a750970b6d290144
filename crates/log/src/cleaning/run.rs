//! One compaction of one log.
//!
//! First the keys of the dirty part go into the map, until its end or until the map is full; then
//! every segment from the start of the log up to there is written anew, a portion at a time, and
//! takes the old ones' place. The log goes on meanwhile; its lock is held for moments.

use super::filter::{Filter, FilterRules, LastBatch};
use super::offset_map::{KeyHash, OffsetMap};
use super::reader::{BatchReader, BufferedBatch};
use super::transactions::Transactions;
use crate::error::is_no_space;
use crate::names::{CLEANED, SEGMENT_FILES, segment_file, with_suffix};
use crate::open_files::OpenFiles;
use crate::partition::{Replacement, Source, SwapStep};
use crate::removal::gone_is_fine;
use crate::segment::{Segment, SegmentDir};
use crate::walk::WalkError;
use crate::{AbortedTransaction, LogDirError, LogHandle};
use bytes::Bytes;
use env::{Disk, File};
use records::{BatchError, BatchHeader, Compression, HEADER_BYTES, RawRecords, decompress};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use types::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// How to compact.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CompactOptions {
    /// For the map of keys (`log.cleaner.dedupe.buffer.size`, a thread's share).
    pub map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`
    pub map_load: f64,
    /// Read and written at once (`log.cleaner.io.buffer.size`, a thread's share).
    pub io_bytes: usize,
    /// Random: whoever knows it could choose keys that are taken for one.
    pub seed: [u64; 2],
}

/// Told of the bytes read or written, it may wait (a throttle); `Break` ends the run.
pub type Pace<'a> = &'a dyn Fn(u64) -> ControlFlow<()>;

/// What a run did.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CompactReport {
    /// What lies below has been compacted.
    pub cleaned_to: Offset,
    /// Read for the map of keys.
    pub map_bytes: u64,
    /// Of the segments that were written anew.
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub records_read: u64,
    pub records_kept: u64,
    /// Dropped, since they have no key.
    pub keyless: u64,
    pub segments_before: usize,
    pub segments_after: usize,
    /// Share of the map's slots that was used.
    pub map_utilization: f64,
}

/// Why a run ended early. What it had done by then holds.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error("compaction was told to stop")]
    Stopped,
    /// The log was cut, closed or removed meanwhile.
    #[error("log changed while it was compacted")]
    Changed,
    /// Where it is real (and not only beyond what compaction can do), the log knows of it now.
    #[error("segment {base} is damaged at position {position}: {error}")]
    Damaged { base: Offset, position: u64, error: BatchError },
    /// The keys of one batch do not fit.
    #[error("log.cleaner.dedupe.buffer.size is too small for the batch at offset {0}")]
    MapTooSmall(Offset),
    #[error("no space left for the compacted segment: {0}")]
    NoSpace(io::Error),
    #[error("log directory {0}")]
    Io(LogDirError),
}

impl From<LogDirError> for CompactError {
    fn from(error: LogDirError) -> CompactError {
        match error.is_closed() {
            true => CompactError::Changed,
            false => CompactError::Io(error),
        }
    }
}

/// What a run needs of its log, taken under the lock.
pub struct CleaningJob {
    pub disk: Arc<dyn Disk>,
    pub files: OpenFiles,
    pub log_dir: PathBuf,
    pub dir: PathBuf,
    pub generation: u64,
    pub first_dirty: Offset,
    pub until: Offset,
    /// Segments from the start of the log on, in portions.
    pub groups: Vec<Vec<Source>>,
    /// Of the record before the first segment.
    pub epoch_before: LeaderEpoch,
    pub producers: BTreeMap<ProducerId, LastBatch>,
    /// Those that have records below `until`.
    pub aborted: Vec<AbortedTransaction>,
    pub delete_retention_ms: i64,
    pub index_interval_bytes: u32,
    pub now: Timestamp,
}

struct Run<'a> {
    job: &'a CleaningJob,
    options: &'a CompactOptions,
    pace: Pace<'a>,
    report: CompactReport,
    buffer: Vec<u8>,
    out: Vec<u8>,
    keys: Vec<(KeyHash, Offset)>,
}

/// Compacts what is due of a log. Blocks.
pub fn compact(
    log: &LogHandle,
    now: Timestamp,
    options: &CompactOptions,
    pace: Pace<'_>,
) -> Result<CompactReport, CompactError> {
    let job = log.lock().cleaning_job(now)?;
    let mut run = Run {
        job: &job,
        options,
        pace,
        report: CompactReport { cleaned_to: job.first_dirty, ..CompactReport::default() },
        buffer: Vec::new(),
        out: Vec::new(),
        keys: Vec::new(),
    };
    if job.until <= job.first_dirty {
        return Ok(run.report);
    }
    match run.run(log) {
        Ok(()) => Ok(run.report),
        // What was cut off while it was read is no damage.
        Err(CompactError::Damaged { base, position, error }) => {
            let log = log.lock();
            if !log.is_generation(job.generation) {
                return Err(CompactError::Changed);
            }
            log.examine_at(base, position)?;
            Err(CompactError::Damaged { base, position, error })
        }
        Err(error) => Err(error),
    }
}

impl Run<'_> {
    fn run(&mut self, log: &LogHandle) -> Result<(), CompactError> {
        let job = self.job;
        let (map, map_end) = self.build_map()?;
        let rules = FilterRules {
            map,
            map_end,
            now: job.now,
            delete_retention_ms: job.delete_retention_ms,
            producers: job.producers.clone(),
        };
        let transactions = Transactions::new(job.aborted.clone());
        let mut filter = Filter::new(rules, transactions, job.epoch_before);
        self.report.map_utilization = filter.map_utilization();
        let portions = job.groups.iter().filter(|group| group[0].base < map_end);
        for sources in portions {
            let written = self.portion(log, sources, &mut filter);
            let counts = filter.counts();
            self.report.records_read = counts.records_read;
            self.report.records_kept = counts.records_kept;
            self.report.keyless = counts.keyless;
            if written.is_err() {
                self.remove_cleaned(sources[0].base);
            }
            written?;
        }
        log.lock().complete_compaction(job.generation, map_end);
        self.report.cleaned_to = map_end;
        Ok(())
    }

    fn paced(&self, bytes: usize) -> Result<(), CompactError> {
        if bytes > 0 && (self.pace)(bytes as u64).is_break() {
            return Err(CompactError::Stopped);
        }
        Ok(())
    }

    fn failed(&self, doing: &str, error: io::Error) -> CompactError {
        if is_no_space(&error) {
            return CompactError::NoSpace(error);
        }
        // A partition that is being removed has no directory any more.
        if error.kind() == io::ErrorKind::NotFound {
            return CompactError::Changed;
        }
        let doing = format!("{doing} in {}", self.job.dir.display());
        CompactError::Io(LogDirError::new(&self.job.log_dir, doing, error))
    }

    fn unread(&self, source: &Source, error: WalkError) -> CompactError {
        match error {
            WalkError::Bad { position, error } => {
                CompactError::Damaged { base: source.base, position, error }
            }
            WalkError::Io(error) => self.failed("read a segment", error),
        }
    }

    fn open(&self, source: &Source) -> Result<Arc<dyn File>, CompactError> {
        source.open(&*self.job.disk).map_err(|error| self.failed("open a segment", error))
    }

    /// The newest offsets of the keys from the first dirty offset on, up to the offset returned.
    fn build_map(&mut self) -> Result<(OffsetMap, Offset), CompactError> {
        let (job, options) = (self.job, self.options);
        let keys = (job.until.0 - job.first_dirty.0).unsigned_abs();
        let mut map = OffsetMap::new(keys, options.map_bytes, options.map_load, options.seed);
        let open = |e: &&AbortedTransaction| e.last_offset >= job.first_dirty;
        let aborted = job.aborted.iter().filter(open).copied().collect();
        let mut transactions = Transactions::new(aborted);
        let mut keys = std::mem::take(&mut self.keys);
        let mut map_end = job.first_dirty;
        let dirty = |source: &&Source| source.end > job.first_dirty && source.base < job.until;
        for source in job.groups.iter().flatten().filter(dirty) {
            let mut reader = BatchReader::new(source, self.open(source)?, 0, options.io_bytes);
            loop {
                let next = reader.next(&mut self.buffer);
                let (batch, read) = next.map_err(|error| self.unread(source, error))?;
                self.report.map_bytes += read as u64;
                self.paced(read)?;
                let Some(BufferedBatch { header, bytes }) = batch else {
                    break;
                };
                if header.last_offset() < job.first_dirty {
                    continue;
                }
                let bytes = &self.buffer[bytes];
                keys.clear();
                let hashed = hash_batch(&map, &mut transactions, &header, bytes, &mut keys);
                let (base, position) = (source.base, reader.position() - header.size() as u64);
                hashed.map_err(|error| CompactError::Damaged { base, position, error })?;
                let dirty = keys.iter().filter(|(_, offset)| *offset >= job.first_dirty);
                if !dirty.fold(true, |fits, (key, offset)| fits && map.put(*key, *offset)) {
                    return match map_end > job.first_dirty {
                        true => Ok((map, map_end)),
                        false => Err(CompactError::MapTooSmall(header.base_offset)),
                    };
                }
                map_end = header.end_offset();
            }
            map_end = map_end.max(source.end);
        }
        Ok((map, map_end))
    }

    /// Writes one portion's new segment and puts it in its place.
    fn portion(
        &mut self,
        log: &LogHandle,
        sources: &[Source],
        filter: &mut Filter,
    ) -> Result<(), CompactError> {
        let job = self.job;
        let touched = sources.iter().map(|s| s.touched).max().unwrap_or(job.now);
        let here = SegmentDir { disk: &job.disk, dir: &job.dir, files: &job.files };
        let made = here.create_aside(sources[0].base, CLEANED, touched);
        let mut new = made.map_err(|error| self.failed("make a segment", error))?;
        let mut changed = sources.len() > 1;
        for (index, source) in sources.iter().enumerate() {
            let last = index + 1 == sources.len();
            changed |= self.copy(source, last, filter, &mut new)?;
        }
        self.flush(&mut new)?;
        let before: u64 = sources.iter().map(|source| source.size).sum();
        self.report.read_bytes += before;
        self.report.segments_before += sources.len();
        self.report.segments_after += 1;
        let ended = filter.take_ended();
        if !changed {
            self.remove_cleaned(sources[0].base);
            return Ok(());
        }
        self.report.written_bytes += new.size;
        for transaction in ended {
            let pushed = new.transactions.push(transaction);
            pushed.map_err(|error| self.failed("write an index", error))?;
        }
        self.sync(&mut new).map_err(|error| self.failed("sync a segment", error))?;
        let sources = sources.iter().map(|source| (source.base, source.size)).collect();
        self.swap(log, Replacement { segment: new, sources, generation: job.generation })
    }

    /// Copies what stays of a segment; whether anything is different.
    fn copy(
        &mut self,
        source: &Source,
        ends_portion: bool,
        filter: &mut Filter,
        new: &mut Segment,
    ) -> Result<bool, CompactError> {
        let mut reader = BatchReader::new(source, self.open(source)?, 0, self.options.io_bytes);
        let mut changed = false;
        loop {
            let next = reader.next(&mut self.buffer);
            let (batch, read) = next.map_err(|error| self.unread(source, error))?;
            self.paced(read)?;
            let Some(BufferedBatch { header, bytes }) = batch else {
                return Ok(changed);
            };
            let ends = ends_portion && reader.is_at_end();
            let position = new.size + self.out.len() as u64;
            let kept = filter.batch(&header, &self.buffer[bytes], ends, &mut self.out);
            let (base, read_at) = (source.base, reader.position() - header.size() as u64);
            let bad = |error| CompactError::Damaged { base, position: read_at, error };
            let kept = kept.map_err(bad)?;
            changed |= kept.is_none_or(|kept| kept != header);
            if let Some(kept) = kept {
                if position + kept.size() as u64 > i32::MAX as u64 {
                    let error = BatchError::BadRecord("compacted segment would pass 2 GiB");
                    return Err(bad(error));
                }
                let noted = new.note(&kept, position, self.job.index_interval_bytes);
                noted.map_err(|error| self.failed("write an index", error))?;
            }
            if self.out.len() >= self.options.io_bytes {
                self.flush(new)?;
            }
        }
    }

    fn flush(&mut self, new: &mut Segment) -> Result<(), CompactError> {
        let written = new.log.for_writing().and_then(|f| f.write_all_at(&self.out, new.size));
        written.map_err(|error| self.failed("write a segment", error))?;
        new.size += self.out.len() as u64;
        let bytes = self.out.len();
        self.out.clear();
        self.paced(bytes)
    }

    fn sync(&self, new: &mut Segment) -> io::Result<()> {
        new.seal()?;
        new.log.for_writing()?.sync_data()?;
        new.offsets.file()?.sync_data()?;
        new.times.file()?.sync_data()?;
        match new.transactions.file() {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }

    fn swap(&self, log: &LogHandle, new: Replacement) -> Result<(), CompactError> {
        let begun = log.lock().begin_swap(new)?;
        if !begun {
            return Err(CompactError::Changed);
        }
        loop {
            let synced = self.job.disk.sync_dir(&self.job.dir);
            synced.map_err(|error| self.failed("sync it", error))?;
            let step = log.lock().advance_swap()?;
            match step {
                SwapStep::Sync => {}
                SwapStep::Done(job) => return Ok(job.run()?),
                SwapStep::Abandoned => return Err(CompactError::Changed),
            }
        }
    }

    /// What is not removed here, the next opening removes.
    fn remove_cleaned(&mut self, base: Offset) {
        self.out.clear();
        for kind in SEGMENT_FILES {
            let path = with_suffix(&segment_file(&self.job.dir, base, kind), CLEANED);
            if let Err(error) = gone_is_fine(self.job.disk.remove_file(&path)) {
                tracing::info!(path = %path.display(), %error, "unfinished segment not removed");
            }
        }
    }
}

/// The keys of a batch. They are hashed before the map is looked at: it is much larger than the
/// caches, and the look-ups of one batch then overlap.
fn hash_batch(
    map: &OffsetMap,
    transactions: &mut Transactions,
    header: &BatchHeader,
    bytes: &[u8],
    keys: &mut Vec<(KeyHash, Offset)>,
) -> Result<(), BatchError> {
    header.check_crc(bytes)?;
    if header.attributes.is_control() {
        let batch = records::Batch { header: *header, bytes: Bytes::copy_from_slice(bytes) };
        transactions.is_needless(header, crate::producers::marker_of(&batch));
        return Ok(());
    }
    if transactions.is_aborted(header) {
        return Ok(());
    }
    let codec = header.attributes.compression()?;
    let plain;
    let payload = match codec {
        Compression::None => &bytes[HEADER_BYTES..],
        _ => {
            let packed = Bytes::copy_from_slice(&bytes[HEADER_BYTES..]);
            plain = decompress(codec, &packed, super::filter::DECOMPRESSED_BYTES_MAX)?;
            &plain[..]
        }
    };
    for record in RawRecords::new(payload, header.records_count, header.last_offset_delta) {
        let record = record?;
        let offset = header.base_offset.plus(i64::from(record.offset_delta));
        keys.extend(record.key.map(|key| (map.hash(key), offset)));
    }
    Ok(())
}
