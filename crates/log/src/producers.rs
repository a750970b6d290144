//! What a partition remembers of each idempotent producer, so that a retry is not a second record.
//!
//! Promises: the last five batches of each producer; a batch with the sequences of one of them is a
//! duplicate; any other must continue the last one, unless nothing is known of the producer. The
//! state is a function of the log's batches, but for how long each producer has been silent: that is
//! counted, never read off a wall clock or a record's timestamp, which say nothing of when the broker
//! heard of it (a backfill dates its records a year ago; a clock jumps a day ahead). Pure: no clock,
//! no files.

use crate::AppendError;
use records::{Batch, BatchHeader, ControlRecord, MarkerKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::{Offset, ProducerEpoch, ProducerId, Timestamp};

/// Batches kept for a producer: the most that a client has in flight.
pub const BATCHES_KEPT: usize = 5;

/// A batch that was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchMark {
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: Timestamp,
}

impl BatchMark {
    /// Sequences wrap from the largest `i32` to 0.
    pub fn first_sequence(&self) -> i32 {
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }

    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }
}

/// One producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub epoch: ProducerEpoch,
    /// Oldest first, at most [`BATCHES_KEPT`].
    pub batches: VecDeque<BatchMark>,
    /// Of the last append, marker or data.
    pub last_timestamp: Timestamp,
    pub coordinator_epoch: i32,
    /// The first offset of the transaction that is open.
    pub open_transaction: Option<Offset>,
}

/// What is to be done with a producer's batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sequence {
    /// Append it.
    New,
    /// It is in the log already.
    Duplicate(BatchMark),
}

/// A transaction that a marker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// The marker's.
    pub last_offset: Offset,
    pub kind: MarkerKind,
}

/// All producers of a partition. Two are equal if they treat every batch alike, however long their
/// producers have been silent.
#[derive(Debug, Default, Clone)]
pub struct Producers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
    /// First offsets of open transactions.
    open: BTreeSet<Offset>,
    /// For how many milliseconds each producer is known to have been silent. One that was heard of
    /// since the last [`Producers::expire`] is not in it.
    silent_ms: BTreeMap<ProducerId, u64>,
}

impl PartialEq for Producers {
    fn eq(&self, other: &Producers) -> bool {
        (&self.entries, &self.open) == (&other.entries, &other.open)
    }
}

impl Eq for Producers {}

impl Producers {
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    pub fn entries(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Puts an entry back, from a snapshot: it had been silent for so long when that was written.
    pub fn restore(&mut self, id: ProducerId, entry: ProducerEntry, silent_ms: u64) {
        self.open.extend(entry.open_transaction);
        self.entries.insert(id, entry);
        if silent_ms > 0 {
            self.silent_ms.insert(id, silent_ms);
        }
    }

    /// For how long it is known to have been silent.
    pub fn silent_ms(&self, id: ProducerId) -> u64 {
        self.silent_ms.get(&id).copied().unwrap_or(0)
    }

    /// The producer is there: it sent something, be it again.
    pub fn heard_of(&mut self, id: ProducerId) {
        self.silent_ms.remove(&id);
    }

    /// The first offset of the oldest open transaction.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.open.first().copied()
    }

    /// Kafka's checks of a client's data batch. Batches without a producer, and those of our own
    /// coordinators without a sequence, are always new.
    pub fn check(&self, header: &BatchHeader) -> Result<Sequence, AppendError> {
        let producer_id = header.producer_id;
        let Some(entry) = self.entries.get(&producer_id) else {
            return Ok(Sequence::New);
        };
        let (got, current) = (header.producer_epoch, entry.epoch);
        if let Some(mark) = entry.duplicate_of(header) {
            return Ok(Sequence::Duplicate(*mark));
        }
        if got < current {
            return Err(AppendError::StaleProducerEpoch { producer_id, got, current });
        }
        if header.attributes.is_control() {
            return Ok(Sequence::New);
        }
        if header.base_sequence >= 0 {
            entry.check_sequence(producer_id, header)?;
        }
        if entry.open_transaction.is_some() && !header.attributes.is_transactional() {
            return Err(AppendError::InvalidTransactionState { producer_id });
        }
        Ok(Sequence::New)
    }

    /// Checks a marker against the coordinator epoch last seen.
    pub fn check_marker(&self, id: ProducerId, coordinator_epoch: i32) -> Result<(), AppendError> {
        let current = self.entries.get(&id).map_or(-1, |entry| entry.coordinator_epoch);
        if coordinator_epoch < current {
            return Err(AppendError::StaleCoordinatorEpoch { got: coordinator_epoch, current });
        }
        Ok(())
    }

    /// Takes in a batch that is in the log, with its final offsets. `marker` is its first record if
    /// it is a control batch. Returns the transaction that ends with it.
    pub fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<ControlRecord>,
    ) -> Option<EndedTransaction> {
        if !header.has_producer() {
            return None;
        }
        self.heard_of(header.producer_id);
        let entry = self.entries.entry(header.producer_id).or_insert_with(|| ProducerEntry {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            last_timestamp: header.max_timestamp,
            coordinator_epoch: -1,
            open_transaction: None,
        });
        if entry.epoch < header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = header.max_timestamp;
        if header.attributes.is_control() {
            let Some(ControlRecord::EndTransaction(marker)) = marker else {
                return None;
            };
            entry.coordinator_epoch = entry.coordinator_epoch.max(marker.coordinator_epoch);
            let first_offset = entry.open_transaction.take()?;
            self.open.remove(&first_offset);
            return Some(EndedTransaction {
                producer_id: header.producer_id,
                first_offset,
                last_offset: header.last_offset(),
                kind: marker.kind,
            });
        }
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry.batches.push_back(BatchMark {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
        if header.attributes.is_transactional() && entry.open_transaction.is_none() {
            entry.open_transaction = Some(header.base_offset);
            self.open.insert(header.base_offset);
        }
        None
    }

    /// Time has passed since this was called last: forgets producers that have been silent for as
    /// long as that or longer, unless they have a transaction open. Whoever was heard of meanwhile
    /// begins to be silent now, so that none is forgotten early; a restart stops the count and goes on.
    pub fn expire(&mut self, passed_ms: u64, silent_ms_max: u64) {
        let silent = &mut self.silent_ms;
        self.entries.retain(|id, entry| {
            let ms = match silent.get(id) {
                Some(ms) => ms.saturating_add(passed_ms),
                None => 0,
            };
            let is_kept = entry.open_transaction.is_some() || ms < silent_ms_max;
            match is_kept {
                true => silent.insert(*id, ms),
                false => silent.remove(id),
            };
            is_kept
        });
    }
}

impl ProducerEntry {
    fn duplicate_of(&self, header: &BatchHeader) -> Option<&BatchMark> {
        if header.producer_epoch != self.epoch || header.base_sequence < 0 {
            return None;
        }
        self.batches.iter().find(|mark| {
            mark.first_sequence() == header.base_sequence
                && mark.last_sequence == header.last_sequence()
        })
    }

    fn check_sequence(&self, id: ProducerId, header: &BatchHeader) -> Result<(), AppendError> {
        let got = header.base_sequence;
        let expected = match self.batches.back() {
            // A new epoch starts over.
            _ if header.producer_epoch != self.epoch => 0,
            Some(mark) => mark.last_sequence.wrapping_add(1) & i32::MAX,
            // A marker alone says nothing of sequences: Kafka wants the first there.
            None => 0,
        };
        if got != expected {
            return Err(AppendError::OutOfOrderSequence { producer_id: id, got, expected });
        }
        Ok(())
    }
}

/// The marker in a control batch; `None` for data. A control batch that cannot be read has none.
pub fn marker_of(batch: &Batch) -> Option<ControlRecord> {
    if !batch.header.attributes.is_control() {
        return None;
    }
    let record = batch.records(CONTROL_BYTES_MAX).ok()?.next()?.ok()?;
    ControlRecord::parse(&record).ok()
}

/// Control records are tiny; one that is not is none of ours.
const CONTROL_BYTES_MAX: usize = 64 * 1024;
