//! Reading that leaves memory as it was: for those who go over all that lies on disk, and would push
//! out of the page cache what others read.
//!
//! Promises: bytes that were in memory stay there; those that were not are let go when the file is
//! dropped, not before, as a walk reads some of them twice. Pages in memory behind the first one
//! missing of a read may go with it: whoever needs them reads them once more.
//! Does not: change anything for other handles of the file; it is to have one of its own.

use env::File;
use env::disk::Advice;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Bytes that the system keeps or lets go together, at least.
const PAGE_BYTES: u64 = 4096;

pub(crate) struct ColdFile {
    file: Arc<dyn File>,
    /// What was read from the disk, in the order of reading.
    fetched: Mutex<Vec<Range<u64>>>,
}

impl ColdFile {
    /// Of a handle that nobody else uses.
    pub fn new(file: Arc<dyn File>) -> ColdFile {
        // What is read ahead by the system could not be told from what others have read.
        file.advise(Advice::Random);
        ColdFile { file, fetched: Mutex::default() }
    }

    fn fetched(&self) -> std::sync::MutexGuard<'_, Vec<Range<u64>>> {
        self.fetched.lock().expect("no thread panicked with a list of ranges")
    }

    fn note(&self, read: Range<u64>) {
        let mut fetched = self.fetched();
        match fetched.last_mut() {
            Some(last) if last.end == read.start => last.end = read.end,
            Some(_) | None => fetched.push(read),
        }
    }
}

impl Drop for ColdFile {
    fn drop(&mut self) {
        for range in self.fetched().drain(..) {
            let start = range.start / PAGE_BYTES * PAGE_BYTES;
            let end = range.end.next_multiple_of(PAGE_BYTES);
            self.file.advise(Advice::Forget(start..end));
        }
    }
}

impl File for ColdFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let known = self.file.read_at_now(buf, position)?.unwrap_or(0);
        if known == buf.len() {
            return Ok(known);
        }
        let start = position + known as u64;
        let read = self.file.read_at(&mut buf[known..], start)?;
        if read > 0 {
            self.note(start..start + read as u64);
        }
        Ok(known + read)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn write_all_at(&self, _buf: &[u8], _position: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Disk;
    use env::disk::{Open, RealDisk};

    const PART: usize = 1 << 20;

    /// Whether the byte is in memory; looked at by a handle that fetches nothing around it.
    fn is_in_memory(file: &dyn File, position: usize) -> bool {
        file.read_at_now(&mut [0], position as u64).unwrap().is_some()
    }

    #[test]
    fn what_was_not_in_memory_is_not_afterwards_and_what_was_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cold");
        let file = RealDisk.open(&path, Open::Create).unwrap();
        let content: Vec<u8> = (0..4 * PART).map(|at| (at / 7) as u8).collect();
        file.write_all_at(&content, 0).unwrap();
        file.sync_data().unwrap();
        file.advise(Advice::Forget(0..(4 * PART) as u64));
        let own = || {
            let file = RealDisk.open(&path, Open::Read).unwrap();
            file.advise(Advice::Random);
            file
        };
        if is_in_memory(&*own(), 3 * PART) {
            eprintln!("not tested: this file system keeps all in memory, or does not tell");
            return;
        }
        // The second part is what others read.
        own().read_bytes_at(PART, PART as u64).unwrap();
        let cold = ColdFile::new(RealDisk.open(&path, Open::Read).unwrap());
        // As a walk does, which begins again where a batch was cut off.
        for from in (0..4 * PART).step_by(200_000) {
            let length = (256 << 10).min(4 * PART - from);
            let bytes = cold.read_bytes_at(length, from as u64).unwrap();
            assert!(bytes == content[from..from + length], "the same bytes");
        }
        assert!(is_in_memory(&*own(), 3 * PART), "kept while it is read");
        drop(cold);
        let places = [5, PART / 2, PART + PART / 2, 2 * PART + PART / 2, 3 * PART, 4 * PART - 1];
        let found = places.map(|at| is_in_memory(&*own(), at));
        assert_eq!(found, [false, false, true, false, false, false]);
    }
}
