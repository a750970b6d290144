//! Making and opening a partition's directory; recovery.
//!
//! After a clean shutdown nothing of a segment is read: the producer snapshot's name says where the
//! log ends. Otherwise the segment that holds the recovery point and those above it are read from
//! their start: indexes, epochs and producers are made anew, and the log ends at the first batch
//! that is not whole and sound. Such a batch below the recovery point is damage, not a torn tail: it
//! is reported and nothing is cut.

use super::swap::{has_swaps, resume_swaps};
use super::{Identity, PartitionLog, RecoveryPoints};
use crate::checkpoint;
use crate::config::LogConfig;
use crate::damage::{Damage, Damages};
use crate::epochs::EpochCache;
use crate::names::{DAMAGES, DELETED, LEADER_EPOCHS, LOG, PARTITION_METADATA, SNAPSHOT};
use crate::names::{partition_dir, segment_file, segment_offset};
use crate::open_files::OpenFiles;
use crate::producers::{Producers, marker_of};
use crate::removal::gone_is_fine;
use crate::segment::{Segment, SegmentDir};
use crate::sync::SyncState;
use crate::tail::Tail;
use crate::walk::{Found, Walk, WalkError, read_batch};
use crate::{LogDirError, partition_metadata};
use env::disk::{DirEntry, Open, read_file, write_file_atomically};
use env::{Disk, Mutant, mutant};
use records::{BatchError, BatchHeader};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use types::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};

/// What is needed to open (or make) a partition's log.
pub struct OpenLog {
    pub disk: Arc<dyn Disk>,
    /// One of `log.dirs`; the partition's directory lies in it.
    pub log_dir: PathBuf,
    pub partition: TopicPartition,
    pub config: LogConfig,
    pub now: Timestamp,
    /// The log was closed, and nothing has happened since.
    pub clean: bool,
    /// From the checkpoints; zero where they have nothing.
    pub recovery_point: Offset,
    pub start_offset: Offset,
    pub high_watermark: Offset,
    pub recovery_points: Arc<dyn RecoveryPoints>,
    /// Shared by all logs of a node.
    pub files: OpenFiles,
}

/// What opening found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Segments were read, since the log was not closed.
    pub unclean: bool,
    pub read_bytes: u64,
    /// Bytes of a torn tail that were cut off.
    pub cut_bytes: u64,
}

/// Why a partition's log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// Nothing was changed on disk.
    #[error("log is damaged below its recovery point: {0}")]
    Damaged(Damage),
    /// It cannot be told whose partition it is.
    #[error("partition.metadata: {0}")]
    Unidentified(String),
    #[error("log directory {0}")]
    Io(#[from] LogDirError),
}

/// How far the recovery of a log is.
struct Recovery {
    recovered: Recovered,
    /// The batch that was taken in last.
    last_base: Option<Offset>,
    /// Those of the batches that were taken in; the file's need not be right.
    epochs: EpochCache,
    /// The batch at this offset is wrong, as the one after it has told.
    wrong: Option<Offset>,
}

impl Recovery {
    /// Leader epochs never fall in a log, and are outside the CRC: where they do, a bit of this batch
    /// or of the one before it is wrong. Which one, its neighbours tell: without it they do not fall.
    fn falls(&self, header: &BatchHeader) -> Option<Offset> {
        let (latest, earlier) = self.epochs.entries().split_last()?;
        if header.leader_epoch >= latest.epoch {
            return None;
        }
        let before = earlier.last().map_or(LeaderEpoch::NONE, |entry| entry.epoch);
        let is_alone = self.last_base == Some(latest.offset);
        let is_last_wrong = is_alone && header.leader_epoch >= before;
        Some(if is_last_wrong { latest.offset } else { header.base_offset })
    }
}

enum Read {
    Whole,
    /// The segment's end had to be cut.
    Cut,
    /// The batch before the one where this was seen is wrong: everything is to be read again.
    WrongBefore(Offset),
}

const EPOCHS_FALL: BatchError = BatchError::BadRecord("leader epochs fall");

enum Failure {
    Damaged(Damage),
    Unidentified(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.downcast::<Damage>() {
            Ok(damage) => Failure::Damaged(damage),
            Err(error) => Failure::Io(error),
        }
    }
}

impl OpenLog {
    fn dir(&self) -> PathBuf {
        self.log_dir.join(partition_dir(&self.partition))
    }

    fn failed(log_dir: &std::path::Path, dir: PathBuf, failure: Failure) -> OpenLogError {
        match failure {
            Failure::Damaged(damage) => OpenLogError::Damaged(damage),
            Failure::Unidentified(reason) => OpenLogError::Unidentified(reason),
            Failure::Io(error) => {
                let doing = format!("open {}", dir.display());
                OpenLogError::Io(LogDirError::new(log_dir, doing, error))
            }
        }
    }

    /// Makes the directory of a new partition, durably, and opens it. Blocks.
    pub fn create(self, topic_id: TopicId) -> Result<PartitionLog, OpenLogError> {
        let (disk, dir, log_dir) = (self.disk.clone(), self.dir(), self.log_dir.clone());
        let log = self.create_unsynced(topic_id)?;
        let failed = |error| OpenLog::failed(&log_dir, dir, Failure::Io(error));
        disk.sync_dir(&log_dir).map_err(failed)?;
        Ok(log)
    }

    /// The same without the sync of the log directory, which many may share: until the caller has done
    /// that, a crash may take the partition back.
    pub(crate) fn create_unsynced(self, topic_id: TopicId) -> Result<PartitionLog, OpenLogError> {
        let (dir, log_dir) = (self.dir(), self.log_dir.clone());
        let make = || {
            self.disk.create_dir_all(&dir)?;
            // Before the metadata, whose write syncs the directory: a later segment must never
            // outlive the first one's name.
            self.disk.open(&segment_file(&dir, self.start_offset, LOG), Open::Create)?;
            let text = partition_metadata::encode(topic_id);
            let path = dir.join(PARTITION_METADATA);
            write_file_atomically(&*self.disk, &path, text.as_bytes())
        };
        make().map_err(|error| OpenLog::failed(&log_dir, dir, Failure::Io(error)))?;
        self.open().map(|(log, _)| log)
    }

    /// Opens a partition's directory. Blocks for as long as recovery takes.
    pub fn open(self) -> Result<(PartitionLog, Recovered), OpenLogError> {
        let (dir, log_dir) = (self.dir(), self.log_dir.clone());
        self.try_open().map_err(|failure| OpenLog::failed(&log_dir, dir, failure))
    }

    fn try_open(self) -> Result<(PartitionLog, Recovered), Failure> {
        let dir = self.dir();
        let names = self.disk.list(&dir)?;
        let topic_id = self.identify(&names)?;
        let (names, swaps) = match has_swaps(&names) {
            false => (names, Vec::new()),
            true => {
                let swaps = resume_swaps(&*self.disk, &dir)?;
                (self.disk.list(&dir)?, swaps)
            }
        };
        let (epochs, epochs_known) = self.read_epochs(&names)?;
        let mut changed = self.sweep(&names)?;
        changed |= !names.iter().any(|entry| entry.name.ends_with(LOG));
        let mut log = PartitionLog {
            segments: self.segments(&names)?,
            start_offset: self.start_offset,
            end_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
            recovery_point: self.recovery_point,
            epochs,
            producers: Producers::default(),
            recent: VecDeque::new(),
            tail: Tail::default(),
            sync: SyncState::default(),
            cleaned_to: self.start_offset,
            swap: None,
            replaced: 0,
            untouched_at: None,
            damages: Damages::default(),
            failure: Arc::default(),
            config: self.config,
            id: Identity {
                disk: self.disk,
                log_dir: self.log_dir,
                dir,
                partition: self.partition,
                topic_id,
                recovery_points: self.recovery_points,
                files: self.files,
            },
        };
        if changed {
            // Else a crash could bring back what was swept after other data took its place, or
            // lose the first segment's name and keep a later one's.
            log.id.disk.sync_dir(&log.id.dir)?;
        }
        log.finish_swaps(&swaps)?;
        let newest = names.iter().filter_map(|entry| segment_offset(&entry.name, SNAPSHOT)).max();
        let recovered = log.settle(newest.filter(|_| self.clean), self.now)?;
        log.settle_bounds(self.clean, self.high_watermark)?;
        if !epochs_known {
            let epochs = log.epochs_of_batches()?.0;
            log.epochs.replace(epochs);
        } else if recovered.unclean && !log.epochs_fit_batches()? {
            log.settle_epochs()?;
        }
        if names.iter().any(|entry| entry.name == DAMAGES) {
            log.recall_damages()?;
        }
        Ok((log, recovered))
    }

    fn identify(&self, names: &[DirEntry]) -> Result<TopicId, Failure> {
        if !names.iter().any(|entry| entry.name == PARTITION_METADATA) {
            return Err(Failure::Unidentified("is missing".to_owned()));
        }
        let bytes = read_file(&*self.disk, &self.dir().join(PARTITION_METADATA))?;
        partition_metadata::decode(&bytes).map_err(Failure::Unidentified)
    }

    /// The epochs on disk, and whether they are to be trusted.
    fn read_epochs(&self, names: &[DirEntry]) -> io::Result<(EpochCache, bool)> {
        if !names.iter().any(|entry| entry.name == LEADER_EPOCHS) {
            return Ok((EpochCache::default(), false));
        }
        let path = self.dir().join(LEADER_EPOCHS);
        match checkpoint::decode_epochs(&read_file(&*self.disk, &path)?) {
            Ok(entries) => Ok((EpochCache::new(entries), true)),
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "epochs are made from the batches");
                Ok((EpochCache::default(), false))
            }
        }
    }

    /// Removes what earlier lives left half-done.
    fn sweep(&self, names: &[DirEntry]) -> io::Result<bool> {
        let mut any = false;
        for entry in names {
            if entry.name.ends_with(DELETED) || entry.name.ends_with(".tmp") {
                gone_is_fine(self.disk.remove_file(&self.dir().join(&entry.name)))?;
                any = true;
            }
        }
        Ok(any)
    }

    fn segments(&self, names: &[DirEntry]) -> io::Result<VecDeque<Segment>> {
        let dir = self.dir();
        let here = SegmentDir { disk: &self.disk, dir: &dir, files: &self.files };
        let mut segments = VecDeque::new();
        for base in names.iter().filter_map(|entry| segment_offset(&entry.name, LOG)) {
            segments.push_back(here.open(base, self.now)?);
        }
        if segments.is_empty() {
            let base = self.start_offset;
            segments.push_back(here.create(base, self.now)?);
        }
        Ok(segments)
    }
}

impl PartitionLog {
    /// Finds the end of the log and the producers' state there. `newest` is the newest snapshot, after a
    /// clean shutdown.
    fn settle(&mut self, newest: Option<Offset>, now: Timestamp) -> Result<Recovered, Failure> {
        let last = &self.segments[self.segments.len() - 1];
        let (base, size) = (last.base, last.size);
        let named = newest.filter(|at| if size == 0 { *at == base } else { *at > base });
        if let Some(end) = named {
            self.end_offset = end;
            match self.read_snapshot(end)? {
                Some(producers) => {
                    self.producers = producers;
                    self.untouched_at = Some(end);
                }
                None => self.reload_producers()?,
            }
            return Ok(Recovered::default());
        }
        if size == 0 && self.segments.len() == 1 {
            self.end_offset = base;
            self.reload_producers()?;
            return Ok(Recovered::default());
        }
        self.recover(now)
    }

    fn recover(&mut self, now: Timestamp) -> Result<Recovered, Failure> {
        let mut wrong = None;
        loop {
            match self.recover_without(wrong, now)? {
                Ok(recovered) => return Ok(recovered),
                Err(base) => wrong = Some(base),
            }
        }
    }

    /// Reads the log from its recovery point on; `Err` names a batch that has turned out to be wrong
    /// after it was taken in.
    fn recover_without(
        &mut self,
        wrong: Option<Offset>,
        now: Timestamp,
    ) -> Result<Result<Recovered, Offset>, Failure> {
        let first = self.segment_index(self.recovery_point);
        let from = self.segments[first].base;
        self.end_offset = from;
        // Epochs from here on are read from the batches: those on disk may be of a log that was cut.
        self.epochs.truncate_end(from);
        let (at, producers) = self.snapshot_before(from)?;
        self.producers = producers;
        self.replay_producers(at, from)?;
        let recovered = Recovered { unclean: true, ..Recovered::default() };
        let mut recovery =
            Recovery { recovered, last_base: None, epochs: EpochCache::default(), wrong };
        let mut index = first;
        while index < self.segments.len() {
            // Above the recovery point segments follow each other without a gap. One that does not
            // was cut off, or renamed, in a change that the crash interrupted.
            if index > first && self.segments[index].base != self.end_offset {
                break;
            }
            let read = self.recover_segment(index, &mut recovery)?;
            index += 1;
            match read {
                Read::Whole => {}
                Read::Cut => break,
                Read::WrongBefore(base) => return Ok(Err(base)),
            }
        }
        let mut recovered = recovery.recovered;
        while self.segments.len() > index {
            let segment = self.segments.pop_back().expect("longer than the index");
            recovered.cut_bytes += segment.size;
            let names = self.take_names_away(segment.base)?;
            self.remove(names)?;
        }
        let sealed = self.segments.len() - 1;
        for segment in self.segments.range_mut(first.min(sealed)..sealed) {
            // Nobody else would write what their indexes still have in memory.
            segment.seal()?;
            self.sync.sealed.push(segment.base);
        }
        // Those from here on may be of a log that was cut, too: a crash brings back what a newer one of
        // the same name had replaced. A later truncation would believe them and forget producers.
        for at in self.snapshots()?.into_iter().filter(|at| *at > from) {
            let path = segment_file(&self.id.dir, at, SNAPSHOT);
            self.remove(vec![path])?;
        }
        self.id.disk.sync_dir(&self.id.dir)?;
        self.epochs.truncate_end(self.end_offset);
        self.sync.rolled = true;
        self.sync.unsynced_since = Some(now);
        Ok(Ok(recovered))
    }

    /// Reads a segment through.
    fn recover_segment(&mut self, index: usize, recovery: &mut Recovery) -> Result<Read, Failure> {
        let disk = self.id.disk.clone();
        self.segments[index].reset_indexes(&disk, &self.id.files)?;
        // An earlier life wrote it, and may not have synced it.
        let (file, size) = (self.segments[index].log.for_writing()?, self.segments[index].size);
        let mut walk = Walk::scan(&file, 0, size);
        let bad = loop {
            let position = walk.position();
            let next = match mutant::is(Mutant::TornTailKept) {
                true => walk.next(),
                false => walk.next_checked(),
            };
            match next {
                Ok(None) => break None,
                Ok(Some(found)) => match self.unfit(index, &found, recovery) {
                    None => {
                        self.recover_batch(index, &found)?;
                        let header = &found.header;
                        recovery.last_base = Some(header.base_offset);
                        recovery.epochs.assign(header.leader_epoch, header.base_offset);
                    }
                    Some((EPOCHS_FALL, base)) if base < found.header.base_offset => {
                        return Ok(Read::WrongBefore(base));
                    }
                    Some((error, _)) => break Some((position, error)),
                },
                Err(WalkError::Bad { position, error }) => {
                    break Some((position, error));
                }
                Err(WalkError::Io(error)) => return Err(Failure::Io(error)),
            }
        };
        recovery.recovered.read_bytes += size;
        let Some((position, error)) = bad else {
            return Ok(Read::Whole);
        };
        if self.end_offset < self.recovery_point {
            return Err(Failure::Damaged(self.damage_at(index, position, self.end_offset, error)));
        }
        tracing::info!(log = %self.id.partition, end = %self.end_offset, %error, "torn tail cut");
        recovery.recovered.cut_bytes += size - position;
        file.set_len(position)?;
        file.sync_data()?;
        self.segments[index].size = position;
        Ok(Read::Cut)
    }

    /// What is wrong with this batch, or with one before it, and where that one starts.
    fn unfit(
        &self,
        index: usize,
        found: &Found,
        recovery: &Recovery,
    ) -> Option<(BatchError, Offset)> {
        let header = &found.header;
        let base = header.base_offset;
        let first = self.end_offset.max(self.segments[index].base);
        if base < first || !self.segments[index].fits(header.last_offset()) {
            return Some((BatchError::BadRecord("offsets do not continue the log"), base));
        }
        if recovery.wrong == Some(base) {
            return Some((EPOCHS_FALL, base));
        }
        let wrong = recovery.falls(header)?;
        // What was synced is believed over what was not.
        let is_synced = wrong < self.recovery_point && base >= self.recovery_point;
        Some((EPOCHS_FALL, if is_synced { base } else { wrong }))
    }

    fn recover_batch(&mut self, index: usize, found: &Found) -> Result<(), Failure> {
        self.recover_batch_indexes(index, found)?;
        let header = &found.header;
        self.epochs.assign(header.leader_epoch, header.base_offset);
        self.end_offset = header.end_offset();
        Ok(())
    }

    /// Takes note of a batch of this segment: in its indexes and in the producers' state.
    pub(super) fn recover_batch_indexes(&mut self, index: usize, found: &Found) -> io::Result<()> {
        let interval = self.config.index_interval_bytes;
        self.segments[index].note(&found.header, found.position, interval)?;
        let header = &found.header;
        if !header.has_producer() {
            return Ok(());
        }
        let marker = match header.attributes.is_control() {
            true => {
                let batch = read_batch(&self.segments[index].file()?, found);
                marker_of(&batch.map_err(|error| self.walk_failed(index, error))?)
            }
            false => None,
        };
        let ended = self.producers.apply(header, marker);
        self.note_ended(index, ended)
    }

    /// Puts start, high watermark and recovery point where they can be.
    fn settle_bounds(&mut self, clean: bool, high_watermark: Offset) -> io::Result<()> {
        let first = self.segments[0].base;
        self.start_offset = self.start_offset.max(first);
        self.epochs.truncate_end(self.end_offset);
        if self.start_offset > self.end_offset {
            // The checkpointed start was synced, the records up to it were not: all below it was
            // deleted anyhow.
            let start = self.start_offset;
            self.try_start_at(start)?;
        }
        self.epochs.truncate_start(self.start_offset);
        self.high_watermark = high_watermark.clamp(self.start_offset, self.end_offset);
        self.recovery_point = match clean {
            true => self.end_offset,
            false => self.recovery_point.min(self.end_offset),
        };
        Ok(())
    }

    /// Whether the batches on both sides of every epoch's start are of the epochs that they should be
    /// of: the file has no checksum, and one wrong digit would let a follower keep records that its
    /// leader does not have.
    fn epochs_fit_batches(&self) -> io::Result<bool> {
        for entry in self.epochs.entries() {
            for offset in [entry.offset.plus(-1), entry.offset] {
                if offset < self.start_offset || offset >= self.end_offset {
                    continue;
                }
                let index = self.segment_index(offset);
                let header = match self.segments[index].find(offset, None) {
                    Ok(Some(found)) if found.header.leader_epoch.0 >= 0 => found.header,
                    // Damage is for those who read it.
                    Ok(_) | Err(WalkError::Bad { .. }) => continue,
                    Err(WalkError::Io(error)) => return Err(error),
                };
                let at = header.base_offset.max(self.start_offset);
                if self.epochs.at(at) != Some(header.leader_epoch) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The file and the batches differ. The leader epoch of a batch has no checksum either: where those
    /// of the batches do not rise throughout, it is a batch that is wrong, and the file is believed. An
    /// epoch that nobody has led in would have every later append refused.
    fn settle_epochs(&mut self) -> io::Result<()> {
        let (epochs, rise) = self.epochs_of_batches()?;
        let log = &self.id.partition;
        if rise {
            tracing::warn!(%log, "the file of leader epochs is wrong; they are made from the batches");
            self.epochs.replace(epochs);
        } else {
            tracing::warn!(%log, "a batch's leader epoch is wrong; the file of epochs is believed");
        }
        Ok(())
    }

    /// As the batches tell them, for a directory without a sound epoch file too (one made by an older
    /// life, or never synced); and whether they rise throughout.
    fn epochs_of_batches(&self) -> io::Result<(EpochCache, bool)> {
        let (mut epochs, mut rise) = (EpochCache::default(), true);
        let filled = self.segments.iter().enumerate().filter(|(_, segment)| segment.size > 0);
        for (index, segment) in filled {
            let mut walk = Walk::headers(&segment.file()?, 0, segment.size);
            let failed = |error| self.walk_failed(index, error);
            while let Some(found) = walk.next().map_err(failed)? {
                rise &= found.header.leader_epoch >= epochs.latest();
                epochs.assign(found.header.leader_epoch, found.header.base_offset);
            }
        }
        epochs.truncate_start(self.start_offset);
        Ok((epochs, rise))
    }
}
