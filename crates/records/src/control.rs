//! Control records: what a broker, not a client, writes between the data.
//!
//! Key: version i16, type i16 (0 abort, 1 commit, 2 leader change, ...).
//! Value of a transaction marker: version i16, coordinator epoch i32.

use crate::{Batch, BatchError, Record};
use types::{ProducerEpoch, ProducerId, Timestamp};

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarkerKind {
    Abort,
    Commit,
}

/// The end of a producer's transaction in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransactionMarker {
    pub kind: MarkerKind,
    pub coordinator_epoch: i32,
}

/// A control record's meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRecord {
    EndTransaction(EndTransactionMarker),
    /// A type that matters to other systems only (leader change, snapshot header ...): its number.
    Other(i16),
}

impl ControlRecord {
    /// Reads a record of a control batch.
    pub fn parse(record: &Record) -> Result<ControlRecord, BatchError> {
        let _ = record;
        todo!()
    }
}

impl EndTransactionMarker {
    /// The control batch that ends the transaction of this producer.
    pub fn build(&self, producer: (ProducerId, ProducerEpoch), now: Timestamp) -> Batch {
        let _ = (producer, now);
        todo!()
    }
}
