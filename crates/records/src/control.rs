//! Control records: what a broker, not a client, writes between the data.
//!
//! Key: version i16, type i16 (0 abort, 1 commit, 2 leader change, ...).
//! Value of a transaction marker: version i16, coordinator epoch i32.

use crate::{Batch, BatchBuilder, BatchError, BatchOptions, NewRecord, Record};
use bytes::Buf;
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

/// Version of key and value that we write; later versions only add to the end.
const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

impl ControlRecord {
    /// Reads a record of a control batch.
    pub fn parse(record: &Record) -> Result<ControlRecord, BatchError> {
        let cut = BatchError::BadRecord("control record is cut off");
        let mut key = record.key.clone().unwrap_or_default();
        if key.remaining() < 4 {
            return Err(cut);
        }
        let (version, kind) = (key.get_i16(), key.get_i16());
        if version < 0 {
            return Err(BatchError::BadRecord("control record of a negative version"));
        }
        let kind = match kind {
            ABORT => MarkerKind::Abort,
            COMMIT => MarkerKind::Commit,
            other => return Ok(ControlRecord::Other(other)),
        };
        let mut value = record.value.clone().unwrap_or_default();
        if value.remaining() < 6 {
            return Err(cut);
        }
        if value.get_i16() < 0 {
            return Err(BatchError::BadRecord("marker of a negative version"));
        }
        let coordinator_epoch = value.get_i32();
        Ok(ControlRecord::EndTransaction(EndTransactionMarker { kind, coordinator_epoch }))
    }
}

impl EndTransactionMarker {
    /// The control batch that ends the transaction of this producer.
    pub fn build(&self, producer: (ProducerId, ProducerEpoch), now: Timestamp) -> Batch {
        let kind = match self.kind {
            MarkerKind::Abort => ABORT,
            MarkerKind::Commit => COMMIT,
        };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: producer.0,
            producer_epoch: producer.1,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        builder.push(&NewRecord {
            timestamp: now,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
        });
        builder.build()
    }
}
