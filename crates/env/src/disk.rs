//! Files and directories, with durability spelled out.
//!
//! Promises: `write` calls reach the page cache only; nothing survives a power cut until
//! `sync_data` on the file and, for a new, renamed or removed name, `sync_dir` on its directory.
//! An error of `sync_data` is final: the caller fences the directory and never retries.
//! Calls block; callers on an async runtime keep them to page-cache work or move them to a
//! blocking thread (`tasks::blocking`).

pub use crate::mem_disk::MemDisk;

use crate::descriptors::with_relief;
use crate::sections::section;
use bytes::{Bytes, BytesMut};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::io::{ReadWriteFlags, preadv2};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::Timestamp;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// Must exist; reading only.
    Read,
    /// Must exist; reading and writing.
    Write,
    /// Reading and writing; made empty if absent.
    Create,
    /// Reading and writing; must be absent.
    CreateNew,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
}

/// What a file system knows of a file without opening it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStat {
    pub len: u64,
    /// When the content was changed last, if the file system keeps that.
    pub modified: Option<Timestamp>,
}

/// An open file. Positions are bytes from its start. All methods may be called from any thread.
pub trait File: Send + Sync {
    /// Writes all of `buf` at `position`.
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()>;

    /// Writes all buffers, one after the other, from `position`.
    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut at = position;
        for buf in bufs {
            self.write_all_at(buf, at)?;
            at += buf.len() as u64;
        }
        Ok(())
    }

    /// Reads up to `buf.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;

    /// Reads up to `len` bytes into a new buffer; fewer only at the end of the file.
    fn read_bytes_at(&self, len: usize, position: u64) -> io::Result<Bytes> {
        let mut buf = BytesMut::zeroed(len);
        let count = self.read_at(&mut buf, position)?;
        buf.truncate(count);
        Ok(buf.freeze())
    }

    /// The same, but only what can be had without waiting for the device: `None` if `position` is
    /// not in memory (it is being fetched then, where the system does that), and fewer bytes than
    /// asked for if only those are.
    fn read_at_now(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buf, position).map(Some)
    }

    /// Tells the system what to expect. Only a hint: it may do nothing.
    fn advise(&self, _advice: Advice) {}

    /// The system's handle, for calls that move bytes between files and sockets. `None` where there
    /// is none: the bytes are read then.
    fn system(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn len(&self) -> io::Result<u64>;

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// When the content was changed last, if the file system keeps that.
    fn modified(&self) -> io::Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves blocks up to `len` without changing the length. A hint: may do nothing.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// fdatasync: content and length survive a power cut when this returns `Ok`.
    fn sync_data(&self) -> io::Result<()>;
}

/// What becomes of a file's bytes in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Advice {
    /// By this handle no more is read than what is asked for.
    Random,
    /// Nobody is about to read these bytes: memory need not keep them.
    Forget(Range<u64>),
}

/// A file system.
pub trait Disk: Send + Sync {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, sorted. A link to a directory counts as one: operators move partitions
    /// to other volumes that way.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether something has this name, be it a link to nothing.
    fn exists(&self, path: &Path) -> bool;
    /// What is known of a file by its name.
    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let file = self.open(path, Open::Read)?;
        Ok(FileStat { len: file.len()?, modified: file.modified()? })
    }
    /// fsync of a directory: its names survive a power cut when this returns `Ok`.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes of the volume that holds `path`: all of it, and what an ordinary user may still write.
    fn space(&self, _path: &Path) -> io::Result<(u64, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Takes an exclusive lock on a file (made if absent), held until the guard is dropped;
    /// `WouldBlock` if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// Reads a whole small file.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    let file = disk.open(path, Open::Read)?;
    let len = file.len()?;
    file.read_bytes_at(len as usize, 0)
}

/// Replaces a whole small file so that a crash leaves the old or the new content: write beside,
/// sync, rename, sync the directory (KAFKA-16541 is what happens without the last).
pub fn write_file_atomically(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let file = disk.open(&beside, Open::Create)?;
    file.set_len(0)?;
    file.write_all_at(content, 0)?;
    file.sync_data()?;
    disk.rename(&beside, path)?;
    match path.parent() {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes a directory and what is missing above it, so that no power cut takes the directory with
/// all that is synced in it: a new name is safe only once the directory that holds it is synced.
pub fn create_dir_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let is_named = |dir: &&Path| !dir.as_os_str().is_empty();
    let missing: Vec<&Path> =
        path.ancestors().filter(is_named).filter(|dir| !disk.exists(dir)).collect();
    disk.create_dir_all(path)?;
    // The last one even if it was there: who made it may have ended before this.
    let made = missing.into_iter().chain([path]);
    for parent in made.filter_map(Path::parent) {
        match disk.sync_dir(parent) {
            // Somebody else's directory, which we may not open: it is not ours to sync.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// The machine's file system.
pub struct RealDisk;

struct RealFile(std::fs::File);

impl File for RealFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        section(|| self.0.write_all_at(buf, position))
    }

    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let write = || rustix::io::pwritev(&self.0, bufs, position);
        let written = section(|| rustix::io::retry_on_intr(write))?;
        let mut skip = written;
        if written == total {
            return Ok(());
        }
        // A short write is rare: finish buffer by buffer.
        let mut at = position + written as u64;
        for buf in bufs {
            if skip >= buf.len() {
                skip -= buf.len();
                continue;
            }
            section(|| self.0.write_all_at(&buf[skip..], at))?;
            at += (buf.len() - skip) as u64;
            skip = 0;
        }
        Ok(())
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match section(|| self.0.read_at(&mut buf[done..], position + done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn read_bytes_at(&self, len: usize, position: u64) -> io::Result<Bytes> {
        // Into memory as it comes: what is read over needs no zeros.
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let at = position + bytes.len() as u64;
            let read = || rustix::io::pread(&self.0, spare_capacity(&mut bytes), at);
            match section(read) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(len);
        Ok(bytes.into())
    }

    fn read_at_now(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        // Of Linux; other systems just read.
        #[cfg(target_os = "linux")]
        loop {
            let mut bufs = [IoSliceMut::new(buf)];
            return match preadv2(&self.0, &mut bufs, position, ReadWriteFlags::NOWAIT) {
                Ok(count) => Ok(Some(count)),
                Err(Errno::AGAIN) => Ok(None),
                Err(Errno::INTR) => continue,
                // A file system that cannot tell, or a kernel that has no such call.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.read_at(buf, position).map(Some),
                Err(error) => Err(error.into()),
            };
        }
        #[cfg(not(target_os = "linux"))]
        self.read_at(buf, position).map(Some)
    }

    fn advise(&self, advice: Advice) {
        use rustix::fs::{Advice as How, fadvise};
        // Of what is refused nothing is lost but time or memory.
        let _ = section(|| match advice {
            Advice::Random => fadvise(&self.0, 0, None, How::Random),
            Advice::Forget(range) => {
                let length = NonZeroU64::new(range.end.saturating_sub(range.start));
                match length {
                    None => Ok(()),
                    Some(_) => fadvise(&self.0, range.start, length, How::DontNeed),
                }
            }
        });
    }

    fn system(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified(&self) -> io::Result<Option<Timestamp>> {
        modified(&self.0.metadata()?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        section(|| self.0.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let keep = rustix::fs::FallocateFlags::KEEP_SIZE;
        match section(|| rustix::fs::fallocate(&self.0, keep, 0, len)) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        section(|| self.0.sync_data())
    }
}

fn modified(metadata: &std::fs::Metadata) -> io::Result<Option<Timestamp>> {
    let since = metadata.modified()?.duration_since(std::time::UNIX_EPOCH);
    Ok(since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).map(Timestamp))
}

fn is_dir(entry: &std::fs::DirEntry) -> io::Result<bool> {
    let kind = entry.file_type()?;
    Ok(kind.is_dir() || (kind.is_symlink() && entry.path().is_dir()))
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        match how {
            Open::Read => {}
            Open::Write => {
                options.write(true);
            }
            Open::Create => {
                options.write(true).create(true).truncate(false);
            }
            Open::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile(with_relief(|| section(|| options.open(path)))?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        section(|| std::fs::create_dir_all(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        section(|| std::fs::rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        section(|| std::fs::remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        // What was removed before descriptors ran out stays removed; the next try goes on.
        with_relief(|| section(|| std::fs::remove_dir_all(path)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in with_relief(|| std::fs::read_dir(path))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { name, is_dir: is_dir(&entry)? });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        // A link to nothing is there, too: what is made in its place would fail.
        std::fs::symlink_metadata(path).is_ok()
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let metadata = std::fs::metadata(path)?;
        Ok(FileStat { len: metadata.len(), modified: modified(&metadata)? })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let dir = with_relief(|| section(|| std::fs::File::open(path)))?;
        section(|| dir.sync_all())
    }

    fn space(&self, path: &Path) -> io::Result<(u64, u64)> {
        let volume = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        Ok((bytes(volume.f_blocks), bytes(volume.f_bavail)))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = with_relief(|| options.open(path))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(file)),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_of_every_kind_give_the_same_bytes_and_end_with_the_file() {
        let path = std::env::temp_dir().join(format!("reads-{}", std::process::id()));
        let file = RealDisk.open(&path, Open::Create).expect("opened");
        RealDisk.remove_file(&path).expect("removed");
        let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
        file.write_all_at(&content, 0).expect("written");
        for (position, len) in [(0, 10), (4095, 4097), (99_990, 100), (0, 200_000)] {
            let end = content.len().min(position + len);
            let expected = &content[position..end];
            assert_eq!(file.read_bytes_at(len, position as u64).expect("read"), expected);
            let mut buf = vec![0; len];
            let count = file.read_at(&mut buf, position as u64).expect("read");
            assert_eq!(&buf[..count], expected);
            // Just written, so in memory; a part of it is enough.
            let mut buf = vec![0; len];
            let count = file.read_at_now(&mut buf, position as u64).expect("read");
            let count = count.expect("in memory");
            assert!(count > 0 && buf[..count] == expected[..count]);
        }
        assert_eq!(file.read_at_now(&mut [0], 100_000).expect("read"), Some(0));
        assert_eq!(file.read_bytes_at(10, 100_000).expect("read").len(), 0);
    }
}
