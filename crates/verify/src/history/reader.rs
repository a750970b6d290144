//! Reads a history, line by line.
//!
//! Promises: memory for one line and one buffer; a line that is not an event is an error that names
//! its number, and nothing after it is read.

use std::io;
use std::path::Path;
use std::sync::Arc;

use env::{Env, File};

use super::{Event, VERSION};

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("cannot read the history: {0}")]
    Io(#[from] io::Error),
    #[error("line {line} is not an event: {reason}")]
    Line { line: u64, reason: String },
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong { line: u64 },
    #[error("the history does not start with a begin event of version {VERSION}")]
    NoBeginning,
}

const BUFFER_BYTES: usize = 1 << 20;
const LINE_BYTES_MAX: usize = 64 << 20;

/// An open history.
pub struct HistoryReader {
    file: Arc<dyn File>,
    position: u64,
    /// Bytes read and not yet handed out, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    line: u64,
}

impl HistoryReader {
    pub fn open(env: &Env, path: &Path) -> Result<HistoryReader, HistoryError> {
        let file = env.disk.open(path, env::disk::Open::Read)?;
        Ok(HistoryReader { file, position: 0, buffer: Vec::new(), at: 0, line: 0 })
    }

    /// The next event; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<Event>, HistoryError> {
        loop {
            let Some(range) = self.next_line()? else { return Ok(None) };
            self.line += 1;
            let text = &self.buffer[range];
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event: Event = serde_json::from_slice(text).map_err(|error| {
                HistoryError::Line { line: self.line, reason: error.to_string() }
            })?;
            let begins = matches!(&event, Event::Begin(begin) if begin.version == VERSION);
            if self.line == 1 && !begins {
                return Err(HistoryError::NoBeginning);
            }
            return Ok(Some(event));
        }
    }

    /// The next line's place in the buffer, which is filled as need be.
    fn next_line(&mut self) -> Result<Option<std::ops::Range<usize>>, HistoryError> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(length) = rest[searched..].iter().position(|byte| *byte == b'\n') {
                let range = self.at..self.at + searched + length;
                self.at = range.end + 1;
                return Ok(Some(range));
            }
            searched = rest.len();
            if searched > LINE_BYTES_MAX {
                return Err(HistoryError::TooLong { line: self.line + 1 });
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            let more = self.file.read_bytes_at(BUFFER_BYTES, self.position)?;
            if more.is_empty() {
                // A last line without its end counts.
                let range = 0..self.buffer.len();
                self.at = range.end;
                return Ok((!range.is_empty()).then_some(range));
            }
            self.position += more.len() as u64;
            self.buffer.extend_from_slice(&more);
        }
    }
}
