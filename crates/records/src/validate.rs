//! The checks of a batch that a client sends, by its header; and the dearer ones, by its records,
//! for topics that need them.
//!
//! Promises: `validate_produced` reads the header and the CRC only, never decompresses, and a
//! [`ProducedBatch`] exists only for bytes that passed it (or that a builder of ours made).

use crate::{Batch, BatchError, BatchHeader, Compression, TimestampType};
use bytes::Bytes;
use types::Timestamp;

/// How far a record's timestamp may lie from the leader's time; `message.timestamp.before.max.ms`
/// and `message.timestamp.after.max.ms`. Not asked for where timestamps are LogAppendTime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampLimits {
    pub now: Timestamp,
    pub before_max_ms: i64,
    pub after_max_ms: i64,
}

impl TimestampLimits {
    /// Fails for a timestamp outside the limits. "No timestamp" (-1) passes.
    pub fn check(&self, timestamp: Timestamp) -> Result<(), BatchError> {
        let earliest = self.now.0.saturating_sub(self.before_max_ms);
        let latest = self.now.0.saturating_add(self.after_max_ms);
        if timestamp == Timestamp::NONE || (earliest..=latest).contains(&timestamp.0) {
            return Ok(());
        }
        Err(BatchError::TimestampOutOfRange { timestamp: timestamp.0, earliest, latest })
    }
}

/// What a topic asks of a produced batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProduceLimits {
    /// `max.message.bytes`: largest batch.
    pub max_message_bytes: usize,
    /// Whether zstd is allowed (Produce version 7 and later).
    pub allow_zstd: bool,
    /// `Some` where the topic's timestamps are CreateTime: checked on the batch's base and max
    /// timestamp; `check_records` looks at each record.
    pub timestamps: Option<TimestampLimits>,
}

/// A batch that passed [`validate_produced`], ready to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedBatch(Batch);

impl ProducedBatch {
    pub fn header(&self) -> &BatchHeader {
        &self.0.header
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    pub fn batch(&self) -> &Batch {
        &self.0
    }

    /// For batches of our own making (coordinators, markers), which may be control batches.
    pub fn from_own(batch: Batch) -> ProducedBatch {
        ProducedBatch(batch)
    }
}

/// Checks what a client sends for one partition: exactly one batch of magic 2 whose length, CRC,
/// record count, attributes, size and producer fields are sound.
pub fn validate_produced(
    records: &Bytes,
    limits: &ProduceLimits,
) -> Result<ProducedBatch, BatchError> {
    if records.is_empty() {
        return Err(BatchError::Empty);
    }
    let batch = Batch::parse_first(records)?;
    if batch.bytes.len() != records.len() {
        return Err(BatchError::NotOneBatch);
    }
    let header = &batch.header;
    if header.size() > limits.max_message_bytes {
        let size = header.size();
        return Err(BatchError::TooLarge { size, limit: limits.max_message_bytes });
    }
    batch.check_crc()?;
    check_header(header, limits)?;
    Ok(ProducedBatch(batch))
}

fn check_header(header: &BatchHeader, limits: &ProduceLimits) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (header.records_count, header.last_offset_delta);
    if count <= 0 || i64::from(count) != i64::from(last_offset_delta) + 1 {
        return Err(BatchError::CountMismatch { count, last_offset_delta });
    }
    if header.attributes.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    // A client has no business with the delete horizon, nor with bits that have no meaning yet.
    if header.attributes.0 & !0x1f != 0 {
        return Err(BatchError::BadAttributes(header.attributes.0));
    }
    if header.attributes.compression()? == Compression::Zstd && !limits.allow_zstd {
        return Err(BatchError::CodecTooNew);
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::BadAttributes(header.attributes.0));
    }
    check_producer(header)?;
    if let Some(timestamps) = &limits.timestamps {
        timestamps.check(header.base_timestamp)?;
        timestamps.check(header.max_timestamp)?;
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    if header.has_producer() {
        if header.producer_epoch.0 < 0 {
            return Err(BatchError::BadProducer("producer id without an epoch"));
        }
        if header.base_sequence < 0 {
            return Err(BatchError::BadProducer("producer id without a sequence"));
        }
    } else if header.attributes.is_transactional() {
        return Err(BatchError::BadProducer("transactional without a producer id"));
    }
    Ok(())
}

/// What is asked of each record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRules {
    /// The topic is compacted: a record needs a key.
    pub needs_key: bool,
    /// As in [`ProduceLimits`].
    pub timestamps: Option<TimestampLimits>,
    /// Most bytes that the records may decompress to.
    pub output_bytes_max: usize,
}

/// A record that breaks a rule, by its place in the batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    pub index: i32,
    pub error: BatchError,
}

/// Checks each record of a batch, decompressing it: for compacted topics and strict timestamps.
/// The list holds every record that breaks a rule (at most `RECORD_ERRORS_MAX`); a batch that
/// cannot be read is one error at index 0.
pub fn check_records(batch: &Batch, rules: &RecordRules) -> Result<(), Vec<RecordError>> {
    let whole = |error| vec![RecordError { index: 0, error }];
    let mut errors = Vec::new();
    let mut index = 0;
    for record in batch.records(rules.output_bytes_max).map_err(whole)? {
        let record = record.map_err(whole)?;
        let missing = rules.needs_key && record.key.is_none();
        let checked = match &rules.timestamps {
            _ if missing => Err(BatchError::MissingKey { index }),
            Some(limits) => limits.check(record.timestamp),
            None => Ok(()),
        };
        if let Err(error) = checked {
            errors.push(RecordError { index, error });
            if errors.len() == RECORD_ERRORS_MAX {
                break;
            }
        }
        index += 1;
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Most record errors reported for a batch: enough to find the fault, and no more than that.
const RECORD_ERRORS_MAX: usize = 100;
