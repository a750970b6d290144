//! What compaction keeps of a batch. Pure: a batch in, bytes out.
//!
//! Promises: offsets, order, sequences and leader epochs of what is kept are those of before; a
//! record goes only if a newer one of its key is in the part that was looked at, if it deletes its
//! key and its time is over, if its transaction was aborted, or if it has no key. A batch without
//! records stays, as a bare header, where it says what nothing else does: the last sequence of a
//! producer, the first offset of a leader epoch after the first, the end of a segment.
//!
//! A tombstone's time (`delete.retention.ms`) runs from the first run that meets it: its end is put
//! into the batch, in the place of the base timestamp, with attribute bit 6. Markers of transactions
//! without batches likewise.

use super::offset_map::{KeyHash, OffsetMap};
use super::transactions::Transactions;
use crate::AbortedTransaction;
use bytes::Bytes;
use records::{
    Batch, BatchError, BatchHeader, Compression, HEADER_BYTES, RawRecord, RawRecords,
    TimestampType, compress, decompress,
};
use std::collections::BTreeMap;
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Most bytes that one batch may decompress to.
pub const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// What is known of a producer that may send again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastBatch {
    pub epoch: ProducerEpoch,
    /// Last offset of its newest data batch; `None` if only a marker is known.
    pub last_offset: Option<Offset>,
}

/// What decides, for a whole run.
pub struct FilterRules {
    /// The newest offsets of all keys below `map_end`.
    pub map: OffsetMap,
    pub map_end: Offset,
    pub now: Timestamp,
    pub delete_retention_ms: i64,
    pub producers: BTreeMap<ProducerId, LastBatch>,
}

/// What was done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FilterCounts {
    pub records_read: u64,
    pub records_kept: u64,
    /// Records without a key, which a compacted log cannot hold.
    pub keyless: u64,
}

/// Takes the batches of a log in order, from its first segment on.
pub struct Filter {
    rules: FilterRules,
    transactions: Transactions,
    /// Of the batch before.
    epoch: LeaderEpoch,
    counts: FilterCounts,
    payload: Vec<u8>,
    hashes: Vec<Option<KeyHash>>,
}

/// How a batch's records fared.
#[derive(Clone, Copy)]
struct Kept {
    count: usize,
    tombstones: bool,
    newest: Timestamp,
}

impl Filter {
    /// `epoch` is that of the last record before the first segment, if known.
    pub fn new(rules: FilterRules, transactions: Transactions, epoch: LeaderEpoch) -> Filter {
        let (counts, payload, hashes) = (FilterCounts::default(), Vec::new(), Vec::new());
        Filter { rules, transactions, epoch, counts, payload, hashes }
    }

    pub fn counts(&self) -> FilterCounts {
        self.counts
    }

    pub fn map_utilization(&self) -> f64 {
        self.rules.map.utilization()
    }

    /// See [`Transactions::take_ended`].
    pub fn take_ended(&mut self) -> Vec<AbortedTransaction> {
        self.transactions.take_ended()
    }

    /// Appends what is kept of a batch to `out`, and returns its header; `None` if nothing is.
    /// `ends_segment`: nothing follows it in the new segment.
    pub fn batch(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        ends_segment: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchHeader>, BatchError> {
        header.check_crc(bytes)?;
        let starts_epoch = header.leader_epoch != self.epoch;
        // No replica's records are of an epoch before the first one, so nobody asks where that began.
        let starts_later_epoch = starts_epoch && header.leader_epoch > LeaderEpoch(0);
        self.epoch = header.leader_epoch;
        let is_control = header.attributes.is_control();
        let needless = match is_control {
            true => {
                let batch = Batch { header: *header, bytes: Bytes::copy_from_slice(bytes) };
                self.transactions.is_needless(header, crate::producers::marker_of(&batch))
            }
            false => self.transactions.is_aborted(header),
        };
        let over = header.delete_horizon().is_some_and(|horizon| horizon <= self.rules.now);
        let discard = needless && (!is_control || over);
        let keep_empty = ends_segment || starts_later_epoch || self.is_last_of_producer(header);
        self.counts.records_read += u64::from(header.records_count.unsigned_abs());
        let written = match discard {
            true => None,
            false => self.records(header, bytes, is_control && needless, out)?,
        };
        if let Some(written) = written {
            self.counts.records_kept += u64::from(written.records_count.unsigned_abs());
            return Ok(Some(written));
        }
        if !keep_empty {
            return Ok(None);
        }
        let empty = emptied(header);
        out.extend_from_slice(&empty.encode());
        Ok(Some(empty))
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(last) = self.rules.producers.get(&header.producer_id) else {
            return false;
        };
        match last.last_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes.is_control() && header.producer_epoch == last.epoch,
        }
    }

    /// Writes the records that stay; `None` if none does. `starts_horizon`: even without a tombstone.
    fn records(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        starts_horizon: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchHeader>, BatchError> {
        let codec = header.attributes.compression()?;
        let plain;
        let payload = match codec {
            Compression::None => &bytes[HEADER_BYTES..],
            _ => {
                let packed = Bytes::copy_from_slice(&bytes[HEADER_BYTES..]);
                plain = decompress(codec, &packed, DECOMPRESSED_BYTES_MAX)?;
                &plain[..]
            }
        };
        let all = RawRecords::new(payload, header.records_count, header.last_offset_delta);
        let all: Vec<RawRecord<'_>> = all.collect::<Result<_, _>>()?;
        let flags = self.choose(header, &all);
        let kept = summary(header, &all, &flags);
        if kept.count == 0 {
            return Ok(None);
        }
        let horizon_due = (kept.tombstones || starts_horizon) && header.delete_horizon().is_none();
        if kept.count == all.len() && !horizon_due {
            out.extend_from_slice(bytes);
            return Ok(Some(*header));
        }
        let horizon = self.rules.now.0.saturating_add(self.rules.delete_retention_ms);
        let horizon = horizon_due.then_some(Timestamp(horizon));
        self.payload.clear();
        let shift = horizon.map_or(0, |horizon| horizon.0.wrapping_sub(header.base_timestamp.0));
        for (record, _) in all.iter().zip(&flags).filter(|(_, keep)| **keep) {
            match horizon {
                None => self.payload.extend_from_slice(record.bytes),
                Some(_) => {
                    let delta = record.timestamp_delta.wrapping_sub(shift);
                    record.copy_with_timestamp_delta(delta, &mut self.payload);
                }
            }
        }
        let written = rewritten(header, kept, horizon);
        Ok(Some(self.put_batch(written, codec, out)))
    }

    /// Which records stay.
    fn choose(&mut self, header: &BatchHeader, all: &[RawRecord<'_>]) -> Vec<bool> {
        if header.attributes.is_control() {
            return vec![true; all.len()];
        }
        // Hashes first: the look-ups in a map much larger than the caches then overlap.
        self.hashes.clear();
        self.hashes.extend(all.iter().map(|r| r.key.map(|key| self.rules.map.hash(key))));
        let tombstones_go = header.delete_horizon().is_some_and(|at| at <= self.rules.now);
        let mut flags = Vec::with_capacity(all.len());
        for (record, hash) in all.iter().zip(&self.hashes) {
            let offset = header.base_offset.plus(i64::from(record.offset_delta));
            let keep = match hash {
                _ if offset >= self.rules.map_end => true,
                None => {
                    self.counts.keyless += 1;
                    false
                }
                Some(hash) => {
                    let newest = self.rules.map.get(*hash).is_none_or(|newest| offset >= newest);
                    newest && !(record.is_tombstone && tombstones_go)
                }
            };
            flags.push(keep);
        }
        flags
    }

    fn put_batch(
        &self,
        mut header: BatchHeader,
        codec: Compression,
        out: &mut Vec<u8>,
    ) -> BatchHeader {
        let packed;
        let payload = match codec {
            Compression::None => &self.payload,
            _ => {
                packed = compress(codec, &self.payload);
                &packed
            }
        };
        header.seal(payload);
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(payload);
        header
    }
}

fn summary(header: &BatchHeader, all: &[RawRecord<'_>], flags: &[bool]) -> Kept {
    let mut kept = Kept { count: 0, tombstones: false, newest: Timestamp::NONE };
    for (record, _) in all.iter().zip(flags).filter(|(_, keep)| **keep) {
        kept.count += 1;
        kept.tombstones |= record.is_tombstone && !header.attributes.is_control();
        let timestamp = header.base_timestamp.0.wrapping_add(record.timestamp_delta);
        kept.newest = kept.newest.max(Timestamp(timestamp));
    }
    kept
}

/// The header of a batch that keeps some of its records; length and CRC are still to come.
fn rewritten(header: &BatchHeader, kept: Kept, horizon: Option<Timestamp>) -> BatchHeader {
    let max_timestamp = match header.attributes.timestamp_type() {
        TimestampType::CreateTime => kept.newest,
        TimestampType::LogAppendTime => header.max_timestamp,
    };
    BatchHeader {
        attributes: match horizon {
            Some(_) => header.attributes.with_delete_horizon(true),
            None => header.attributes,
        },
        base_timestamp: horizon.unwrap_or(header.base_timestamp),
        max_timestamp,
        records_count: kept.count as i32,
        ..*header
    }
}

/// A batch's header without records.
fn emptied(header: &BatchHeader) -> BatchHeader {
    let attributes =
        records::Attributes::new(Compression::None, header.attributes.timestamp_type())
            .with_transactional(header.attributes.is_transactional())
            .with_control(header.attributes.is_control());
    let mut empty =
        BatchHeader { attributes, base_timestamp: Timestamp::NONE, records_count: 0, ..*header };
    empty.seal(&[]);
    empty
}
