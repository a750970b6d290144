//! A shared partition log.

use crate::damage::{Damage, Damages};
use crate::{LogDirError, PartitionLog, ScrubCursor, Scrubbed};
use env::sections::lock;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use types::Offset;

struct Shared {
    log: Mutex<PartitionLog>,
    /// Held by who syncs, so that those who wait for it share the next sync (group commit).
    syncing: Mutex<()>,
    /// The log's own.
    failure: Arc<OnceLock<LogDirError>>,
    damages: Damages,
}

/// A handle to one partition's log; clones are the same log. The lock is held for page-cache work
/// only, never across a sync or an await.
#[derive(Clone)]
pub struct LogHandle(Arc<Shared>);

impl LogHandle {
    pub fn new(log: PartitionLog) -> LogHandle {
        let (failure, damages) = (log.failure_cell(), log.damages_cell());
        let (log, syncing) = (Mutex::new(log), Mutex::new(()));
        LogHandle(Arc::new(Shared { log, syncing, failure, damages }))
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

    /// Verifies the CRCs of what is synced, from `at` on: at least one batch, and at most `bytes_max`
    /// bytes if that is more; stays within a segment. Start with the default cursor, and go on with
    /// [`Scrubbed::next`], which also leads on past damage. The lock is held for an index look-up, not
    /// while batches are read. What is in the page cache is verified there, not on the medium. Blocks.
    pub fn scrub(&self, at: ScrubCursor, bytes_max: u64) -> Result<Scrubbed, LogDirError> {
        let part = self.lock().scrub_part(at)?;
        let Some(part) = part else {
            return Ok(Scrubbed { next: at, bytes: 0, damage: None, is_at_end: true });
        };
        let walked = part.walk(bytes_max)?;
        Ok(self.lock().scrubbed(&part, walked))
    }

    /// Reads the batch that holds `offset` and checks it: for whoever was told, or saw, that
    /// something is wrong there. Damage that is found is known to the log from then on. `None`: all
    /// is well, or there is no such record. Blocks, under the lock, for one batch.
    pub fn examine(&self, offset: Offset) -> Result<Option<Damage>, LogDirError> {
        self.lock().examine(offset)
    }

    /// What is known to be damaged, by rising offset; empty for a sound log. Takes no lock of the
    /// log: cheap enough for a look at every log now and then.
    pub fn damages(&self) -> Vec<Damage> {
        self.0.damages.list()
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
