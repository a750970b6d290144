//! The checks of a batch that a client sends: first by its header and CRC, then by its records.
//!
//! Promises:
//! - `validate_produced` reads the header and the CRC only; a [`ProducedBatch`] exists only for
//!   bytes that passed it (or that a builder of ours made);
//! - [`ProducedBatch::conform`] walks the records of a plain batch in place, and those of a packed one
//!   through a window, never beyond a cap: a right CRC says that the bytes are the client's, not that
//!   they are records. What cannot be read would stop every reader and compaction; a newest timestamp
//!   that the header makes up would hide records from searches by time, or have retention delete them;
//! - the bytes of a batch stay as they came unless the topic wants another codec, or the header
//!   says what its records do not.
//!
//! Does not: look into a packed batch where the topic says [`PackedValidation::Header`] and its
//! other rules need no look.

use crate::header::{ATTRIBUTES_AT, HEADER_BYTES};
use crate::scan::{PackedLimits, Scanned, scan, scan_packed};
use crate::{Batch, BatchError, BatchHeader, Compression, TimestampType};
use crate::{compress_at, decompress};
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

/// What a topic asks of a produced batch's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProduceLimits {
    /// `max.message.bytes`: largest batch.
    pub max_message_bytes: usize,
    /// Whether zstd is allowed (Produce version 7 and later).
    pub allow_zstd: bool,
}

/// A batch that passed [`validate_produced`], ready to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedBatch(Batch);

/// Checks what a client sends for one partition: exactly one batch of magic 2 whose length, CRC,
/// record count, attributes, size and producer fields are sound. What follows it and is not a whole
/// batch is left out, as Kafka does.
pub fn validate_produced(
    records: &Bytes,
    limits: &ProduceLimits,
) -> Result<ProducedBatch, BatchError> {
    let batch = match Batch::parse_first(records) {
        Ok(batch) => batch,
        // A set without a whole batch.
        Err(BatchError::Truncated { .. }) => return Err(BatchError::Empty),
        Err(error) => return Err(error),
    };
    match Batch::parse_first(&records.slice(batch.bytes.len()..)) {
        Err(BatchError::Truncated { .. }) => {}
        Ok(_) | Err(_) => return Err(BatchError::NotOneBatch),
    }
    let header = &batch.header;
    if header.attributes.compression() == Ok(Compression::Zstd) && !limits.allow_zstd {
        return Err(BatchError::CodecTooNew);
    }
    if header.size() > limits.max_message_bytes {
        let size = header.size();
        return Err(BatchError::TooLarge { size, limit: limits.max_message_bytes });
    }
    batch.check_crc()?;
    check_header(header)?;
    Ok(ProducedBatch(batch))
}

fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (header.records_count, header.last_offset_delta);
    if count <= 0 || i64::from(count) != i64::from(last_offset_delta) + 1 {
        return Err(BatchError::CountMismatch { count, last_offset_delta });
    }
    if header.base_offset.0 != 0 {
        return Err(BatchError::BadBaseOffset(header.base_offset.0));
    }
    if header.attributes.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    // That is the cleaner's: the base timestamp would be read as a horizon. Bits that have no meaning
    // yet are let through, as Kafka does: a newer client may set them.
    if header.attributes.has_delete_horizon() {
        return Err(BatchError::DeleteHorizonFromClient);
    }
    header.attributes.compression()?;
    check_producer(header)
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

/// The codec that a topic stores its batches in, where that is not the producer's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TargetCodec {
    pub codec: Compression,
    /// `None`: Kafka's default.
    pub level: Option<i32>,
}

/// How far a packed batch is looked into; `ottla.packed.validation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackedValidation {
    /// Every record is walked.
    Full,
    /// The header is believed where it says all that the topic's other rules ask.
    Header,
}

/// What a topic asks of a batch's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRules {
    /// The topic is compacted: a record needs a key.
    pub needs_key: bool,
    /// `Some` where the topic's timestamps are CreateTime.
    pub timestamps: Option<TimestampLimits>,
    /// `compression.type`; `None` is `producer`.
    pub target: Option<TargetCodec>,
    /// As in [`ProduceLimits`]: asked again of a batch that was packed anew.
    pub max_message_bytes: usize,
    pub packed: PackedValidation,
    /// `max.decompressed.message.bytes`: the largest record of a packed batch.
    pub record_bytes_max: usize,
    /// Most bytes that the records may unpack to.
    pub output_bytes_max: usize,
}

impl RecordRules {
    /// For a batch that conformed to these rules: it still does, and nothing is looked at twice.
    pub fn once_conformed(self) -> RecordRules {
        RecordRules { needs_key: false, timestamps: None, packed: PackedValidation::Header, ..self }
    }
}

/// A record that breaks a rule, by its place in the batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    pub index: i32,
    pub error: BatchError,
}

/// Why a batch does not conform to its topic's rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// The batch as a whole.
    Batch(BatchError),
    /// The records that break a rule: at least one, at most [`RECORD_ERRORS_MAX`].
    Records(Vec<RecordError>),
}

impl From<BatchError> for Rejection {
    fn from(error: BatchError) -> Rejection {
        Rejection::Batch(error)
    }
}

/// Most record errors reported for a batch: enough to find the fault, and no more than that.
pub const RECORD_ERRORS_MAX: usize = 100;

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

    /// Whether [`ProducedBatch::conform`] unpacks or packs records, which takes longer than a look.
    pub fn must_unpack(&self, rules: &RecordRules) -> bool {
        let codec = self.header().attributes.compression();
        self.must_repack(rules) || (codec != Ok(Compression::None) && self.must_look(rules))
    }

    /// Whether [`ProducedBatch::conform`] packs the records anew.
    pub fn must_repack(&self, rules: &RecordRules) -> bool {
        let codec = self.header().attributes.compression();
        rules.target.is_some_and(|target| Ok(target.codec) != codec)
    }

    fn must_look(&self, rules: &RecordRules) -> bool {
        let is_full = rules.packed == PackedValidation::Full;
        is_full || rules.needs_key || !header_is_enough(self.header(), rules)
    }

    /// Checks the records by the topic's rules and gives the batch as it is to be stored.
    pub fn conform(self, rules: &RecordRules) -> Result<ProducedBatch, Rejection> {
        let header = *self.header();
        let codec = header.attributes.compression()?;
        if codec != Compression::None && !self.must_unpack(rules) {
            return Ok(self);
        }
        let payload = self.0.bytes.slice(HEADER_BYTES..);
        let max_timestamp = check_records(&header, codec, &payload, rules)?;
        let target = rules.target.filter(|target| target.codec != codec);
        let attributes = match target {
            Some(target) => header.attributes.with_compression(target.codec),
            None => header.attributes,
        }
        .with_timestamp_type(TimestampType::CreateTime);
        let payload = match target {
            Some(target) => {
                let plain = decompress(codec, &payload, rules.output_bytes_max)?;
                compress_at(target.codec, target.level, &plain).into()
            }
            None if attributes == header.attributes && max_timestamp == header.max_timestamp => {
                return Ok(self);
            }
            None => payload,
        };
        let batch = rebuilt(BatchHeader { attributes, max_timestamp, ..header }, &payload);
        let (size, limit) = (batch.bytes.len(), rules.max_message_bytes);
        if size > limit {
            return Err(BatchError::TooLarge { size, limit }.into());
        }
        Ok(ProducedBatch(batch))
    }
}

/// Whether the header of a packed batch tells all that the timestamp rules ask. A batch with a
/// lower bound has no field for it; one whose newest record is out of bounds is unpacked so that
/// the client learns which.
fn header_is_enough(header: &BatchHeader, rules: &RecordRules) -> bool {
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return false;
    }
    let Some(limits) = &rules.timestamps else { return true };
    limits.before_max_ms == i64::MAX
        && limits.check(header.base_timestamp).is_ok()
        && limits.check(header.max_timestamp).is_ok()
}

/// Gives the newest timestamp.
fn check_records(
    header: &BatchHeader,
    codec: Compression,
    payload: &Bytes,
    rules: &RecordRules,
) -> Result<Timestamp, Rejection> {
    let claims_append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut max_timestamp = Timestamp::NONE;
    let mut errors = Vec::new();
    let mut index = 0;
    let visit = |record: Scanned| {
        let timestamp = Timestamp(record.timestamp);
        max_timestamp = max_timestamp.max(timestamp);
        let checked = match &rules.timestamps {
            _ if rules.needs_key && !record.has_key => Err(BatchError::MissingKey { index }),
            Some(limits) => limits.check(timestamp),
            None if claims_append_time => Err(BatchError::AppendTimeFromClient { index }),
            None => Ok(()),
        };
        if let Err(error) = checked
            && errors.len() < RECORD_ERRORS_MAX
        {
            errors.push(RecordError { index, error });
        }
        index += 1;
    };
    match codec {
        Compression::None => scan(header, payload, visit)?,
        _ => {
            let (record_bytes_max, output_bytes_max) =
                (rules.record_bytes_max, rules.output_bytes_max);
            let limits = PackedLimits { record_bytes_max, output_bytes_max };
            scan_packed(header, codec, payload, &limits, visit)?;
        }
    }
    if errors.is_empty() { Ok(max_timestamp) } else { Err(Rejection::Records(errors)) }
}

/// The batch of a header whose length and CRC are still to be set.
fn rebuilt(mut header: BatchHeader, payload: &[u8]) -> Batch {
    header.length = i32::try_from(HEADER_BYTES - crate::BATCH_OVERHEAD + payload.len())
        .expect("a batch stays below 2 GiB");
    let crc = crc32c::crc32c(&header.encode()[ATTRIBUTES_AT..]);
    header.crc = crc32c::crc32c_append(crc, payload);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(payload);
    Batch { header, bytes: bytes.into() }
}

#[cfg(test)]
#[path = "validate_test.rs"]
mod tests;
