//! Reads Kafka's primitive types from a frame, with bounds on everything.

use bytes::Bytes;
use types::Uuid;

use crate::{DecodeError, Element, StrBytes};

/// A position in a frame.
///
/// Promises: never panics and never reads past the end; strings and bytes are slices of the frame;
/// all arrays of one reader together take at most [`Reader::ALLOCATION_PER_BYTE`] times the
/// frame's size plus [`Reader::ALLOCATION_FREE`].
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
    /// Where reading ends: the end of the frame, or of the tagged field that is being read.
    end: usize,
    /// Bytes that arrays may still take in memory.
    allowance: usize,
}

impl Reader {
    /// Memory that arrays may take for each byte of the frame. Real messages stay below 10; the
    /// worst that fits the schemas is an array of structs of empty strings.
    pub const ALLOCATION_PER_BYTE: usize = 32;
    /// Memory that arrays may take whatever the frame's size.
    pub const ALLOCATION_FREE: usize = 64 * 1024;

    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        let allowance = end.saturating_mul(Self::ALLOCATION_PER_BYTE) + Self::ALLOCATION_FREE;
        Reader { bytes, position: 0, end, allowance }
    }

    /// Bytes that are left to read.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// The bytes that are left, without moving.
    pub fn peek(&self) -> &[u8] {
        &self.bytes[self.position..self.end]
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.position..self.end);
        self.position = self.end;
        rest
    }

    /// Fails if anything is left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::LeftOver { left }),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.peek().first_chunk::<N>() {
            Some(chunk) => {
                let chunk = *chunk;
                self.position += N;
                Ok(chunk)
            }
            None => Err(DecodeError::Truncated { needed: N, remaining: self.remaining() }),
        }
    }

    /// Any byte but zero is true, as in Kafka.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.int8()? != 0)
    }

    pub fn int8(&mut self) -> Result<i8, DecodeError> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn int16(&mut self) -> Result<i16, DecodeError> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn uint16(&mut self) -> Result<u16, DecodeError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub fn int32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn int64(&mut self) -> Result<i64, DecodeError> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn float64(&mut self) -> Result<f64, DecodeError> {
        self.fixed().map(f64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.fixed().map(Uuid)
    }

    /// Seven bits per byte, lowest first, at most 32 bits in five bytes.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// Takes the next `length` bytes without a copy.
    pub fn slice(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        let remaining = self.remaining();
        if length > remaining {
            return Err(DecodeError::Truncated { needed: length, remaining });
        }
        let slice = self.bytes.slice(self.position..self.position + length);
        self.position += length;
        Ok(slice)
    }

    /// A length of four bytes (or compact); none for null.
    pub(crate) fn long_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_length() } else { plain_length(i64::from(self.int32()?)) }
    }

    /// A string's length of two bytes (or compact); none for null.
    fn short_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_length() } else { plain_length(i64::from(self.int16()?)) }
    }

    /// The length plus one; zero is null.
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.unsigned_varint()?;
        if length > i32::MAX as u32 {
            return Err(DecodeError::BadLength { length: i64::from(length) - 1 });
        }
        Ok((length as usize).checked_sub(1))
    }

    pub fn string_nullable(&mut self, flexible: bool) -> Result<Option<StrBytes>, DecodeError> {
        let Some(length) = self.short_length(flexible)? else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(DecodeError::BadLength { length: length as i64 });
        }
        self.slice(length).and_then(StrBytes::from_utf8).map(Some)
    }

    /// Text that is only shown: what is no UTF-8 in it is replaced. In the form that is not
    /// flexible.
    pub fn text_nullable(&mut self) -> Result<Option<StrBytes>, DecodeError> {
        let Some(length) = self.short_length(false)? else { return Ok(None) };
        self.slice(length).map(StrBytes::from_utf8_lossy).map(Some)
    }

    pub fn bytes_nullable(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.long_length(flexible)? {
            Some(length) => self.slice(length).map(Some),
            None => Ok(None),
        }
    }

    pub fn array_nullable<T: Element>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        const { assert!(T::SIZE_MIN > 0, "an element without bytes cannot be counted") };
        let Some(count) = self.long_length(flexible)? else { return Ok(None) };
        let remaining = self.remaining();
        if count > remaining / T::SIZE_MIN {
            return Err(DecodeError::ArrayTooLong { count, remaining });
        }
        // The count is at most the frame's size, so the product cannot overflow.
        let memory = count * size_of::<T>();
        self.allowance = self.allowance.checked_sub(memory).ok_or(DecodeError::TooMuchMemory)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::read(self, version, flexible)?);
        }
        Ok(Some(items))
    }

    /// Calls `read` for each tagged field; what it does not know (`false`) is skipped.
    pub fn tagged_fields(
        &mut self,
        mut read: impl FnMut(&mut Reader, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Every tagged field takes two bytes at least, so a false count ends the loop early.
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            if size > self.remaining() {
                return Err(DecodeError::Truncated { needed: size, remaining: self.remaining() });
            }
            let outer_end = std::mem::replace(&mut self.end, self.position + size);
            let known = read(self, tag)?;
            if known && self.remaining() > 0 {
                return Err(DecodeError::TaggedFieldLeftOver { tag, left: self.remaining() });
            }
            self.position = self.end;
            self.end = outer_end;
        }
        Ok(())
    }

    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}

fn plain_length(length: i64) -> Result<Option<usize>, DecodeError> {
    match length {
        -1 => Ok(None),
        0.. => Ok(Some(length as usize)),
        _ => Err(DecodeError::BadLength { length }),
    }
}
