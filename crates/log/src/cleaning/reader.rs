//! Reads a segment's batches one after the other through one buffer.

use crate::partition::Source;
use crate::walk::WalkError;
use env::File;
use records::{BatchError, BatchHeader, HEADER_BYTES};
use std::ops::Range;
use std::sync::Arc;

/// Where a reader stands; the buffer outlives it.
pub struct BatchReader<'a> {
    source: &'a Source,
    file: Arc<dyn File>,
    /// In the file, of the buffer's first unread byte.
    position: u64,
    unread: Range<usize>,
    chunk_bytes: usize,
}

/// A batch in the buffer.
pub struct BufferedBatch {
    pub header: BatchHeader,
    pub bytes: Range<usize>,
}

impl<'a> BatchReader<'a> {
    /// From a batch's start. Reads `chunk_bytes` at once, or a whole batch where that is larger.
    pub fn new(
        source: &'a Source,
        file: Arc<dyn File>,
        position: u64,
        chunk_bytes: usize,
    ) -> BatchReader<'a> {
        BatchReader { source, file, position, unread: 0..0, chunk_bytes }
    }

    /// Of the next batch.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn is_at_end(&self) -> bool {
        self.position >= self.source.size
    }

    fn bad<T>(&self, error: BatchError) -> Result<T, WalkError> {
        Err(WalkError::Bad { position: self.position, error })
    }

    /// Makes sure that `need` bytes are in the buffer, if the segment has them; the bytes read.
    fn fill(&mut self, buffer: &mut Vec<u8>, need: usize) -> Result<usize, WalkError> {
        if self.unread.len() >= need {
            return Ok(0);
        }
        buffer.copy_within(self.unread.clone(), 0);
        let have = self.unread.len();
        let left = usize::try_from(self.source.size - self.position).unwrap_or(usize::MAX);
        let wanted = self.chunk_bytes.max(need).min(left).max(have);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let read = self.file.read_at(&mut buffer[have..wanted], self.position + have as u64)?;
        self.unread = 0..have + read;
        Ok(read)
    }

    /// The next batch, and how many bytes were read for it.
    pub fn next(
        &mut self,
        buffer: &mut Vec<u8>,
    ) -> Result<(Option<BufferedBatch>, usize), WalkError> {
        if self.is_at_end() {
            return Ok((None, 0));
        }
        let mut read = self.fill(buffer, HEADER_BYTES)?;
        let header = match BatchHeader::parse(&buffer[self.unread.clone()]) {
            Ok(header) => header,
            Err(error) => return self.bad(error),
        };
        let size = header.size();
        let left = self.source.size - self.position;
        if size as u64 > left {
            return self.bad(BatchError::Truncated { have: left as usize, need: size });
        }
        read += self.fill(buffer, size)?;
        if self.unread.len() < size {
            return self.bad(BatchError::Truncated { have: self.unread.len(), need: size });
        }
        let bytes = self.unread.start..self.unread.start + size;
        self.unread.start += size;
        self.position += size as u64;
        Ok((Some(BufferedBatch { header, bytes }), read))
    }
}
