//! Removing files that nobody uses any more, outside the log's lock.

use crate::LogDirError;
use env::Disk;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Files or a directory to remove. They bear names already that the next opening removes too, so a
/// job that never runs loses no more than space.
#[must_use = "the files stay on disk until the job runs (or the log is opened again)"]
pub struct RemovalJob {
    disk: Arc<dyn Disk>,
    log_dir: PathBuf,
    files: Vec<PathBuf>,
    dir: Option<PathBuf>,
}

impl RemovalJob {
    pub(crate) fn files(disk: Arc<dyn Disk>, log_dir: PathBuf, files: Vec<PathBuf>) -> RemovalJob {
        RemovalJob { disk, log_dir, files, dir: None }
    }

    pub(crate) fn dir(disk: Arc<dyn Disk>, log_dir: PathBuf, dir: PathBuf) -> RemovalJob {
        RemovalJob { disk, log_dir, files: Vec::new(), dir: Some(dir) }
    }

    /// Removes the files; those already gone are fine. Blocks.
    pub fn run(self) -> Result<(), LogDirError> {
        let failed = |path: &PathBuf, error| {
            LogDirError::new(&self.log_dir, format!("remove {}", path.display()), error)
        };
        for path in &self.files {
            gone_is_fine(self.disk.remove_file(path)).map_err(|error| failed(path, error))?;
        }
        if let Some(path) = &self.dir {
            gone_is_fine(self.disk.remove_dir_all(path)).map_err(|error| failed(path, error))?;
        }
        Ok(())
    }
}

/// For removals and renames of what may be absent.
pub(crate) fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
