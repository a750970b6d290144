//! A sync that is planned under the log's lock and run outside it.

use types::Offset;

/// What must reach the disk so that all below `end_offset` survives a power cut.
pub struct SyncJob {
    end_offset: Offset,
}

/// A job that ran; hand it to `PartitionLog::complete_sync`, whatever came of it.
#[must_use]
pub struct Synced {
    end_offset: Offset,
}

impl SyncJob {
    /// Blocks until it is done: call it on a blocking thread.
    pub fn run(self) -> Synced {
        Synced { end_offset: self.end_offset }
    }

    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }
}
impl Synced {
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }
}
