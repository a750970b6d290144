//! A shared partition log.

use crate::{LogDirError, PartitionLog};
use env::sections::lock;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use types::Offset;

struct Shared {
    log: Mutex<PartitionLog>,
    /// Held by who syncs, so that those who wait for it share the next sync (group commit).
    syncing: Mutex<()>,
    /// The log's own.
    failure: Arc<OnceLock<LogDirError>>,
}

/// A handle to one partition's log; clones are the same log. The lock is held for page-cache work
/// only, never across a sync or an await.
#[derive(Clone)]
pub struct LogHandle(Arc<Shared>);

impl LogHandle {
    pub fn new(log: PartitionLog) -> LogHandle {
        let failure = log.failure_cell();
        LogHandle(Arc::new(Shared { log: Mutex::new(log), syncing: Mutex::new(()), failure }))
    }

    /// Panics if another thread panicked inside the log: its state cannot be trusted then.
    pub fn lock(&self) -> MutexGuard<'_, PartitionLog> {
        lock(&self.0.log).expect("no thread panicked while it held the log")
    }

    /// Syncs what is in the log now, without holding the lock over the sync. Callers at the same
    /// time share syncs: each waits for one that began after it asked. An error poisons the log.
    /// Returns the synced offset. Blocks.
    pub fn sync(&self) -> Result<Offset, LogDirError> {
        let wanted = self.lock().end_offset();
        let _one = self.0.syncing.lock().expect("no thread panicked in a sync");
        let job = {
            let mut log = self.lock();
            if log.synced_offset() >= wanted && !log.owes_names() {
                return Ok(log.synced_offset());
            }
            log.sync()
        };
        let synced = job.run();
        let mut log = self.lock();
        log.complete_sync(synced)?;
        Ok(log.synced_offset())
    }

    /// The log's directory failed: it takes no more appends, whoever still holds it. Takes no lock:
    /// the caller may hold it.
    pub(crate) fn fail(&self, error: &LogDirError) {
        let _ = self.0.failure.set(error.clone());
    }

    /// Whether both are handles of one log.
    pub fn is_same(&self, other: &LogHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
