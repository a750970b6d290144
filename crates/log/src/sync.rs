//! A sync that is planned under the log's lock and run outside it.
//!
//! Promises: one sync of a log at a time, and none after one that failed: an error that the kernel
//! reports once cannot be missed by a second job that runs beside the first.

use crate::open_files::LazyFile;
use crate::{LogDirError, checkpoint};
use env::{Disk, File, disk::write_file_atomically};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use types::{EpochOffset, Offset, Timestamp};

/// What a log knows of its syncs.
#[derive(Default)]
pub(crate) struct SyncState {
    /// Held while a job runs, and by a truncation while it writes the epochs.
    pub gate: Arc<Mutex<Gate>>,
    /// Raised by every truncation: a job from before says nothing of what was written since.
    pub generation: u64,
    /// Counts changes of the directory's names, and how many of them are synced.
    pub names_changed: u64,
    pub names_synced: u64,
    /// The epochs' version that is on disk.
    pub epochs_saved: u64,
    /// Snapshots written and not known to be synced.
    pub snapshots: Vec<LazyFile>,
    /// Segments whose indexes were completed, and are not known to be synced, by base.
    pub sealed: Vec<Offset>,
    /// A segment was sealed since the last sync.
    pub rolled: bool,
    /// Time of the first append since the last sync.
    pub unsynced_since: Option<Timestamp>,
}

/// What jobs and the log tell each other.
#[derive(Default)]
pub(crate) struct Gate {
    /// A job failed.
    pub failed: Option<LogDirError>,
    /// That of the log, as of the last truncation whose epochs are being written or on disk.
    pub generation: u64,
    /// The version of the epochs that is on disk: a job that was planned earlier and runs later must
    /// not put an older one in its place.
    pub epochs: u64,
}

/// What a job covers.
#[derive(Clone, Copy)]
pub(crate) struct Covered {
    pub end_offset: Offset,
    pub generation: u64,
    pub names: u64,
    pub epochs: u64,
}

impl Covered {
    /// Whether a job that covers this covers `wanted`, too. Not across a truncation, which begins a
    /// new count of what is where.
    pub fn reaches(&self, wanted: &Covered) -> bool {
        self.generation == wanted.generation
            && self.end_offset >= wanted.end_offset
            && self.names >= wanted.names
            && self.epochs >= wanted.epochs
    }
}

/// What must reach the disk so that all below `end_offset` survives a power cut.
pub struct SyncJob {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log_dir: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) gate: Arc<Mutex<Gate>>,
    pub(crate) files: Vec<Arc<dyn File>>,
    /// A file that should be among them could not be opened.
    pub(crate) unopened: Option<io::Error>,
    pub(crate) epochs: Option<(PathBuf, Vec<EpochOffset>)>,
    pub(crate) sync_names: bool,
    pub(crate) covered: Covered,
    /// The log's own: closed, or what broke it.
    pub(crate) failure: Arc<OnceLock<LogDirError>>,
}

/// A job that ran; hand it to `PartitionLog::complete_sync`, whatever came of it.
#[must_use]
pub struct Synced {
    pub(crate) covered: Covered,
    pub(crate) result: Result<(), LogDirError>,
}

impl SyncJob {
    /// Blocks until it is done, and while another job of this log runs: call it on a blocking
    /// thread.
    pub fn run(mut self) -> Synced {
        let gate = self.gate.clone();
        let mut gate = gate.lock().expect("no thread panicked in a sync");
        // Epochs from before a truncation must not replace those that it has written.
        let is_current =
            gate.generation == self.covered.generation && gate.epochs < self.covered.epochs;
        let unopened = self.unopened.take();
        let result = match &gate.failed {
            Some(error) => Err(error.clone()),
            None => {
                let synced = unopened.map_or(Ok(()), Err).and_then(|()| self.sync(is_current));
                synced.or_else(|error| self.is_deleted(&error).then_some(()).ok_or(error)).map_err(
                    |error| {
                        let doing = format!("sync {}", self.dir.display());
                        LogDirError::fatal(&self.log_dir, doing, error)
                    },
                )
            }
        };
        match &result {
            Ok(()) if is_current && self.epochs.is_some() => gate.epochs = self.covered.epochs,
            Ok(()) => {}
            // Something could not be opened to be synced, for want of descriptors: the next job does it.
            Err(error) if error.is_no_space() => {}
            Err(error) => gate.failed = Some(error.clone()),
        }
        Synced { covered: self.covered, result }
    }

    /// A partition that is deleted while it is synced has no directory any more, and nobody waits for
    /// what was in it. That is no failure of the log directory. One that somebody else has removed is.
    fn is_deleted(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound
            && self.failure.get().is_some_and(LogDirError::is_closed)
    }

    fn sync(&self, is_current: bool) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        if let Some((path, entries)) = &self.epochs
            && is_current
        {
            let text = checkpoint::encode_epochs(entries);
            write_file_atomically(&*self.disk, path, text.as_bytes())?;
        }
        if self.sync_names {
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Everything below is synced if the job succeeds.
    pub fn end_offset(&self) -> Offset {
        self.covered.end_offset
    }
}

impl Synced {
    pub fn end_offset(&self) -> Offset {
        self.covered.end_offset
    }

    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }
}
