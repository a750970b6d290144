//! Walks the batches of a segment file: by their headers alone, or with their CRCs.
//!
//! Promises: reads stay within the given range; a batch that does not fit into it, or whose header
//! does not parse, ends the walk with the position where sound bytes end; memory is one chunk.

use bytes::{Buf, Bytes};
use env::File;
use records::{Batch, BatchError, BatchHeader, HEADER_BYTES};
use std::io;
use std::sync::Arc;

/// Bytes read at once when only headers matter: an index interval.
const HEADER_CHUNK_BYTES: usize = 4096;
/// Bytes read at once when whole batches matter: they are still in the cache when they are checked.
pub const SCAN_CHUNK_BYTES: usize = 256 << 10;

/// A batch in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub position: u64,
    pub header: BatchHeader,
}

impl Found {
    /// Position after the batch.
    pub fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// Why a walk stopped before its end.
#[derive(Debug)]
pub enum WalkError {
    Io(io::Error),
    /// The bytes at `position` are no whole, sound batch.
    Bad {
        position: u64,
        error: BatchError,
    },
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> WalkError {
        WalkError::Io(error)
    }
}

/// A walk from a batch's start to `end`.
pub struct Walk {
    file: Arc<dyn File>,
    position: u64,
    end: u64,
    chunk: Bytes,
    chunk_bytes: usize,
}

impl Walk {
    /// Reads little at a time: for finding a place.
    pub fn headers(file: &Arc<dyn File>, position: u64, end: u64) -> Walk {
        Walk {
            file: file.clone(),
            position,
            end,
            chunk: Bytes::new(),
            chunk_bytes: HEADER_CHUNK_BYTES,
        }
    }

    /// Reads much at a time: for going through all.
    pub fn scan(file: &Arc<dyn File>, position: u64, end: u64) -> Walk {
        Walk {
            file: file.clone(),
            position,
            end,
            chunk: Bytes::new(),
            chunk_bytes: SCAN_CHUNK_BYTES,
        }
    }

    /// Position of the next batch.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, need: usize) -> io::Result<()> {
        if self.chunk.len() < need {
            let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
            let length = self.chunk_bytes.max(need).min(left);
            self.chunk = self.file.read_bytes_at(length, self.position)?;
        }
        Ok(())
    }

    fn bad<T>(&self, error: BatchError) -> Result<T, WalkError> {
        Err(WalkError::Bad { position: self.position, error })
    }

    fn peek(&mut self) -> Result<Option<Found>, WalkError> {
        if self.position >= self.end {
            return Ok(None);
        }
        self.fill(HEADER_BYTES)?;
        let header = match BatchHeader::parse(&self.chunk) {
            Ok(header) => header,
            Err(error) => return self.bad(error),
        };
        let have = self.end - self.position;
        if header.size() as u64 > have {
            let have = have as usize;
            return self.bad(BatchError::Truncated { have, need: header.size() });
        }
        Ok(Some(Found { position: self.position, header }))
    }

    fn skip(&mut self, size: usize) {
        self.position += size as u64;
        self.chunk.advance(size.min(self.chunk.len()));
    }

    /// The next batch's header.
    pub fn next(&mut self) -> Result<Option<Found>, WalkError> {
        let found = self.peek()?;
        if let Some(found) = &found {
            self.skip(found.header.size());
        }
        Ok(found)
    }

    /// The next batch with its CRC checked, piece by piece where it is larger than a chunk.
    pub fn next_checked(&mut self) -> Result<Option<Found>, WalkError> {
        let Some(found) = self.peek()? else {
            return Ok(None);
        };
        let size = found.header.size();
        self.fill(size.min(self.chunk_bytes))?;
        if self.chunk.len() >= size {
            if let Err(error) = found.header.check_crc(&self.chunk[..size]) {
                return self.bad(error);
            }
        } else {
            let computed = self.crc_in_pieces(&found)?;
            if computed != found.header.crc {
                return self.bad(BatchError::BadCrc { stored: found.header.crc, computed });
            }
        }
        self.skip(size);
        Ok(Some(found))
    }

    fn crc_in_pieces(&self, found: &Found) -> Result<u32, WalkError> {
        let mut crc = 0;
        let mut at = found.position + CRC_FROM;
        while at < found.end() {
            let length = (found.end() - at).min(self.chunk_bytes as u64) as usize;
            let piece = self.file.read_bytes_at(length, at)?;
            if piece.len() < length {
                let (have, need) = ((at - found.position) as usize, found.header.size());
                return self.bad(BatchError::Truncated { have, need });
            }
            crc = crc32c::crc32c_append(crc, &piece);
            at += length as u64;
        }
        Ok(crc)
    }
}

/// The CRC covers a batch from its attributes on.
const CRC_FROM: u64 = 21;

/// One batch of a file.
pub fn read_batch(file: &Arc<dyn File>, found: &Found) -> Result<Batch, WalkError> {
    let bytes = file.read_bytes_at(found.header.size(), found.position)?;
    Batch::parse_first(&bytes).map_err(|error| WalkError::Bad { position: found.position, error })
}
