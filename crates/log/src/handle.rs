//! A shared partition log.
//!
//! Group commit: one sync of a log runs at a time, and appends go on beside it. Who asks for a sync
//! meanwhile waits for the next one, which covers everybody who waits by then; its end wakes them all
//! at once. So the records that a sync covers grow with the time that it takes, and a round of 64
//! writers costs about two syncs.

use crate::damage::{Damage, Damages};
use crate::sync::Covered;
use crate::{LogDirError, PartitionLog, ScrubCursor, Scrubbed};
use env::sections::lock;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use types::Offset;

struct Shared {
    log: Mutex<PartitionLog>,
    group: Mutex<Group>,
    /// A sync has ended.
    ended: Condvar,
    /// The log's own.
    failure: Arc<OnceLock<LogDirError>>,
    damages: Damages,
}

/// The syncs that those who wait share, by number.
#[derive(Default)]
struct Group {
    /// The newest that began: it may not cover what was appended since.
    begun: u64,
    /// The newest that ended.
    ended: u64,
    is_running: bool,
    /// What the newest that went well covers.
    covered: Option<Covered>,
}

/// The one that runs a sync. However it ends, another may begin.
struct Turn<'a> {
    shared: &'a Shared,
    number: u64,
    /// Whether it has run, and what it covers if it went well.
    ended: Option<Option<Covered>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut group = self.shared.group();
        group.is_running = false;
        if let Some(covered) = self.ended {
            group.ended = self.number;
            group.covered = covered.or(group.covered);
        }
        drop(group);
        self.shared.ended.notify_all();
    }
}

impl Shared {
    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().expect("no thread panicked with the group of a sync")
    }

    fn log(&self) -> MutexGuard<'_, PartitionLog> {
        lock(&self.log).expect("no thread panicked while it held the log")
    }

    /// Syncs what is in the log by now.
    fn sync(&self, number: u64) -> Result<Offset, LogDirError> {
        let mut turn = Turn { shared: self, number, ended: None };
        let job = self.log().sync();
        let covered = job.covered;
        let synced = job.run();
        let mut log = self.log();
        let done = log.complete_sync(synced);
        let offset = log.synced_offset();
        drop(log);
        turn.ended = Some(done.is_ok().then_some(covered));
        done.map(|()| offset)
    }
}

/// A handle to one partition's log; clones are the same log. The lock is held for page-cache work
/// only, never across a sync or an await.
#[derive(Clone)]
pub struct LogHandle(Arc<Shared>);

impl LogHandle {
    pub fn new(log: PartitionLog) -> LogHandle {
        let (failure, damages) = (log.failure_cell(), log.damages_cell());
        let (log, group, ended) = (Mutex::new(log), Mutex::default(), Condvar::new());
        LogHandle(Arc::new(Shared { log, group, ended, failure, damages }))
    }

    /// Panics if another thread panicked inside the log: its state cannot be trusted then.
    pub fn lock(&self) -> MutexGuard<'_, PartitionLog> {
        self.0.log()
    }

    /// Syncs what is in the log now, without holding the lock over the sync. Callers at the same
    /// time share syncs: each waits for one that began after it asked. An error poisons the log.
    /// Returns the synced offset. Blocks.
    pub fn sync(&self) -> Result<Offset, LogDirError> {
        let wanted = {
            let log = self.lock();
            if log.synced_offset() == log.end_offset() && !log.owes_names() {
                return Ok(log.synced_offset());
            }
            log.to_cover()
        };
        let mut group = self.0.group();
        // One that has begun may have looked at the log before the caller's append.
        let mine = group.begun + 1;
        while group.ended < mine && !group.covered.is_some_and(|covered| covered.reaches(&wanted)) {
            if group.is_running {
                group = self.0.ended.wait(group).expect("no thread panicked with the group");
                continue;
            }
            group.is_running = true;
            group.begun += 1;
            let number = group.begun;
            drop(group);
            return self.0.sync(number);
        }
        drop(group);
        match self.0.failure.get() {
            Some(error) => Err(error.clone()),
            None => Ok(self.lock().synced_offset()),
        }
    }

    /// Verifies the CRCs of what is synced, from `at` on: at least one batch, and at most `bytes_max`
    /// bytes if that is more; stays within a segment. Start with the default cursor, and go on with
    /// [`Scrubbed::next`], which also leads on past damage. The lock is held for an index look-up, not
    /// while batches are read. What is in the page cache is verified there, not on the medium; what is
    /// not, does not stay there. Blocks.
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

    /// Takes the batch that holds `offset` for damaged: its leader epoch, which this log believed, is
    /// above that of what its leaders have next. As [`LogHandle::examine`] otherwise.
    pub fn blame_epoch(&self, offset: Offset) -> Result<Option<Damage>, LogDirError> {
        self.lock().blame_epoch(offset)
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
