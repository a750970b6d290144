//! A pass over the records of a batch that copies and allocates nothing: for checks.

use crate::varint::{get_varint, get_varlong};
use crate::{BatchError, BatchHeader};
use bytes::Buf;

/// What a check wants to know of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scanned {
    /// As its producer set it, whatever the batch's timestamp type.
    pub timestamp: i64,
    pub has_key: bool,
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
        visit(read(header, place, &mut rest)?);
    }
    match rest.is_empty() {
        true => Ok(()),
        false => Err(BatchError::BadRecord("bytes after the last record")),
    }
}

fn read(header: &BatchHeader, place: i32, rest: &mut &[u8]) -> Result<Scanned, BatchError> {
    let size = get_varint(rest)?;
    let mut body = take(rest, size)?;
    if body.is_empty() {
        return Err(BatchError::BadRecord("empty record"));
    }
    let _attributes = body.get_u8();
    let timestamp_delta = get_varlong(&mut body)?;
    if get_varint(&mut body)? != place {
        return Err(BatchError::BadRecord("offset delta is not the record's place"));
    }
    let has_key = skip(&mut body)?;
    skip(&mut body)?;
    skip_headers(&mut body)?;
    if !body.is_empty() {
        return Err(BatchError::BadRecord("bytes left over"));
    }
    let timestamp = header.base_timestamp.0.wrapping_add(timestamp_delta);
    Ok(Scanned { timestamp, has_key })
}

fn take<'a>(bytes: &mut &'a [u8], size: i32) -> Result<&'a [u8], BatchError> {
    let size = usize::try_from(size).map_err(|_| BatchError::BadRecord("negative length"))?;
    let (taken, rest) =
        bytes.split_at_checked(size).ok_or(BatchError::BadRecord("longer than its batch"))?;
    *bytes = rest;
    Ok(taken)
}

/// Passes over a nullable field; whether it is there.
fn skip(bytes: &mut &[u8]) -> Result<bool, BatchError> {
    match get_varint(bytes)? {
        -1 => Ok(false),
        size => take(bytes, size).map(|_| true),
    }
}

fn skip_headers(bytes: &mut &[u8]) -> Result<(), BatchError> {
    let count = get_varint(bytes)?;
    if count < 0 {
        return Err(BatchError::BadRecord("negative length"));
    }
    // Each takes two bytes at least, so that the loop ends with the bytes.
    for _ in 0..count {
        if !skip(bytes)? {
            return Err(BatchError::BadRecord("header without a key"));
        }
        skip(bytes)?;
    }
    Ok(())
}
