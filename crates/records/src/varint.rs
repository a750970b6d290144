//! Zig-zag varints of 32 and 64 bits, as records use them.
//!
//! Promises: a decoder takes at most 5 (10) bytes and fails rather than wraps.

use crate::BatchError;
use bytes::Buf;

const BAD: BatchError = BatchError::BadRecord("varint is too long or cut off");

pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    // The zig-zag form of a value is the same in 32 and 64 bits.
    put_varlong(out, i64::from(value));
}

/// Bytes that come one after the other.
pub(crate) trait Bytewise {
    fn byte(&mut self) -> Result<u8, BatchError>;
}

impl Bytewise for &[u8] {
    #[inline]
    fn byte(&mut self) -> Result<u8, BatchError> {
        let (first, rest) = self.split_first().ok_or(BAD)?;
        *self = rest;
        Ok(*first)
    }
}

/// A buffer as bytes that come one after the other.
struct OfBuf<'a, B>(&'a mut B);

impl<B: Buf> Bytewise for OfBuf<'_, B> {
    fn byte(&mut self) -> Result<u8, BatchError> {
        match self.0.has_remaining() {
            true => Ok(self.0.get_u8()),
            false => Err(BAD),
        }
    }
}

pub(crate) fn get_varlong(bytes: &mut impl Buf) -> Result<i64, BatchError> {
    varlong(&mut OfBuf(bytes))
}

pub(crate) fn get_varint(bytes: &mut impl Buf) -> Result<i32, BatchError> {
    varint(&mut OfBuf(bytes))
}

#[inline]
pub(crate) fn varlong(bytes: &mut impl Bytewise) -> Result<i64, BatchError> {
    let raw = unsigned(bytes, 10)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

#[inline]
pub(crate) fn varint(bytes: &mut impl Bytewise) -> Result<i32, BatchError> {
    let raw = u32::try_from(unsigned(bytes, 5)?).map_err(|_| BAD)?;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Most numbers take one byte: those of checks are walked by the million.
#[inline]
fn unsigned(bytes: &mut impl Bytewise, bytes_max: u32) -> Result<u64, BatchError> {
    let first = bytes.byte()?;
    match first & 0x80 {
        0 => Ok(u64::from(first)),
        _ => longer(first, bytes, bytes_max),
    }
}

fn longer(first: u8, bytes: &mut impl Bytewise, bytes_max: u32) -> Result<u64, BatchError> {
    let mut value = u64::from(first & 0x7f);
    for index in 1..bytes_max {
        let byte = bytes.byte()?;
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(BAD);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, i64::from(i32::MIN)] {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            let mut bytes = Bytes::from(out);
            assert_eq!(get_varlong(&mut bytes), Ok(value));
            assert!(bytes.is_empty());
        }
        for value in [0, 1, -1, 300, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(get_varint(&mut Bytes::from(out)), Ok(value));
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_refused() {
        assert!(get_varint(&mut Bytes::from_static(&[0x80; 5])).is_err());
        assert!(get_varint(&mut Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x7f])).is_err());
        assert!(get_varlong(&mut Bytes::from_static(&[0x80, 0x80])).is_err());
        assert!(get_varlong(&mut Bytes::from_static(&[0xff; 10])).is_err());
    }
}
