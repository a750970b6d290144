//! A shared partition log.

use crate::PartitionLog;
use std::sync::{Arc, Mutex, MutexGuard};

/// A handle to one partition's log; clones are the same log. The lock is held for page-cache work
/// only, never across a sync or an await.
#[derive(Clone)]
pub struct LogHandle(Arc<Mutex<PartitionLog>>);

impl LogHandle {
    pub fn new(log: PartitionLog) -> LogHandle {
        LogHandle(Arc::new(Mutex::new(log)))
    }

    /// Panics if another thread panicked inside the log: its state cannot be trusted then.
    pub fn lock(&self) -> MutexGuard<'_, PartitionLog> {
        self.0.lock().expect("no thread panicked while it held the log")
    }

    /// Syncs what is in the log now, without holding the lock over the sync. An error poisons the
    /// log. Several callers at once are harmless.
    pub fn sync(&self) -> Result<types::Offset, crate::LogDirError> {
        let job = self.lock().sync();
        let synced = job.run();
        let mut log = self.lock();
        log.complete_sync(synced)?;
        Ok(log.synced_offset())
    }
}
