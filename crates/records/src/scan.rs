//! A pass over the records of a batch that builds and allocates nothing: for checks.
//!
//! Promises: every record is walked to its end (lengths, varints, counts, its place in the batch);
//! what lies between the lengths is not looked at. A packed payload goes through a window of
//! [`WINDOW_BYTES`]: a record that fits is walked in it, a larger one is passed over piece by piece.

use crate::unpack::Unpacked;
use crate::varint::{Bytewise, varint, varlong};
use crate::{BatchError, BatchHeader, Compression};
use bytes::Bytes;

/// Small enough for a core's own cache, several times what a usual record takes.
const WINDOW_BYTES: usize = 64 << 10;
const WINDOW_BYTES_MIN: usize = 4 << 10;
/// Most bytes of a 32-bit varint.
const VARINT_BYTES_MAX: usize = 5;

/// What a check wants to know of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scanned {
    /// As its producer set it, whatever the batch's timestamp type.
    pub timestamp: i64,
    pub has_key: bool,
}

/// What the records of a packed batch may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PackedLimits {
    /// One record, without the bytes of its own length.
    pub record_bytes_max: usize,
    /// All of them.
    pub output_bytes_max: usize,
}

/// Calls `visit` with each record of the unpacked payload, in order. Fails at the first that is no
/// whole record, whose place in the batch is not its own, and for bytes after the last one.
pub(crate) fn scan(
    header: &BatchHeader,
    plain: &[u8],
    mut visit: impl FnMut(Scanned),
) -> Result<(), BatchError> {
    let mut rest = plain;
    for place in 0..header.records_count {
        let size = varint(&mut rest)?;
        let body = take(&mut rest, size)?;
        visit(read(header, place, body)?);
    }
    match rest.is_empty() {
        true => Ok(()),
        false => Err(LEFT_OVER),
    }
}

/// The same for a packed payload, which is unpacked on the way.
pub(crate) fn scan_packed(
    header: &BatchHeader,
    codec: Compression,
    payload: &Bytes,
    limits: &PackedLimits,
    mut visit: impl FnMut(Scanned),
) -> Result<(), BatchError> {
    let unpacked = Unpacked::new(codec, payload, limits.output_bytes_max)?;
    let mut window = Window::new(unpacked, payload.len(), limits);
    for place in 0..header.records_count {
        let size = window.record_size()?;
        if size > limits.record_bytes_max {
            return Err(BatchError::RecordTooLarge { size, limit: limits.record_bytes_max });
        }
        visit(match window.holds(size)? {
            true => read(header, place, window.take(size))?,
            false => read(header, place, Large { window: &mut window, left: size })?,
        });
    }
    match window.is_at_end()? {
        true => Ok(()),
        false => Err(LEFT_OVER),
    }
}

const LEFT_OVER: BatchError = BatchError::BadRecord("bytes after the last record");
const CUT_OFF: BatchError = BatchError::BadRecord("longer than its batch");
const NEGATIVE: BatchError = BatchError::BadRecord("negative length");

/// A record's bytes after its length: in memory, or still to be unpacked.
trait Body: Bytewise {
    fn left(&self) -> usize;
    fn skip(&mut self, count: usize) -> Result<(), BatchError>;
}

impl Body for &[u8] {
    fn left(&self) -> usize {
        self.len()
    }

    fn skip(&mut self, count: usize) -> Result<(), BatchError> {
        *self = self.get(count..).ok_or(CUT_OFF)?;
        Ok(())
    }
}

fn read(header: &BatchHeader, place: i32, mut body: impl Body) -> Result<Scanned, BatchError> {
    if body.left() == 0 {
        return Err(BatchError::BadRecord("empty record"));
    }
    let _attributes = body.byte()?;
    let timestamp_delta = varlong(&mut body)?;
    if varint(&mut body)? != place {
        return Err(BatchError::BadRecord("offset delta is not the record's place"));
    }
    let has_key = skip_field(&mut body)?;
    skip_field(&mut body)?;
    skip_headers(&mut body)?;
    if body.left() > 0 {
        return Err(BatchError::BadRecord("bytes left over"));
    }
    let timestamp = header.base_timestamp.0.wrapping_add(timestamp_delta);
    Ok(Scanned { timestamp, has_key })
}

fn take<'a>(bytes: &mut &'a [u8], size: i32) -> Result<&'a [u8], BatchError> {
    let size = usize::try_from(size).map_err(|_| NEGATIVE)?;
    let (taken, rest) = bytes.split_at_checked(size).ok_or(CUT_OFF)?;
    *bytes = rest;
    Ok(taken)
}

/// Passes over a nullable field; whether it is there.
fn skip_field(body: &mut impl Body) -> Result<bool, BatchError> {
    match varint(body)? {
        -1 => Ok(false),
        size => {
            body.skip(usize::try_from(size).map_err(|_| NEGATIVE)?)?;
            Ok(true)
        }
    }
}

fn skip_headers(body: &mut impl Body) -> Result<(), BatchError> {
    let count = varint(body)?;
    if count < 0 {
        return Err(NEGATIVE);
    }
    // Each takes two bytes at least, so that the loop ends with the bytes.
    for _ in 0..count {
        if !skip_field(body)? {
            return Err(BatchError::BadRecord("header without a key"));
        }
        skip_field(body)?;
    }
    Ok(())
}

/// What has been unpacked and not looked at: `buffer[start..end]`.
struct Window<'a> {
    unpacked: Unpacked<'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How much more may be unpacked.
    left_max: usize,
    output_bytes_max: usize,
}

impl<'a> Window<'a> {
    /// A small payload gets a small window: to clear it takes time as well.
    fn new(unpacked: Unpacked<'a>, packed: usize, limits: &PackedLimits) -> Window<'a> {
        let bytes = packed.saturating_mul(4).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES);
        Window {
            unpacked,
            buffer: vec![0; bytes],
            start: 0,
            end: 0,
            left_max: limits.output_bytes_max,
            output_bytes_max: limits.output_bytes_max,
        }
    }

    fn ready(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Has at least `count` bytes ready, if as many are left; `count` is at most the window.
    fn fill(&mut self, count: usize) -> Result<(), BatchError> {
        if self.end - self.start >= count {
            return Ok(());
        }
        if self.start + count > self.buffer.len() || self.start == self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < count {
            let read = self.unpacked.read(&mut self.buffer[self.end..])?;
            if read == 0 {
                return Ok(());
            }
            self.end += read;
            self.left_max = self
                .left_max
                .checked_sub(read)
                .ok_or(BatchError::DecompressedTooLarge { limit: self.output_bytes_max })?;
        }
        Ok(())
    }

    fn record_size(&mut self) -> Result<usize, BatchError> {
        self.fill(VARINT_BYTES_MAX)?;
        let mut ready = self.ready();
        let before = ready.len();
        let size = varint(&mut ready)?;
        self.start += before - ready.len();
        usize::try_from(size).map_err(|_| NEGATIVE)
    }

    /// Whether a record of this size can be looked at in the window.
    fn holds(&mut self, size: usize) -> Result<bool, BatchError> {
        if size > self.buffer.len() {
            return Ok(false);
        }
        self.fill(size)?;
        match self.ready().len() >= size {
            true => Ok(true),
            false => Err(CUT_OFF),
        }
    }

    fn take(&mut self, size: usize) -> &[u8] {
        self.start += size;
        &self.buffer[self.start - size..self.start]
    }

    fn is_at_end(&mut self) -> Result<bool, BatchError> {
        self.fill(1)?;
        Ok(self.ready().is_empty())
    }
}

/// A record that is larger than the window.
struct Large<'w, 'a> {
    window: &'w mut Window<'a>,
    left: usize,
}

impl Bytewise for Large<'_, '_> {
    fn byte(&mut self) -> Result<u8, BatchError> {
        self.left = self.left.checked_sub(1).ok_or(CUT_OFF)?;
        self.window.fill(1)?;
        let byte = *self.window.ready().first().ok_or(CUT_OFF)?;
        self.window.start += 1;
        Ok(byte)
    }
}

impl Body for Large<'_, '_> {
    fn left(&self) -> usize {
        self.left
    }

    fn skip(&mut self, count: usize) -> Result<(), BatchError> {
        self.left = self.left.checked_sub(count).ok_or(CUT_OFF)?;
        let mut count = count;
        while count > 0 {
            self.window.fill(1)?;
            let skipped = count.min(self.window.ready().len());
            if skipped == 0 {
                return Err(CUT_OFF);
            }
            self.window.start += skipped;
            count -= skipped;
        }
        Ok(())
    }
}
