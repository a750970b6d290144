//! Batches of our own making: coordinators' writes, markers, the client's produce.

use crate::header::{ATTRIBUTES_AT, BATCH_OVERHEAD, HEADER_BYTES};
use crate::record::Place;
use crate::{Attributes, Batch, BatchHeader, Compression, NewRecord, TimestampType, compress};
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// What a batch says of itself besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchOptions {
    pub base_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    pub compression: Compression,
    pub timestamp_type: TimestampType,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// -1: none.
    pub base_sequence: i32,
    pub transactional: bool,
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            compression: Compression::None,
            timestamp_type: TimestampType::CreateTime,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            transactional: false,
            control: false,
        }
    }
}

/// Collects records into one batch.
///
/// ```
/// use records::{BatchBuilder, BatchOptions, NewRecord};
/// let mut builder = BatchBuilder::new(BatchOptions::default());
/// builder.push(&NewRecord { value: Some("hello".into()), ..NewRecord::default() });
/// let batch = builder.build();
/// assert_eq!(batch.header.records_count, 1);
/// ```
pub struct BatchBuilder {
    options: BatchOptions,
    payload: Vec<u8>,
    scratch: Vec<u8>,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> BatchBuilder {
        BatchBuilder {
            options,
            payload: Vec::new(),
            scratch: Vec::new(),
            count: 0,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Appends a record; its offset is the base offset plus the number of records before it.
    pub fn push(&mut self, record: &NewRecord) {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.0 - self.base_timestamp.0;
        let place = Place { timestamp_delta, offset_delta: self.count };
        record.encode(place, &mut self.scratch, &mut self.payload);
        self.count += 1;
    }

    /// Records so far.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Uncompressed bytes so far, with the header.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// The batch. There must be a record: an empty batch has no offset.
    pub fn build(self) -> Batch {
        assert!(self.count > 0, "a batch holds a record at least");
        let options = &self.options;
        let payload = match options.compression {
            Compression::None => self.payload,
            codec => compress(codec, &self.payload),
        };
        let length = i32::try_from(HEADER_BYTES - BATCH_OVERHEAD + payload.len())
            .expect("a batch stays below 2 GiB");
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            length,
            leader_epoch: options.leader_epoch,
            crc: 0,
            attributes: Attributes::new(options.compression, options.timestamp_type)
                .with_transactional(options.transactional)
                .with_control(options.control),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            records_count: self.count,
        };
        let crc = crc32c::crc32c(&header.encode()[ATTRIBUTES_AT..]);
        header.crc = crc32c::crc32c_append(crc, &payload);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&payload);
        Batch { header, bytes: bytes.into() }
    }
}
