//! One batch with its bytes, and the walk over many.

use crate::{BatchError, BatchHeader, Records};
use bytes::Bytes;

/// A whole batch: its parsed header and exactly its bytes, header included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub header: BatchHeader,
    pub bytes: Bytes,
}

impl Batch {
    /// The first batch of `bytes`, which may hold more. The CRC is not checked.
    pub fn parse_first(bytes: &Bytes) -> Result<Batch, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        if bytes.len() < header.size() {
            return Err(BatchError::Truncated { have: bytes.len(), need: header.size() });
        }
        Ok(Batch { header, bytes: bytes.slice(..header.size()) })
    }

    pub fn check_crc(&self) -> Result<(), BatchError> {
        self.header.check_crc(&self.bytes)
    }

    /// The batch's records, decompressed into at most `output_bytes_max` bytes.
    pub fn records(&self, output_bytes_max: usize) -> Result<Records, BatchError> {
        Records::of(self, output_bytes_max)
    }
}

/// Walks whole batches from the start of `bytes`. A fault (or a torn last batch) is the last item.
pub fn batches(bytes: &Bytes) -> Batches {
    Batches { rest: bytes.clone() }
}

/// See [`batches`].
pub struct Batches {
    rest: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = Batch::parse_first(&self.rest);
        match &item {
            Ok(batch) => self.rest = self.rest.slice(batch.bytes.len()..),
            Err(_) => self.rest = Bytes::new(),
        }
        Some(item)
    }
}
