//! Reads that are planned under the log's lock and run outside it.

use crate::ReadError;
use bytes::Bytes;
use env::File;
use std::io;
use std::sync::Arc;
use types::{LeaderEpoch, Offset, Timestamp};

/// A stretch of whole batches in one segment file. Stays readable after truncation or deletion of
/// the segment; after a truncation the bytes may be others, so the caller checks the leader epoch
/// again before it sends them.
pub struct ReadPlan {
    file: Arc<dyn File>,
    position: u64,
    length: usize,
    start_offset: Offset,
}

impl ReadPlan {
    /// Reads the batches: whole ones, of which the first holds the asked offset (its base offset
    /// may be lower). Empty if the plan is.
    pub fn read(&self) -> io::Result<Bytes> {
        self.file.read_bytes_at(self.length, self.position)
    }

    /// The file, for a caller that moves the bytes another way (sendfile, mmap).
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that `read` returns.
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The offset that was asked for.
    pub fn start_offset(&self) -> Offset {
        self.start_offset
    }
}

/// Where a timestamp is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

/// A search for a timestamp. Reads and may decompress batches, so it runs outside the lock.
pub struct TimestampSearch {}

impl TimestampSearch {
    /// The first record that fits; `None` if there is none.
    pub fn run(self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
}
