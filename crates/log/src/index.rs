//! A segment's sparse indexes: offset to position, and timestamp to offset.
//!
//! Promises: memory per index stays below [`TAIL_ENTRIES_MAX`] entries, the rest is in the file;
//! a lookup is a hint that the caller checks against the log, since the files have no checksums and
//! are not synced before the segment is sealed. They can always be rebuilt from the log.
//!
//! | file | entry (big-endian) |
//! |--|--|
//! | `.index` | relative offset i32 (of the last record of a batch), position i32 (of that batch) |
//! | `.timeindex` | timestamp i64 (largest so far), relative offset i32 (last of the batch that has it) |

use crate::error::is_no_space;
use crate::open_files::{LazyFile, OpenFiles};
use env::{Disk, File, disk::Open};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use types::Timestamp;

/// Entries kept in memory before they go to the file: two writes per 2 MiB of log, by default.
const TAIL_ENTRIES_MAX: usize = 512;
/// Entries read at once by a lookup in the file, when the binary search has come this close.
const SCAN_ENTRIES: u64 = 64;

/// A fixed-size entry.
pub trait Entry: Copy {
    const BYTES: usize;
    fn encode(&self, out: &mut Vec<u8>);
    /// `bytes` has exactly `BYTES` bytes.
    fn decode(bytes: &[u8]) -> Self;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetEntry {
    pub relative: u32,
    pub position: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeEntry {
    pub timestamp: Timestamp,
    pub relative: u32,
}

fn be<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("slice of the asked length")
}

impl Entry for OffsetEntry {
    const BYTES: usize = 8;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> OffsetEntry {
        OffsetEntry {
            relative: u32::from_be_bytes(be(bytes, 0)),
            position: u32::from_be_bytes(be(bytes, 4)),
        }
    }
}

impl Entry for TimeEntry {
    const BYTES: usize = 12;
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.0.to_be_bytes());
        out.extend_from_slice(&self.relative.to_be_bytes());
    }
    fn decode(bytes: &[u8]) -> TimeEntry {
        TimeEntry {
            timestamp: Timestamp(i64::from_be_bytes(be(bytes, 0))),
            relative: u32::from_be_bytes(be(bytes, 8)),
        }
    }
}

/// One index file with its newest entries in memory.
pub struct EntryIndex<E> {
    /// Opened at first use: a clean start touches no index. Made if absent.
    file: LazyFile,
    /// In the file; not known before it was looked at.
    entries: OnceLock<u64>,
    tail: Vec<E>,
}

impl<E: Entry> EntryIndex<E> {
    /// An index whose file, if there is one, is taken as it is.
    pub fn existing(disk: &Arc<dyn Disk>, path: PathBuf, files: &OpenFiles) -> EntryIndex<E> {
        let file = LazyFile::new(disk, path, Open::Create, files);
        EntryIndex { file, entries: OnceLock::new(), tail: Vec::new() }
    }

    /// An empty index; what the file held goes.
    pub fn empty(
        disk: &Arc<dyn Disk>,
        path: PathBuf,
        files: &OpenFiles,
    ) -> io::Result<EntryIndex<E>> {
        let index = EntryIndex::existing(disk, path, files);
        // What is empty already needs no opening, and no syncing: recovery comes by every partition.
        if disk.exists(index.path()) && disk.stat(index.path())?.len > 0 {
            index.file.for_writing()?.set_len(0)?;
        }
        let _ = index.entries.set(0);
        Ok(index)
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file has another name now.
    pub fn set_path(&mut self, path: PathBuf) {
        self.file.set_path(path);
    }

    /// The file, for a sync, if it was written and not synced.
    pub fn unsynced(&self) -> Option<io::Result<Arc<dyn File>>> {
        self.file.unsynced()
    }

    /// What was written has been synced.
    pub fn synced(&self) -> bool {
        self.file.synced()
    }

    /// Entries in the file.
    fn written(&self) -> io::Result<u64> {
        if let Some(entries) = self.entries.get() {
            return Ok(*entries);
        }
        let entries = self.file.get()?.len()? / E::BYTES as u64;
        Ok(*self.entries.get_or_init(|| entries))
    }

    fn read(&self, first: u64, count: u64) -> io::Result<Vec<E>> {
        let file = self.file.get()?;
        let bytes = file.read_bytes_at(count as usize * E::BYTES, first * E::BYTES as u64)?;
        Ok(bytes.chunks_exact(E::BYTES).map(E::decode).collect())
    }

    pub fn len(&self) -> io::Result<u64> {
        Ok(self.written()? + self.tail.len() as u64)
    }

    /// Whether another entry would pass the configured size.
    pub fn is_full(&self, bytes_max: u32) -> io::Result<bool> {
        Ok((self.len()? + 1) * E::BYTES as u64 > u64::from(bytes_max))
    }

    pub fn last(&self) -> io::Result<Option<E>> {
        if let Some(last) = self.tail.last() {
            return Ok(Some(*last));
        }
        match self.written()?.checked_sub(1) {
            None => Ok(None),
            Some(last) => self.read(last, 1).map(|entries| entries.first().copied()),
        }
    }

    /// Appends an entry, whose key is not below the last one's.
    pub fn push(&mut self, entry: E) -> io::Result<()> {
        self.tail.push(entry);
        if self.tail.len() < TAIL_ENTRIES_MAX {
            return Ok(());
        }
        match self.write_tail() {
            // An index may be sparser: half of the entries wait for space to come back.
            Err(error) if is_no_space(&error) => {
                let mut keep = false;
                self.tail.retain(|_| {
                    keep = !keep;
                    keep
                });
                Ok(())
            }
            other => other,
        }
    }

    /// Moves the entries in memory to the file, which is made if absent. Not synced.
    pub fn write_tail(&mut self) -> io::Result<()> {
        let file = self.file.for_writing()?;
        let entries = self.written()?;
        if self.tail.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.tail.len() * E::BYTES);
        for entry in &self.tail {
            entry.encode(&mut bytes);
        }
        file.write_all_at(&bytes, entries * E::BYTES as u64)?;
        self.entries = OnceLock::from(entries + self.tail.len() as u64);
        self.tail.clear();
        Ok(())
    }

    /// The file, for a sync.
    pub fn file(&self) -> io::Result<Arc<dyn File>> {
        self.file.get()
    }

    /// The last entry for which `below` holds; it must hold for a prefix of the entries.
    pub fn last_where(&self, below: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        if self.tail.first().is_some_and(&below) {
            let count = self.tail.partition_point(below);
            return Ok(Some(self.tail[count - 1]));
        }
        if self.written()? == 0 {
            return Ok(None);
        }
        let (mut low, mut high) = (0, self.written()?);
        while high - low > SCAN_ENTRIES {
            let middle = low + (high - low) / 2;
            match self.read(middle, 1)?.first() {
                Some(entry) if below(entry) => low = middle,
                _ => high = middle,
            }
        }
        let entries = self.read(low, high - low)?;
        let count = entries.partition_point(below);
        Ok(count.checked_sub(1).map(|index| entries[index]))
    }

    /// Drops the entries from the first one for which `keep` fails on.
    pub fn truncate(&mut self, keep: impl Fn(&E) -> bool) -> io::Result<()> {
        let kept = self.tail.partition_point(&keep);
        self.tail.truncate(kept);
        if kept > 0 || self.written()? == 0 {
            return Ok(());
        }
        let known = self.written()?;
        let mut entries = known;
        while let Some(last) = entries.checked_sub(1) {
            match self.read(last, 1)?.first() {
                Some(entry) if keep(entry) => break,
                _ => entries = last,
            }
        }
        if entries < known {
            self.file.for_writing()?.set_len(entries * E::BYTES as u64)?;
            self.entries = OnceLock::from(entries);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::disk::MemDisk;

    fn entry(n: u32) -> OffsetEntry {
        OffsetEntry { relative: n * 10, position: n * 100 }
    }

    fn index(disk: &Arc<MemDisk>) -> EntryIndex<OffsetEntry> {
        let disk: Arc<dyn Disk> = disk.clone();
        EntryIndex::existing(&disk, "d/0.index".into(), &OpenFiles::default())
    }

    #[test]
    fn lookups_find_the_floor_in_memory_and_in_the_file() {
        let disk = Arc::new(MemDisk::new());
        disk.create_dir_all(Path::new("d")).unwrap();
        let mut index = index(&disk);
        for n in 1..=1300 {
            index.push(entry(n)).unwrap();
        }
        assert_eq!(index.len().unwrap(), 1300);
        let floor = |relative| index.last_where(|e| e.relative <= relative).unwrap();
        assert_eq!(floor(9), None);
        for n in [1, 63, 64, 65, 500, 1023, 1024, 1025, 1300] {
            assert_eq!(floor(n * 10), Some(entry(n)));
            assert_eq!(floor(n * 10 + 9), Some(entry(n)));
        }
        assert_eq!(index.last().unwrap(), Some(entry(1300)));
    }

    #[test]
    fn truncation_reaches_into_the_file() {
        let disk = Arc::new(MemDisk::new());
        disk.create_dir_all(Path::new("d")).unwrap();
        let mut first = index(&disk);
        for n in 1..=600 {
            first.push(entry(n)).unwrap();
        }
        first.truncate(|e| e.relative < 5000).unwrap();
        assert_eq!(first.last().unwrap(), Some(entry(499)));
        first.push(entry(700)).unwrap();
        first.write_tail().unwrap();
        let again = index(&disk);
        assert_eq!(again.len().unwrap(), 500);
        assert_eq!(again.last().unwrap(), Some(entry(700)));
        assert!(again.is_full(4000).unwrap());
        assert!(!again.is_full(4008).unwrap());
    }
}
