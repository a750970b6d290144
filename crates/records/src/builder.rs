//! Batches of our own making: coordinators' writes, markers, the client's produce.

use crate::{Batch, Compression, NewRecord, TimestampType};
use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

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
/// ```ignore
/// let mut builder = BatchBuilder::new(BatchOptions::default());
/// builder.push(&NewRecord { timestamp, key: None, value: Some(value), headers: vec![] });
/// let batch = builder.build();
/// ```
pub struct BatchBuilder {
    options: BatchOptions,
}

impl BatchBuilder {
    pub fn new(options: BatchOptions) -> BatchBuilder {
        BatchBuilder { options }
    }

    /// Appends a record; its offset is the base offset plus the number of records before it.
    pub fn push(&mut self, record: &NewRecord) {
        let _ = (record, &self.options);
        todo!()
    }

    /// Records so far.
    pub fn count(&self) -> usize {
        todo!()
    }

    /// Uncompressed bytes so far, with the header.
    pub fn size(&self) -> usize {
        todo!()
    }

    /// The batch. There must be a record: an empty batch has no offset.
    pub fn build(self) -> Batch {
        todo!()
    }
}
