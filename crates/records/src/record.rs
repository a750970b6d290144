//! The records inside a batch.

use crate::{Batch, BatchError};
use bytes::Bytes;
use types::{Offset, Timestamp};

/// A record header. Keys may repeat; order is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record as read from a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub offset: Offset,
    /// The batch's max timestamp where the batch's type is LogAppendTime.
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A record to put into a batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewRecord {
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Walks the records of a batch. A fault is the last item.
pub struct Records {
    rest: Bytes,
}

impl Records {
    pub(crate) fn of(batch: &Batch, output_bytes_max: usize) -> Result<Records, BatchError> {
        let _ = (batch, output_bytes_max);
        todo!()
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = &self.rest;
        todo!()
    }
}
