//! The files of segments, which are open only while they are used.
//!
//! Promises: a file is opened at its first use; beyond the bound (`ottla.log.open.files.max`) the least
//! recently used ones are closed, and opened again on demand; one that was written and not synced
//! stays open, whatever the bound, since the kernel tells a failed write-back to those who have the
//! file open, and to nobody else for certain. Whoever was handed a file keeps it open as long as it
//! likes: renaming or removing the name, or closing it here, takes nothing away from a reader.

use env::{Disk, File, disk::Open};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Files looked at for one that may be closed, each time that one is opened.
const LOOKS_MAX: usize = 64;
/// "Too many open files", of the process and of the machine.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// The files of all logs of a node; clones are the same.
#[derive(Clone)]
pub struct OpenFiles(Arc<Pool>);

struct Pool {
    max: usize,
    open: AtomicUsize,
    /// In the order of opening; those used since go to the back when their turn comes (second chance).
    queue: Mutex<VecDeque<Weak<Slot>>>,
}

struct Slot {
    pool: Arc<Pool>,
    held: Mutex<Held>,
    used: AtomicBool,
}

#[derive(Default)]
struct Held {
    file: Option<Arc<dyn File>>,
    /// Written, and not known to be synced.
    is_dirty: bool,
}

impl Default for OpenFiles {
    fn default() -> OpenFiles {
        OpenFiles::new(usize::MAX)
    }
}

impl OpenFiles {
    pub fn new(max: usize) -> OpenFiles {
        let (open, queue) = (AtomicUsize::new(0), Mutex::default());
        OpenFiles(Arc::new(Pool { max, open, queue }))
    }

    /// Files open now.
    pub fn count(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }
}

impl Pool {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Weak<Slot>>> {
        self.queue.lock().expect("no thread panicked with the open files")
    }

    /// Closes files while more than `max` are open, or until enough were looked at.
    fn shrink_to(&self, max: usize) {
        for _ in 0..LOOKS_MAX {
            if self.open.load(Ordering::Relaxed) <= max {
                return;
            }
            let Some(next) = self.queue().pop_front() else {
                return;
            };
            let Some(slot) = next.upgrade() else {
                continue;
            };
            if slot.used.swap(false, Ordering::Relaxed) || !slot.close() {
                self.queue().push_back(next);
            }
        }
    }
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no thread panicked while it opened a file")
    }

    /// False if it must stay open. True too if it is closed already.
    fn close(&self) -> bool {
        let mut held = self.held();
        if held.is_dirty {
            return false;
        }
        if held.file.take().is_some() {
            self.pool.open.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = self.held.get_mut().expect("no thread panicked while it opened a file");
        if held.file.is_some() {
            self.pool.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A file that is opened when it is used.
pub struct LazyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    how: Open,
    slot: Arc<Slot>,
}

impl LazyFile {
    /// Not opened yet, and so when it is.
    pub fn new(disk: &Arc<dyn Disk>, path: PathBuf, how: Open, files: &OpenFiles) -> LazyFile {
        let (pool, held, used) = (files.0.clone(), Mutex::default(), AtomicBool::new(false));
        LazyFile { disk: disk.clone(), path, how, slot: Arc::new(Slot { pool, held, used }) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file bears another name now.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// For reading.
    pub fn get(&self) -> io::Result<Arc<dyn File>> {
        self.hold(false)
    }

    /// For writing: it stays open until [`LazyFile::synced`].
    pub fn for_writing(&self) -> io::Result<Arc<dyn File>> {
        self.hold(true)
    }

    fn hold(&self, is_written: bool) -> io::Result<Arc<dyn File>> {
        let file = {
            let mut held = self.slot.held();
            if let Some(file) = held.file.clone() {
                self.slot.used.store(true, Ordering::Relaxed);
                held.is_dirty |= is_written;
                return Ok(file);
            }
            let file = self.open()?;
            *held = Held { file: Some(file.clone()), is_dirty: is_written };
            file
        };
        let pool = &self.slot.pool;
        pool.open.fetch_add(1, Ordering::Relaxed);
        if pool.max < usize::MAX {
            pool.queue().push_back(Arc::downgrade(&self.slot));
            pool.shrink_to(pool.max);
        }
        Ok(file)
    }

    fn open(&self) -> io::Result<Arc<dyn File>> {
        match self.disk.open(&self.path, self.how) {
            Err(error) if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {
                let pool = &self.slot.pool;
                pool.shrink_to(pool.open.load(Ordering::Relaxed).saturating_sub(1));
                self.disk.open(&self.path, self.how)
            }
            other => other,
        }
    }

    /// All that was written has been synced: it may be closed. True if it had been written.
    pub fn synced(&self) -> bool {
        std::mem::take(&mut self.slot.held().is_dirty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::disk::MemDisk;

    fn files(count: usize, max: usize) -> (OpenFiles, Vec<LazyFile>) {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
        disk.create_dir_all(Path::new("d")).unwrap();
        let files = OpenFiles::new(max);
        let path = |n| PathBuf::from(format!("d/{n}"));
        let lazy = (0..count).map(|n| LazyFile::new(&disk, path(n), Open::Create, &files));
        (files.clone(), lazy.collect())
    }

    #[test]
    fn a_file_is_open_from_its_first_use_until_others_are_used_instead() {
        let (open, files) = files(10, 4);
        assert_eq!(open.count(), 0);
        for file in &files {
            file.get().unwrap();
            assert!(open.count() <= 4, "{}", open.count());
        }
        for _ in 0..20 {
            // One that is used all the time stays.
            let first = files[0].get().unwrap();
            files[5].get().unwrap();
            files[6].get().unwrap();
            assert!(Arc::ptr_eq(&first, &files[0].get().unwrap()));
            assert!(open.count() <= 4);
        }
        drop(files);
        assert_eq!(open.count(), 0);
    }

    #[test]
    fn what_is_not_synced_stays_open() {
        let (open, files) = files(10, 2);
        let written: Vec<_> = files[..5].iter().map(|f| f.for_writing().unwrap()).collect();
        for file in &files[5..] {
            file.get().unwrap();
        }
        for (file, written) in files.iter().zip(&written) {
            assert!(Arc::ptr_eq(&file.get().unwrap(), written));
            assert!(file.synced() && !file.synced());
        }
        for _ in 0..3 {
            for file in &files[5..] {
                file.get().unwrap();
            }
        }
        assert!(open.count() <= 2, "{}", open.count());
    }

    #[test]
    fn a_reader_keeps_what_it_was_given() {
        let (_, files) = files(3, 1);
        let first = files[0].for_writing().unwrap();
        first.write_all_at(b"abc", 0).unwrap();
        files[0].synced();
        files[1].get().unwrap();
        files[2].get().unwrap();
        assert_eq!(first.len().unwrap(), 3);
        assert!(!Arc::ptr_eq(&first, &files[0].get().unwrap()), "opened anew");
    }
}
