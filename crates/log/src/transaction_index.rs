//! `.txnindex`: the aborted transactions whose markers are in a segment.
//!
//! Promises: entries are in the order of their markers; the file can be made anew from the log. An
//! entry is written when its marker is appended, and synced with the segment.
//!
//! | bytes | field (big-endian) |
//! |--|--|
//! | 2 | version, 0 |
//! | 8 | producer id |
//! | 8 | first offset of the transaction in this partition |
//! | 8 | offset of the abort marker |
//! | 8 | last stable offset once the transaction had ended |

use bytes::{Buf, BufMut};
use env::disk::{Open, read_file};
use env::{Disk, File};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use types::{Offset, ProducerId};

const VERSION: i16 = 0;
const ENTRY_BYTES: usize = 34;

/// A transaction that was aborted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    /// Of its records in this partition.
    pub first_offset: Offset,
    /// Of the marker.
    pub last_offset: Offset,
    /// Below it every transaction had ended when this one did.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY_BYTES);
        out.put_i16(VERSION);
        out.put_i64(self.producer_id.0);
        out.put_i64(self.first_offset.0);
        out.put_i64(self.last_offset.0);
        out.put_i64(self.last_stable_offset.0);
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<AbortedTransaction> {
        if bytes.get_i16() < VERSION {
            return None;
        }
        Some(AbortedTransaction {
            producer_id: ProducerId(bytes.get_i64()),
            first_offset: Offset(bytes.get_i64()),
            last_offset: Offset(bytes.get_i64()),
            last_stable_offset: Offset(bytes.get_i64()),
        })
    }
}

/// One segment's index. Read at first use; without an aborted transaction there is no file.
pub struct TransactionIndex {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    entries: OnceLock<Vec<AbortedTransaction>>,
    /// Once something was written in this life.
    file: Option<Arc<dyn File>>,
}

impl TransactionIndex {
    /// As the file has it.
    pub fn existing(disk: Arc<dyn Disk>, path: PathBuf) -> TransactionIndex {
        TransactionIndex { disk, path, entries: OnceLock::new(), file: None }
    }

    /// Empty; what the file held goes.
    pub fn empty(disk: Arc<dyn Disk>, path: PathBuf) -> io::Result<TransactionIndex> {
        let mut index = TransactionIndex::existing(disk, path);
        if index.disk.exists(&index.path) {
            let file = index.disk.open(&index.path, Open::Write)?;
            file.set_len(0)?;
            index.file = Some(file);
        }
        index.entries = OnceLock::from(Vec::new());
        Ok(index)
    }

    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The file has another name now.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    pub fn entries(&self) -> io::Result<&[AbortedTransaction]> {
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let mut entries = Vec::new();
        if self.disk.exists(&self.path) {
            let bytes = read_file(&*self.disk, &self.path)?;
            // An entry that is cut off belongs to a marker that is not in the log either.
            entries.extend(bytes.chunks_exact(ENTRY_BYTES).map_while(AbortedTransaction::decode));
        }
        Ok(self.entries.get_or_init(|| entries))
    }

    pub fn push(&mut self, entry: AbortedTransaction) -> io::Result<()> {
        let count = self.entries()?.len();
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.disk.open(&self.path, Open::Create)?,
        };
        file.write_all_at(&entry.encode(), (count * ENTRY_BYTES) as u64)?;
        self.file = Some(file);
        self.entries.get_mut().expect("read above").push(entry);
        Ok(())
    }

    /// Keeps the transactions that ended below `offset`.
    pub fn truncate(&mut self, offset: Offset) -> io::Result<()> {
        let entries = self.entries()?;
        let kept = entries.partition_point(|entry| entry.last_offset < offset);
        if kept == entries.len() {
            return Ok(());
        }
        let file = self.disk.open(&self.path, Open::Write)?;
        file.set_len((kept * ENTRY_BYTES) as u64)?;
        self.file = Some(file);
        self.entries.get_mut().expect("read above").truncate(kept);
        Ok(())
    }

    /// What was written has been synced.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// The file, for a sync, if it was written.
    pub fn file(&self) -> Option<&Arc<dyn File>> {
        self.file.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::disk::MemDisk;
    use std::path::Path;

    fn entry(n: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(n),
            first_offset: Offset(n * 10),
            last_offset: Offset(n * 10 + 5),
            last_stable_offset: Offset(n * 10 + 6),
        }
    }

    #[test]
    fn entries_are_kept_in_kafkas_layout_and_cut_with_the_log() {
        let disk = Arc::new(MemDisk::new());
        disk.create_dir_all(Path::new("d")).unwrap();
        let open = || TransactionIndex::existing(disk.clone(), PathBuf::from("d/0.txnindex"));
        let mut index = open();
        assert!(index.entries().unwrap().is_empty());
        assert!(index.file().is_none(), "no file without an entry");
        for n in 1..=3 {
            index.push(entry(n)).unwrap();
        }
        let bytes = read_file(&*disk, Path::new("d/0.txnindex")).unwrap();
        assert_eq!(bytes.len(), 3 * 34);
        assert_eq!(bytes[34..44], [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        let mut again = open();
        assert_eq!(again.entries().unwrap(), [entry(1), entry(2), entry(3)]);
        again.truncate(Offset(35)).unwrap();
        again.push(entry(4)).unwrap();
        assert_eq!(open().entries().unwrap(), [entry(1), entry(2), entry(4)]);
    }
}
