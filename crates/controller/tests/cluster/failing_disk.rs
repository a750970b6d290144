//! The real disk, until it is told to fail: from then on nothing is written or synced.

use env::disk::{DirEntry, Disk, File, Open, RealDisk};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Clone, Default)]
pub struct FailingDisk {
    has_failed: Arc<AtomicBool>,
}

impl FailingDisk {
    pub fn fail(&self) {
        self.has_failed.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        match self.has_failed.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the test's disk has failed")),
            false => Ok(()),
        }
    }
}

struct FailingFile {
    file: Arc<dyn File>,
    disk: FailingDisk,
}

impl File for FailingFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.disk.check()?;
        self.file.write_all_at(buf, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check()?;
        self.file.sync_data()
    }
}

impl Disk for FailingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(FailingFile { file: RealDisk.open(path, how)?, disk: self.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.list(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        RealDisk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        RealDisk.lock(path)
    }
}
