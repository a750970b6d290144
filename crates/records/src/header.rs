//! The 61-byte header of a batch.
//!
//! | offset | bytes | field |
//! |--|--|--|
//! | 0 | 8 | base offset |
//! | 8 | 4 | length of what follows this field |
//! | 12 | 4 | partition leader epoch (outside the CRC: the leader stamps it) |
//! | 16 | 1 | magic, 2 |
//! | 17 | 4 | CRC-32C of bytes 21 to the end |
//! | 21 | 2 | attributes |
//! | 23 | 4 | last offset delta |
//! | 27 | 8 | base timestamp (the delete horizon if attribute bit 6) |
//! | 35 | 8 | max timestamp |
//! | 43 | 8 | producer id |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | records count |
//! | 61 | | records; the codec covers only this part |

use crate::{BatchError, Compression};
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Size of a batch's header.
pub const HEADER_BYTES: usize = 61;
/// Bytes before and with the length field: a batch's size is this plus its length.
pub const BATCH_OVERHEAD: usize = 12;

const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The producer, for each record.
    #[default]
    CreateTime,
    /// The leader at append: the batch's max timestamp holds for all its records.
    LogAppendTime,
}

/// A batch's attribute bits: 0-2 codec, 3 timestamp type, 4 transactional, 5 control,
/// 6 delete horizon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    pub fn new(codec: Compression, timestamps: TimestampType) -> Attributes {
        let bit = match timestamps {
            TimestampType::CreateTime => 0,
            TimestampType::LogAppendTime => Attributes::LOG_APPEND_TIME,
        };
        Attributes(codec as i16 | bit)
    }

    pub fn with_transactional(self, yes: bool) -> Attributes {
        if yes { Attributes(self.0 | Attributes::TRANSACTIONAL) } else { self }
    }

    pub fn with_control(self, yes: bool) -> Attributes {
        if yes { Attributes(self.0 | Attributes::CONTROL) } else { self }
    }

    pub fn with_delete_horizon(self, yes: bool) -> Attributes {
        match yes {
            true => Attributes(self.0 | Attributes::DELETE_HORIZON),
            false => Attributes(self.0 & !Attributes::DELETE_HORIZON),
        }
    }

    pub fn with_compression(self, codec: Compression) -> Attributes {
        Attributes(self.0 & !Attributes::CODEC | codec as i16)
    }

    pub fn with_timestamp_type(self, timestamps: TimestampType) -> Attributes {
        match timestamps {
            TimestampType::CreateTime => Attributes(self.0 & !Attributes::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Attributes(self.0 | Attributes::LOG_APPEND_TIME),
        }
    }

    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id((self.0 & Attributes::CODEC) as u8)
    }

    pub fn timestamp_type(self) -> TimestampType {
        match self.0 & Attributes::LOG_APPEND_TIME != 0 {
            true => TimestampType::LogAppendTime,
            false => TimestampType::CreateTime,
        }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }

    pub fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }
}

/// A parsed header. Holds what the bytes say; only magic and length are checked by `parse`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes after the length field.
    pub length: i32,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub records_count: i32,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("slice of the asked length")
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may hold less than the whole batch but
    /// not less than the header. Checks magic (2), that the length covers a header, and that the
    /// last offset delta is not negative and does not pass the largest offset.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if bytes.len() > MAGIC_AT && bytes[MAGIC_AT] != 2 {
            return Err(BatchError::UnsupportedMagic(bytes[MAGIC_AT] as i8));
        }
        if bytes.len() < HEADER_BYTES {
            return Err(BatchError::Truncated { have: bytes.len(), need: HEADER_BYTES });
        }
        let header = BatchHeader {
            base_offset: Offset(i64::from_be_bytes(array(bytes, 0))),
            length: i32::from_be_bytes(array(bytes, 8)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(array(bytes, 12))),
            crc: u32::from_be_bytes(array(bytes, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(array(bytes, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(array(bytes, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(array(bytes, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(array(bytes, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(array(bytes, 51))),
            base_sequence: i32::from_be_bytes(array(bytes, 53)),
            records_count: i32::from_be_bytes(array(bytes, 57)),
        };
        if header.length < (HEADER_BYTES - BATCH_OVERHEAD) as i32 {
            return Err(BatchError::BadLength(header.length));
        }
        let delta = header.last_offset_delta;
        if delta < 0 || header.base_offset.0.checked_add(i64::from(delta) + 1).is_none() {
            let count = header.records_count;
            return Err(BatchError::CountMismatch { count, last_offset_delta: delta });
        }
        Ok(header)
    }

    /// Since when tombstones and markers of the batch may go: compaction keeps that in the place of
    /// the base timestamp.
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Sets length and CRC to those of a payload.
    pub fn seal(&mut self, payload: &[u8]) {
        self.length = i32::try_from(HEADER_BYTES - BATCH_OVERHEAD + payload.len())
            .expect("a batch stays below 2 GiB");
        let crc = crc32c::crc32c(&self.encode()[ATTRIBUTES_AT..]);
        self.crc = crc32c::crc32c_append(crc, payload);
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        BATCH_OVERHEAD + self.length as usize
    }

    /// The offset of the batch's last record (inclusive).
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch (exclusive).
    pub fn end_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// The sequence number of the last record; wraps from the largest `i32` to 0. -1 if the batch
    /// has none.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        // Sequences count in 31 bits.
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// Compares the stored CRC with that of `batch`, which must be the whole batch.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        let size = self.size();
        if batch.len() < size {
            return Err(BatchError::Truncated { have: batch.len(), need: size });
        }
        let computed = crc32c::crc32c(&batch[ATTRIBUTES_AT..size]);
        if computed != self.crc {
            return Err(BatchError::BadCrc { stored: self.crc, computed });
        }
        Ok(())
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        out[MAGIC_AT] = 2;
        out[CRC_AT..21].copy_from_slice(&self.crc.to_be_bytes());
        out[ATTRIBUTES_AT..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        out[MAX_TIMESTAMP_AT..43].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        out
    }
}

/// What a leader writes into a batch that it appends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// Some: the topic's timestamps are LogAppendTime, and this is the append's time.
    pub log_append_time: Option<Timestamp>,
}

/// A stamped copy of a batch's header. `batch` must be a whole, parsed batch of at least a header;
/// its payload stays as it is. The CRC is computed again only for a LogAppendTime that changes the
/// header, since base offset and leader epoch lie outside it.
pub fn stamp(batch: &[u8], stamp: Stamp) -> [u8; HEADER_BYTES] {
    let mut out: [u8; HEADER_BYTES] = array(batch, 0);
    out[0..8].copy_from_slice(&stamp.base_offset.0.to_be_bytes());
    out[12..16].copy_from_slice(&stamp.leader_epoch.0.to_be_bytes());
    if let Some(now) = stamp.log_append_time {
        let attributes = i16::from_be_bytes(array(&out, ATTRIBUTES_AT));
        let attributes = attributes | Attributes::LOG_APPEND_TIME;
        out[ATTRIBUTES_AT..23].copy_from_slice(&attributes.to_be_bytes());
        out[MAX_TIMESTAMP_AT..43].copy_from_slice(&now.0.to_be_bytes());
        let crc = crc32c::crc32c(&out[ATTRIBUTES_AT..]);
        let crc = crc32c::crc32c_append(crc, &batch[HEADER_BYTES..]);
        out[CRC_AT..21].copy_from_slice(&crc.to_be_bytes());
    }
    out
}
