//! Offset, time and transaction indexes, checked against their log.
//!
//! | file | entry |
//! |--|--|
//! | `.index` | offset less the file's i32, position i32 |
//! | `.timeindex` | timestamp i64, offset less the file's i32 |
//! | `.txnindex` | version i16 (0), producer id, first, last and last stable offset i64 |

use super::batches::{BatchReader, max_timestamp};
use super::report::Report;
use super::{Dump, DumpError, base_offset};
use bytes::{Buf, Bytes};
use std::path::Path;

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;
const TRANSACTION_ENTRY_BYTES: usize = 34;
/// Versions of an entry of the transaction index that are known.
const TRANSACTION_VERSION_MAX: i16 = 0;
/// An index file is read whole: 2^31 bytes of log can have no larger one.
const INDEX_BYTES_MAX: u64 = 1 << 30;

#[derive(Clone, Copy)]
struct OffsetEntry {
    offset: i64,
    position: i64,
}

#[derive(Clone, Copy)]
struct TimeEntry {
    timestamp: i64,
    offset: i64,
}

/// An index whose entries are read.
struct Index<E> {
    base: i64,
    entries: Vec<E>,
    /// Bytes behind the last whole entry.
    odd_bytes: usize,
}

impl Index<OffsetEntry> {
    fn read(base: i64, mut bytes: Bytes) -> Index<OffsetEntry> {
        let mut entries = Vec::with_capacity(bytes.len() / OFFSET_ENTRY_BYTES);
        while bytes.len() >= OFFSET_ENTRY_BYTES {
            let offset = base.saturating_add(i64::from(bytes.get_i32()));
            entries.push(OffsetEntry { offset, position: i64::from(bytes.get_i32()) });
        }
        Index { base, entries, odd_bytes: bytes.len() }
    }

    /// The position of the last entry at or below an offset.
    fn lookup(&self, offset: i64) -> u64 {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        match after.checked_sub(1).map(|at| self.entries[at]) {
            Some(entry) => u64::try_from(entry.position).unwrap_or(0),
            None => 0,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self.entries.last() {
            Some(last) if last.offset < self.base => {
                Err(format!("last offset {} is below the base offset {}", last.offset, self.base))
            }
            _ => check_odd(self.odd_bytes),
        }
    }
}

impl Index<TimeEntry> {
    fn read(base: i64, mut bytes: Bytes) -> Index<TimeEntry> {
        let mut entries = Vec::with_capacity(bytes.len() / TIME_ENTRY_BYTES);
        while bytes.len() >= TIME_ENTRY_BYTES {
            let timestamp = bytes.get_i64();
            let offset = base.saturating_add(i64::from(bytes.get_i32()));
            entries.push(TimeEntry { timestamp, offset });
        }
        Index { base, entries, odd_bytes: bytes.len() }
    }

    fn check(&self) -> Result<(), String> {
        if let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) {
            if last.timestamp < first.timestamp {
                let (first, last) = (first.timestamp, last.timestamp);
                return Err(format!("last timestamp {last} is below the first, {first}"));
            }
            if last.offset < self.base {
                let (last, base) = (last.offset, self.base);
                return Err(format!("last offset {last} is below the base offset {base}"));
            }
        }
        check_odd(self.odd_bytes)
    }
}

fn check_odd(bytes: usize) -> Result<(), String> {
    match bytes {
        0 => Ok(()),
        count => Err(format!("{count} bytes behind the last entry")),
    }
}

impl Dump<'_> {
    fn read_index(&self, path: &Path) -> Result<Bytes, DumpError> {
        let file = self.open(path)?;
        let size = file.len()?.min(INDEX_BYTES_MAX);
        Ok(file.read_bytes_at(size as usize, 0)?)
    }

    pub(super) fn offset_index(
        &mut self,
        path: &Path,
        report: &mut Report,
    ) -> Result<(), DumpError> {
        let base = base_offset(path)?;
        let log = self.open(&path.with_extension("log"))?;
        let index = Index::<OffsetEntry>::read(base, self.read_index(path)?);
        if index.entries.is_empty() {
            writeln!(self.out, "{} is empty.", path.display())?;
            return Ok(());
        }
        if self.options.is_sanity_check {
            return self.sanity(path, index.check());
        }
        for (number, entry) in index.entries.iter().enumerate() {
            // A crash may leave room that was never filled.
            if entry.offset == base && number > 0 {
                return Ok(());
            }
            let position = u64::try_from(entry.position).unwrap_or(u64::MAX);
            let mut batches =
                BatchReader::new(log.clone(), position, self.options.max_message_bytes)?;
            let Some((_, batch)) = batches.next()? else {
                let text = format!("no whole batch at position {}", entry.position);
                return Err(DumpError::Wrong(text));
            };
            let found = batch.header.last_offset().0;
            if found != entry.offset {
                report.offset_mismatches.add(path, (entry.offset, found));
            }
            if !self.options.verifies_only {
                writeln!(self.out, "offset: {} position: {}", entry.offset, entry.position)?;
            }
        }
        Ok(())
    }

    pub(super) fn time_index(&mut self, path: &Path, report: &mut Report) -> Result<(), DumpError> {
        let base = base_offset(path)?;
        let log = self.open(&path.with_extension("log"))?;
        let offsets = self.read_index(&path.with_extension("index"))?;
        let offsets = Index::<OffsetEntry>::read(base, offsets);
        let index = Index::<TimeEntry>::read(base, self.read_index(path)?);
        if self.options.is_sanity_check {
            return self.sanity(path, index.check());
        }
        let mut before = -1;
        for (number, entry) in index.entries.iter().enumerate() {
            if entry.offset == base && number > 0 {
                return Ok(());
            }
            let mut batches =
                BatchReader::new(log.clone(), offsets.lookup(entry.offset), i32::MAX as u64)?;
            let batch = loop {
                match batches.next()? {
                    Some((_, batch)) if batch.header.last_offset().0 >= entry.offset => {
                        break Some(batch);
                    }
                    Some(_) => {}
                    None => break None,
                }
            };
            match batch {
                None => report.offsets_not_found.add(path, (entry.offset, -1)),
                Some(batch) if batch.header.last_offset().0 != entry.offset => {
                    let found = batch.header.last_offset().0;
                    report.offsets_not_found.add(path, (entry.offset, found));
                }
                Some(batch) => {
                    let newest = max_timestamp(&batch)?;
                    if newest != entry.timestamp {
                        report.timestamp_mismatches.add(path, (entry.timestamp, newest));
                    }
                    if before >= entry.timestamp {
                        report.timestamps_out_of_order.add(path, (entry.timestamp, before));
                    }
                }
            }
            if !self.options.verifies_only {
                writeln!(self.out, "timestamp: {} offset: {}", entry.timestamp, entry.offset)?;
            }
            before = entry.timestamp;
        }
        Ok(())
    }

    fn sanity(&mut self, path: &Path, checked: Result<(), String>) -> Result<(), DumpError> {
        checked.map_err(DumpError::Wrong)?;
        writeln!(self.out, "{} passed sanity check.", path.display())?;
        Ok(())
    }

    pub(super) fn transaction_index(&mut self, path: &Path) -> Result<(), DumpError> {
        let mut bytes = self.read_index(path)?;
        while bytes.len() >= TRANSACTION_ENTRY_BYTES {
            let version = bytes.get_i16();
            if !(0..=TRANSACTION_VERSION_MAX).contains(&version) {
                let text = format!("an aborted transaction of unknown version {version}");
                return Err(DumpError::Wrong(text));
            }
            let [producer, first, last, stable] = [(); 4].map(|()| bytes.get_i64());
            writeln!(
                self.out,
                "version: {version} producerId: {producer} firstOffset: {first} lastOffset: {last} \
                 lastStableOffset: {stable}"
            )?;
        }
        check_odd(bytes.len()).map_err(DumpError::Wrong)
    }
}
