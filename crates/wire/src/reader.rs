//! Reads Kafka's primitive types from a frame, with bounds on everything.

use bytes::Bytes;
use types::Uuid;

use crate::{DecodeError, Element, StrBytes};

/// A position in a frame.
///
/// Promises: never panics and never reads past the end; strings and bytes are slices of the frame;
/// an array has at most [`Reader::ELEMENTS_MAX`] elements, and its memory grows as they are read; all
/// arrays of one reader together take at most [`Reader::allowance`] of the frame's size, and for a
/// moment half as much again, while one of them moves to make room.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
    /// Where reading ends: the end of the frame, or of the tagged field that is being read.
    end: usize,
    /// Bytes that arrays may still take in memory.
    allowance: usize,
    /// Bytes that they have taken.
    taken: usize,
}

impl Reader {
    /// Most elements of an array, as in Kafka 4.4.
    pub const ELEMENTS_MAX: usize = 1_000_000;
    /// Most tagged fields in one place, as in Kafka 4.4.
    pub const TAGGED_FIELDS_MAX: u32 = 10_000;
    /// Elements that an array has room for at first, as in Kafka 4.4: what it says of its length is
    /// believed as its elements come.
    const CAPACITY_FIRST: usize = 1000;
    /// Memory that arrays may take for each byte of a large frame. Real ones take less than 4.
    pub const ALLOCATION_PER_BYTE: usize = 4;
    /// As above, in addition, up to [`Reader::ALLOCATION_SMALL_MAX`] in all: a few hundred thousand
    /// names of one letter each are odd, and no attack. The worst that fits the schemas is an array of
    /// structs of empty strings, at about 30.
    pub const ALLOCATION_PER_BYTE_SMALL: usize = 32;
    pub const ALLOCATION_SMALL_MAX: usize = 16 * 1024 * 1024;
    /// Memory that arrays may take whatever the frame's size.
    pub const ALLOCATION_FREE: usize = 64 * 1024;
    /// What the allocator needs for itself, for each array.
    const ALLOCATION_OVERHEAD: usize = 16;

    pub fn new(bytes: Bytes) -> Self {
        let end = bytes.len();
        Reader { bytes, position: 0, end, allowance: Self::allowance(end), taken: 0 }
    }

    /// Most memory that the arrays of a frame of so many bytes may take.
    pub const fn allowance(frame_bytes: usize) -> usize {
        let small = frame_bytes.saturating_mul(Self::ALLOCATION_PER_BYTE_SMALL);
        let small =
            if small < Self::ALLOCATION_SMALL_MAX { small } else { Self::ALLOCATION_SMALL_MAX };
        let large = frame_bytes.saturating_mul(Self::ALLOCATION_PER_BYTE);
        large.saturating_add(small).saturating_add(Self::ALLOCATION_FREE)
    }

    /// Memory that the arrays read so far have taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes memory out of the allowance, before it is allocated.
    pub fn take(&mut self, memory: usize) -> Result<(), DecodeError> {
        self.allowance = self.allowance.checked_sub(memory).ok_or(DecodeError::TooMuchMemory)?;
        self.taken += memory;
        Ok(())
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
        let Some(count) = self.array_count(flexible, T::SIZE_MIN)? else { return Ok(None) };
        let mut items = Vec::new();
        for _ in 0..count {
            if items.len() == items.capacity() {
                self.make_room(&mut items, count)?;
            }
            items.push(T::read(self, version, flexible)?);
        }
        Ok(Some(items))
    }

    /// An array's number of elements, each of which takes at least so many bytes; none for null.
    pub fn array_count(
        &mut self,
        flexible: bool,
        element_bytes_min: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.long_length(flexible)? else { return Ok(None) };
        let remaining = self.remaining();
        if count > remaining / element_bytes_min {
            return Err(DecodeError::ArrayTooLong { count, remaining });
        }
        if count > Self::ELEMENTS_MAX {
            return Err(DecodeError::TooManyElements { count });
        }
        Ok(Some(count))
    }

    /// Doubles the room of an array that is full, up to its `count` of elements.
    fn make_room<T>(&mut self, items: &mut Vec<T>, count: usize) -> Result<(), DecodeError> {
        let wanted = (2 * items.len()).max(Self::CAPACITY_FIRST).min(count);
        let more = wanted - items.len();
        let overhead = if items.is_empty() { Self::ALLOCATION_OVERHEAD } else { 0 };
        // The count is bounded, so the product cannot overflow.
        self.take(more * size_of::<T>() + overhead)?;
        items.reserve_exact(more);
        Ok(())
    }

    /// Calls `read` for each tagged field; what it does not know (`false`) is skipped.
    pub fn tagged_fields(
        &mut self,
        mut read: impl FnMut(&mut Reader, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        if count > Self::TAGGED_FIELDS_MAX {
            return Err(DecodeError::TooManyTaggedFields { count });
        }
        for _ in 0..count {
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
