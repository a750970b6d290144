//! Appending: as leader, as follower; rolling.

use super::{AppendError, Appended, PartitionLog};
use crate::error::is_no_space;
use crate::names::{SNAPSHOT, segment_file};
use crate::open_files::LazyFile;
use crate::producer_snapshot;
use crate::producers::{BatchMark, EndedTransaction, Sequence, marker_of};
use crate::segment::Placement;
use crate::transaction_index::AbortedTransaction;
use crate::walk::Found;
use bytes::Bytes;
use env::descriptors::is_shortage;
use env::disk::Open;
use records::{
    Batch, BatchHeader, ControlRecord, HEADER_BYTES, MarkerKind, ProducedBatch, Stamp,
    TimestampType, batches, stamp,
};
use std::io::{self, IoSlice};
use types::{LeaderEpoch, Offset, Timestamp};

impl PartitionLog {
    /// Appends a client's (or a coordinator's own) batch as leader: checks the producer's
    /// sequence (window of five batches), stamps base offset and leader epoch, writes once.
    pub fn append_as_leader(
        &mut self,
        batch: &ProducedBatch,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_open()?;
        let (header, bytes) = (batch.header(), batch.bytes());
        let latest = self.epochs.latest();
        if leader_epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { got: leader_epoch, latest });
        }
        if header.size() > self.config.segment_bytes as usize {
            let (size, limit) = (header.size(), self.config.segment_bytes);
            return Err(AppendError::TooLargeForSegment { size, limit });
        }
        let marker = marker_of(batch.batch());
        if header.has_producer() {
            if let Sequence::Duplicate(mark) = self.producers.check(header)? {
                self.producers.heard_of(header.producer_id);
                return Ok(self.duplicate(mark));
            }
            if let Some(ControlRecord::EndTransaction(marker)) = &marker {
                self.producers.check_marker(header.producer_id, marker.coordinator_epoch)?;
            }
        }
        let log_append_time = match self.config.timestamp_type {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(now),
        };
        let base_offset = self.end_offset;
        let stamped = stamp(bytes, Stamp { base_offset, leader_epoch, log_append_time });
        let header = BatchHeader::parse(&stamped)?;
        self.roll_if_full(&header, now)?;
        self.write(&[IoSlice::new(&stamped), IoSlice::new(&bytes[HEADER_BYTES..])])?;
        let position = self.active().size;
        self.tail.push(position, &[&stamped, &bytes[HEADER_BYTES..]]);
        self.take_in(&header, marker, now)?;
        Ok(Appended {
            base_offset,
            last_offset: header.last_offset(),
            log_append_time: log_append_time.unwrap_or(Timestamp::NONE),
            log_start_offset: self.start_offset,
            is_duplicate: false,
        })
    }

    fn duplicate(&self, mark: BatchMark) -> Appended {
        Appended {
            base_offset: mark.base_offset(),
            last_offset: mark.last_offset,
            // The largest of the batch, also where it is the producer's: as Kafka answers.
            log_append_time: mark.timestamp,
            log_start_offset: self.start_offset,
            is_duplicate: true,
        }
    }

    /// Appends what a leader sent: one or more whole batches, kept byte for byte; the first must
    /// continue the log (a gap, as compaction leaves it, is allowed). CRCs are checked; producers'
    /// histories and epochs follow. Returns the new end offset. On an error the batches before
    /// those that failed may be in the log: see the end offset. Where a batch is refused, all before
    /// it are that nothing speaks against: who asks for more from there asks for the very batch that
    /// is wrong, or the one before it.
    ///
    /// Where nothing was ever appended, the first batch may begin below the log's start: that of the
    /// leader lies within a batch where DeleteRecords has put it. The whole batch is kept, and the log
    /// goes on starting where it did.
    pub fn append_as_follower(
        &mut self,
        records: &Bytes,
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        self.check_open()?;
        // An epoch in which this broker led and wrote nothing: the present leader may never have
        // heard of it and rightly send records of earlier ones.
        self.epochs.truncate_end(self.end_offset);
        self.tail.clear();
        let (checked, refused) = self.check_replicated(records);
        let length = checked.iter().map(|batch| batch.bytes.len()).sum();
        let start_offset = self.start_offset;
        let below = checked.first().map(|batch| batch.header.base_offset);
        if let Some(base) = below.filter(|base| *base < self.end_offset) {
            self.try_start_at(base).map_err(|error| self.poison("begin within a batch", error))?;
        }
        let appended = self.append_checked(&records[..length], &checked, now);
        if self.end_offset >= start_offset {
            self.high_watermark = self.high_watermark.max(start_offset);
            self.advance_start_offset(start_offset);
        }
        appended?;
        refused.map_or(Ok(self.end_offset), Err)
    }

    fn append_checked(
        &mut self,
        records: &[u8],
        mut rest: &[Batch],
        now: Timestamp,
    ) -> Result<(), AppendError> {
        while let Some(first) = rest.first() {
            self.roll_if_full(&first.header, now)?;
            let count = self.group(rest);
            let bytes: usize = rest[..count].iter().map(|batch| batch.bytes.len()).sum();
            let start = records.len() - rest.iter().map(|batch| batch.bytes.len()).sum::<usize>();
            self.write(&[IoSlice::new(&records[start..start + bytes])])?;
            for batch in &rest[..count] {
                self.take_in(&batch.header, marker_of(batch), now)?;
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// The batches up to the first that cannot follow the log, and what is wrong with that one. Base
    /// offset and epoch are outside of the CRC: where they contradict the batch before, which left a
    /// gap or began an epoch, that one may be wrong instead, and is not taken either.
    fn check_replicated(&self, records: &Bytes) -> (Vec<Batch>, Option<AppendError>) {
        let mut checked: Vec<Batch> = Vec::new();
        let mut end_offset = self.end_offset;
        let mut latest = self.epochs.latest();
        let (mut leaves_gap, mut begins_epoch) = (false, false);
        for batch in batches(records) {
            let is_first = checked.is_empty();
            let fitting = batch.map_err(AppendError::from).and_then(|batch| {
                self.check_follows(&batch, end_offset, latest, is_first)?;
                Ok(batch)
            });
            match fitting {
                Ok(batch) => {
                    let header = &batch.header;
                    leaves_gap = header.base_offset > end_offset;
                    begins_epoch = header.leader_epoch > latest;
                    end_offset = header.end_offset();
                    latest = header.leader_epoch;
                    checked.push(batch);
                }
                Err(error) => {
                    let is_doubtful = match &error {
                        AppendError::OffsetMismatch { .. } => leaves_gap,
                        AppendError::StaleLeaderEpoch { .. } => begins_epoch,
                        _ => false,
                    };
                    checked.truncate(checked.len() - usize::from(is_doubtful));
                    return (checked, Some(error));
                }
            }
        }
        (checked, None)
    }

    fn check_follows(
        &self,
        batch: &Batch,
        end_offset: Offset,
        latest: LeaderEpoch,
        is_first: bool,
    ) -> Result<(), AppendError> {
        batch.check_crc()?;
        let header = &batch.header;
        let is_begun = is_first && self.begins_within(header);
        if header.base_offset < end_offset && !is_begun {
            return Err(AppendError::OffsetMismatch { got: header.base_offset, end_offset });
        }
        if header.leader_epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { got: header.leader_epoch, latest });
        }
        Ok(())
    }

    /// Whether a log without anything starts within this batch.
    fn begins_within(&self, header: &BatchHeader) -> bool {
        let is_new = self.segments.len() == 1 && self.segments[0].size == 0;
        is_new && header.base_offset < self.end_offset && header.end_offset() > self.end_offset
    }

    /// How many of these batches, at least one, go into the active segment with one write.
    fn group(&mut self, rest: &[Batch]) -> usize {
        let limit = u64::from(self.config.segment_bytes);
        let active = self.active();
        let mut size = active.size;
        let fits = |batch: &&Batch| {
            size += batch.bytes.len() as u64;
            size <= limit && active.fits(batch.header.last_offset())
        };
        rest.iter().take_while(fits).count().max(1)
    }

    /// Writes at the end of the active segment. What a failed write leaves is cut off; if that fails
    /// too, or the failure is not want of space, the log closes for good.
    fn write(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), AppendError> {
        let active = self.active();
        let file = match active.log.for_writing() {
            Ok(file) => file,
            Err(error) => return Err(self.append_failed("open a segment", error)),
        };
        let Err(error) = file.write_all_vectored_at(pieces, active.size) else {
            return Ok(());
        };
        let cut = file.set_len(active.size);
        if let Err(cut) = cut {
            return Err(self.poison("cut a failed append off", cut).into());
        }
        Err(self.append_failed("append", error))
    }

    fn append_failed(&mut self, doing: &str, error: io::Error) -> AppendError {
        if is_no_space(&error) {
            return AppendError::NoSpace(error);
        }
        self.poison(doing, error).into()
    }

    /// Takes note of a batch just written at the end of the active segment. The end offset moves
    /// even if the index fails: the records are in the log.
    fn take_in(
        &mut self,
        header: &BatchHeader,
        marker: Option<ControlRecord>,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let interval = self.config.index_interval_bytes;
        let active = self.active();
        let position = active.size;
        active.size += header.size() as u64;
        active.touched = now;
        let noted = active.note(header, position, interval);
        self.note_recent(Found { position, header: *header });
        self.epochs.assign(header.leader_epoch, header.base_offset);
        let ended = self.producers.apply(header, marker);
        self.end_offset = header.end_offset();
        // An index may be sparser: one that cannot be opened for want of descriptors has no entry of it.
        let noted = noted.or_else(|error| if is_shortage(&error) { Ok(()) } else { Err(error) });
        let noted = noted.and_then(|()| self.note_ended(self.segments.len() - 1, ended));
        self.sync.unsynced_since.get_or_insert(now);
        noted.map_err(|error| self.poison("write an index", error).into())
    }

    /// Puts a transaction that ended into the index of the segment that holds its marker, if it was
    /// aborted.
    pub(super) fn note_ended(
        &mut self,
        index: usize,
        ended: Option<EndedTransaction>,
    ) -> io::Result<()> {
        let Some(ended) = ended.filter(|ended| ended.kind == MarkerKind::Abort) else {
            return Ok(());
        };
        let open = self.producers.first_open_transaction();
        let entry = AbortedTransaction {
            producer_id: ended.producer_id,
            first_offset: ended.first_offset,
            last_offset: ended.last_offset,
            last_stable_offset: open.unwrap_or(ended.last_offset.plus(1)),
        };
        self.segments[index].transactions.push(entry)
    }

    fn roll_if_full(&mut self, header: &BatchHeader, now: Timestamp) -> Result<(), AppendError> {
        let jitter_ms = self.jitter_ms();
        let placement = Placement { last_offset: header.last_offset(), now, jitter_ms };
        let active = self.segments.back_mut().expect("a log has an active segment");
        match active.is_full(&self.config, header, placement) {
            Ok(false) => Ok(()),
            Ok(true) => {
                // An empty segment is too far below a batch only after a gap: it starts there.
                let base = match active.size {
                    0 => header.base_offset,
                    _ => self.end_offset,
                };
                self.roll(base, now)
            }
            Err(error) => Err(self.append_failed("read an index", error)),
        }
    }

    /// The same for a partition each time, different between partitions: they should not all roll
    /// at once.
    fn jitter_ms(&self) -> i64 {
        let max = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if max <= 0 {
            return 0;
        }
        let seed = crc32c::crc32c(self.id.dir.as_os_str().as_encoded_bytes());
        i64::from(seed) % max
    }

    /// Starts a new segment at `base`, with a snapshot of the producers. Nothing is synced here: the
    /// next sync job does that, and moves the recovery point.
    pub(super) fn roll(&mut self, base: Offset, now: Timestamp) -> Result<(), AppendError> {
        let made = self
            .write_producer_snapshot(base)
            .and_then(|()| self.seal_active())
            .and_then(|sealed| Ok((sealed, self.id.segment_dir().create(base, now)?)));
        let (sealed, segment) = match made {
            Ok(made) => made,
            Err(error) => return Err(self.append_failed("roll a segment", error)),
        };
        self.sync.names_changed += 1;
        self.sync.rolled = true;
        // With the next job, also if one that was planned before is still under way.
        self.sync.sealed.push(sealed);
        self.forget_recent();
        if self.config.preallocate {
            // A hint: a disk that is too full for it may still hold what comes.
            let _ = segment.file().and_then(|f| f.allocate(u64::from(self.config.segment_bytes)));
        }
        if self.segments.back().is_some_and(|last| last.base == base) {
            // The active segment was empty and bore the same name.
            self.segments.pop_back();
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Completes the indexes of the active segment, which gets no more batches; gives its base. The
    /// next sync job syncs them.
    pub(super) fn seal_active(&mut self) -> io::Result<Offset> {
        let active = self.active();
        active.seal()?;
        Ok(active.base)
    }

    /// Writes `<offset>.snapshot`. Synced by the next sync job.
    pub(super) fn write_producer_snapshot(&mut self, offset: Offset) -> io::Result<()> {
        let path = segment_file(&self.id.dir, offset, SNAPSHOT);
        let snapshot = LazyFile::new(&self.id.disk, path, Open::Create, &self.id.files);
        let file = snapshot.for_writing()?;
        file.set_len(0)?;
        file.write_all_at(&producer_snapshot::encode(&self.producers), 0)?;
        self.sync.names_changed += 1;
        self.sync.snapshots.push(snapshot);
        Ok(())
    }
}
