//! The files of segments, which are open only while they are used.
//!
//! Promises: a file is opened at its first use; beyond the bound (`ottla.log.open.files.max`) the least
//! recently used ones are closed, and opened again on demand; one that was written and not synced
//! stays open, since the kernel tells a failed write-back to those who have the file open, and to
//! nobody else for certain: where only such files are open, one of the same log directory that nobody
//! is writing is synced, and closed then. (Of the same directory: who writes to a disk that is well
//! does not wait for another one.) A sync that fails is told to whoever uses the file next. Whoever was
//! handed a file keeps it open as long as it likes: renaming or removing the name, or closing it here,
//! takes nothing away from a reader. It is counted until the last one lets go of it.

use crate::error::is_no_space;
use env::descriptors::{Relieve, is_shortage, relieve_by};
use env::disk::{Advice, Open};
use env::{Disk, File};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use types::Timestamp;

/// Files looked at for one that may be closed, each time that one is opened.
const LOOKS_MAX: usize = 64;
/// Files synced to be closed, each time that one is opened: two, so that the bound is come back to.
const SYNCS_MAX: usize = 2;

/// The files of all logs of a node, as those in one of its log directories see them. Clones are the
/// same.
#[derive(Clone)]
pub struct OpenFiles {
    pool: Arc<Pool>,
    /// A number of the log directory.
    dir: usize,
}

struct Pool {
    max: usize,
    open: AtomicUsize,
    /// In the order of opening; those used since go to the back when their turn comes (second chance).
    queue: Mutex<VecDeque<Weak<Slot>>>,
}

struct Slot {
    pool: Arc<Pool>,
    dir: usize,
    held: Mutex<Held>,
    used: AtomicBool,
}

#[derive(Default)]
struct Held {
    file: Option<Arc<dyn File>>,
    /// Written, and not known to be synced.
    is_dirty: bool,
    /// A sync that was to close it has failed.
    failed: Option<io::Error>,
}

/// A file that is counted for as long as somebody has it.
struct Counted {
    file: Arc<dyn File>,
    pool: Arc<Pool>,
}

impl Default for OpenFiles {
    fn default() -> OpenFiles {
        OpenFiles::new(usize::MAX)
    }
}

impl OpenFiles {
    pub fn new(max: usize) -> OpenFiles {
        let (open, queue) = (AtomicUsize::new(0), Mutex::default());
        let pool = Arc::new(Pool { max, open, queue });
        if pool.is_bounded() {
            relieve_by(&pool);
        }
        OpenFiles { pool, dir: 0 }
    }

    /// The same files, for those in another log directory.
    pub fn of_dir(&self, dir: usize) -> OpenFiles {
        OpenFiles { pool: self.pool.clone(), dir }
    }

    /// Files open now.
    pub fn count(&self) -> usize {
        self.pool.count()
    }

    /// Whether as many are open as may be: whoever has written much syncs it, to let go of its files.
    pub fn is_crowded(&self) -> bool {
        self.pool.count() >= self.pool.max
    }
}

impl Pool {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Weak<Slot>>> {
        self.queue.lock().expect("no thread panicked with the open files")
    }

    fn is_bounded(&self) -> bool {
        self.max < usize::MAX
    }

    fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Comes back to the bound after a file of a directory was opened, as far as it can.
    fn settle(&self, dir: usize) {
        self.shrink_to(self.max);
        for _ in 0..SYNCS_MAX {
            if self.count() <= self.max || !self.close_one(|slot| slot.sync_and_close(dir)) {
                return;
            }
        }
    }

    /// Forgets the files of logs and segments that are gone: below the bound nobody takes them out.
    fn forget_gone(&self) {
        let mut queue = self.queue();
        if queue.len() > 2 * self.count() + LOOKS_MAX {
            queue.retain(|slot| slot.strong_count() > 0);
        }
    }

    /// Closes files while more than `max` are open, or until enough were looked at.
    fn shrink_to(&self, max: usize) {
        for _ in 0..LOOKS_MAX {
            if self.count() <= max {
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

    /// Looks for a file that `close` closes; false if there is none among those looked at.
    fn close_one(&self, close: impl Fn(&Slot) -> bool) -> bool {
        for _ in 0..LOOKS_MAX {
            let Some(next) = self.queue().pop_front() else {
                return false;
            };
            let Some(slot) = next.upgrade() else {
                continue;
            };
            if close(&slot) {
                return true;
            }
            self.queue().push_back(next);
        }
        false
    }
}

impl Relieve for Pool {
    fn relieve(&self) -> bool {
        let before = self.count();
        self.shrink_to(before.saturating_sub(1));
        self.count() < before
    }
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Another thread may sync a file to close it, under this lock.
        env::sections::lock(&self.held).expect("no thread panicked while it opened a file")
    }

    /// False if it must stay open. True too if it is closed already.
    fn close(&self) -> bool {
        // Whoever opens a file holds its lock while it looks for others to close: nobody waits here.
        let Ok(mut held) = self.held.try_lock() else {
            return false;
        };
        if held.is_dirty {
            return false;
        }
        drop(held.file.take());
        true
    }

    /// Syncs a file of this directory that nobody uses, and closes it. False where it is not closed.
    fn sync_and_close(&self, dir: usize) -> bool {
        if self.dir != dir {
            return false;
        }
        let Ok(mut held) = self.held.try_lock() else {
            return false;
        };
        let Some(file) = held.file.clone() else {
            return true;
        };
        // This clone and the slot's. Whoever else has it may be about to write.
        if Arc::strong_count(&file) > 2 || held.failed.is_some() {
            return false;
        }
        if held.is_dirty
            && let Err(error) = file.sync_data()
        {
            // What a failed sync leaves is not known: not even want of space passes.
            held.failed = Some(match is_no_space(&error) {
                true => io::Error::other(error),
                false => error,
            });
            return false;
        }
        held.is_dirty = false;
        held.file = None;
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.pool.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl File for Counted {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(buf, position)
    }

    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.file.write_all_vectored_at(bufs, position)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buf, position)
    }

    fn read_bytes_at(&self, len: usize, position: u64) -> io::Result<bytes::Bytes> {
        self.file.read_bytes_at(len, position)
    }

    fn read_at_now(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_at_now(buf, position)
    }

    fn advise(&self, advice: Advice) {
        self.file.advise(advice);
    }

    fn system(&self) -> Option<BorrowedFd<'_>> {
        self.file.system()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn is_empty(&self) -> io::Result<bool> {
        self.file.is_empty()
    }

    fn modified(&self) -> io::Result<Option<Timestamp>> {
        self.file.modified()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
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
        let (held, used) = (Mutex::default(), AtomicBool::new(false));
        let slot = Slot { pool: files.pool.clone(), dir: files.dir, held, used };
        LazyFile { disk: disk.clone(), path, how, slot: Arc::new(slot) }
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
            if let Some(error) = &held.failed {
                return Err(same_again(error));
            }
            if let Some(file) = held.file.clone() {
                self.slot.used.store(true, Ordering::Relaxed);
                held.is_dirty |= is_written;
                return Ok(file);
            }
            let file = self.open()?;
            *held = Held { file: Some(file.clone()), is_dirty: is_written, failed: None };
            file
        };
        let pool = &self.slot.pool;
        if pool.is_bounded() {
            pool.queue().push_back(Arc::downgrade(&self.slot));
            pool.forget_gone();
            pool.settle(self.slot.dir);
        }
        Ok(file)
    }

    fn open(&self) -> io::Result<Arc<dyn File>> {
        let pool = self.slot.pool.clone();
        let file = match self.disk.open(&self.path, self.how) {
            // A disk that does not look for descriptors by itself.
            Err(error) if is_shortage(&error) && pool.relieve() => {
                self.disk.open(&self.path, self.how)?
            }
            other => other?,
        };
        pool.open.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Counted { file, pool }))
    }

    /// The file, for a sync, if it was written and not synced.
    pub fn unsynced(&self) -> Option<io::Result<Arc<dyn File>>> {
        let held = self.slot.held();
        if let Some(error) = &held.failed {
            return Some(Err(same_again(error)));
        }
        held.file.clone().filter(|_| held.is_dirty).map(Ok)
    }

    /// All that was written has been synced: it may be closed. True if it had been written.
    pub fn synced(&self) -> bool {
        std::mem::take(&mut self.slot.held().is_dirty)
    }
}

/// An error that was kept, for one more caller.
fn same_again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
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
        drop(written);
        for _ in 0..3 {
            for file in &files[5..] {
                file.get().unwrap();
            }
        }
        assert!(open.count() <= 2, "{}", open.count());
    }

    /// Ten thousand partitions that are written and never synced must not take all descriptors.
    #[test]
    fn where_all_are_written_one_of_the_same_directory_is_synced_and_closed() {
        let (open, files) = files(10, 4);
        let elsewhere =
            LazyFile::new(&files[0].disk, "d/other".into(), Open::Create, &open.of_dir(1));
        elsewhere.for_writing().unwrap().write_all_at(b"x", 0).unwrap();
        for file in &files {
            file.for_writing().unwrap().write_all_at(b"abc", 0).unwrap();
            assert!(open.count() <= 4, "{}", open.count());
        }
        assert!(elsewhere.synced(), "another directory's is left alone");
        let synced = files.iter().filter(|file| !file.synced()).count();
        assert!(synced >= 6, "{synced} were synced to be closed");
        for file in &files {
            assert_eq!(file.get().unwrap().len().unwrap(), 3);
        }
    }

    #[test]
    fn who_is_about_to_write_keeps_its_file_open() {
        let (_, files) = files(10, 1);
        let writing: Vec<_> = files.iter().map(|file| file.for_writing().unwrap()).collect();
        for (file, writing) in files.iter().zip(&writing) {
            assert!(Arc::ptr_eq(&file.get().unwrap(), writing));
        }
    }

    #[test]
    fn a_sync_that_fails_is_told_to_who_uses_the_file_next() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("d")).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let open = OpenFiles::new(1);
        let lazy =
            |n: u32| LazyFile::new(&shared, PathBuf::from(format!("d/{n}")), Open::Create, &open);
        let [first, second] = [1, 2].map(lazy);
        first.for_writing().unwrap().write_all_at(b"abc", 0).unwrap();
        disk.fail_syncs(Some("d/"));
        // Its place is wanted.
        second.for_writing().unwrap();
        assert!(first.get().is_err() && first.for_writing().is_err());
        assert!(second.get().is_ok());
    }

    #[test]
    fn want_of_descriptors_closes_what_nobody_needs() {
        let (open, files) = files(6, 10);
        let kept = files[0].get().unwrap();
        files[1].for_writing().unwrap();
        for file in &files[2..] {
            file.get().unwrap();
        }
        let before = open.count();
        assert!(open.pool.relieve());
        assert!(open.count() < before);
        while open.pool.relieve() {}
        assert_eq!(open.count(), 2, "what is read and what is written");
        assert_eq!(kept.len().unwrap(), 0);
    }

    #[test]
    fn files_of_what_is_gone_are_not_remembered() {
        let (open, _) = files(0, 1000);
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::new());
        for _ in 0..1000 {
            let file = LazyFile::new(&disk, PathBuf::from("f"), Open::Create, &open);
            file.get().unwrap();
        }
        assert_eq!(open.count(), 0);
        assert!(open.pool.queue().len() <= LOOKS_MAX + 2, "{}", open.pool.queue().len());
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
