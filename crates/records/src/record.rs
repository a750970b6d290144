//! The records inside a batch.
//!
//! A record: length varint, attributes i8 (0), timestamp delta varlong, offset delta varint, key
//! and value each as length varint (-1: null) and bytes, header count varint, and for each header
//! its key (never null) and value likewise. Varints are zig-zag.

use crate::header::HEADER_BYTES;
use crate::varint::{get_varint, get_varlong, put_varint, put_varlong};
use crate::{Batch, BatchError, BatchHeader, TimestampType, decompress};
use bytes::{Buf, Bytes};
use types::{Offset, Timestamp};

/// A record header. Keys may repeat; order is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record as read from a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub offset: Offset,
    /// The batch's max timestamp where the batch's type is LogAppendTime.
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A record to put into a batch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NewRecord {
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

impl NewRecord {
    /// Appends the record as it stands in a batch: length, then attributes, deltas, key, value and
    /// headers. `payload` is scratch room.
    pub(crate) fn encode(&self, place: Place, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        scratch.clear();
        scratch.push(0);
        put_varlong(scratch, place.timestamp_delta);
        put_varint(scratch, place.offset_delta);
        put_bytes(scratch, self.key.as_ref());
        put_bytes(scratch, self.value.as_ref());
        put_varint(scratch, length(self.headers.len()));
        for header in &self.headers {
            put_bytes(scratch, Some(&header.key));
            put_bytes(scratch, header.value.as_ref());
        }
        put_varint(out, length(scratch.len()));
        out.extend_from_slice(scratch);
    }
}

/// A record's place, relative to its batch.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
}

fn length(value: usize) -> i32 {
    i32::try_from(value).expect("a record stays below 2 GiB")
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}

/// Walks the records of a batch. A fault is the last item.
pub struct Records {
    rest: Bytes,
    left: i32,
    header: BatchHeader,
}

impl Records {
    pub(crate) fn of(batch: &Batch, output_bytes_max: usize) -> Result<Records, BatchError> {
        let header = batch.header;
        if header.records_count < 0 {
            let (count, last_offset_delta) = (header.records_count, header.last_offset_delta);
            return Err(BatchError::CountMismatch { count, last_offset_delta });
        }
        let codec = header.attributes.compression()?;
        let payload = batch.bytes.slice(HEADER_BYTES..header.size());
        let rest = decompress(codec, &payload, output_bytes_max)?;
        Ok(Records { rest, left: header.records_count, header })
    }

    fn read(&mut self) -> Result<Record, BatchError> {
        let size = get_varint(&mut self.rest)?;
        let mut body = take(&mut self.rest, size)?;
        if body.is_empty() {
            return Err(BatchError::BadRecord("empty record"));
        }
        let _attributes = body.get_u8();
        let timestamp_delta = get_varlong(&mut body)?;
        let offset_delta = get_varint(&mut body)?;
        let key = get_bytes(&mut body)?;
        let value = get_bytes(&mut body)?;
        let headers = get_headers(&mut body)?;
        if !body.is_empty() {
            return Err(BatchError::BadRecord("bytes left over"));
        }
        if !(0..=self.header.last_offset_delta).contains(&offset_delta) {
            return Err(BatchError::BadRecord("offset delta outside the batch"));
        }
        let timestamp = match self.header.attributes.timestamp_type() {
            TimestampType::CreateTime => {
                Timestamp(self.header.base_timestamp.0.wrapping_add(timestamp_delta))
            }
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        let offset = self.header.base_offset.plus(i64::from(offset_delta));
        Ok(Record { offset, timestamp, key, value, headers })
    }
}

fn take(bytes: &mut Bytes, size: i32) -> Result<Bytes, BatchError> {
    let size = usize::try_from(size).map_err(|_| BatchError::BadRecord("negative length"))?;
    if size > bytes.len() {
        return Err(BatchError::BadRecord("longer than its batch"));
    }
    Ok(bytes.split_to(size))
}

fn get_bytes(bytes: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    match get_varint(bytes)? {
        -1 => Ok(None),
        size => take(bytes, size).map(Some),
    }
}

fn get_headers(bytes: &mut Bytes) -> Result<Vec<Header>, BatchError> {
    let count = get_varint(bytes)?;
    let count = usize::try_from(count).map_err(|_| BatchError::BadRecord("negative length"))?;
    // A header takes two bytes at least: a larger count lies.
    if count > bytes.len() / 2 {
        return Err(BatchError::BadRecord("more headers than bytes"));
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let key = get_bytes(bytes)?.ok_or(BatchError::BadRecord("header without a key"))?;
        let value = get_bytes(bytes)?;
        headers.push(Header { key, value });
    }
    Ok(headers)
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let whole = self.rest.is_empty();
            self.rest = Bytes::new();
            return (!whole).then_some(Err(BatchError::BadRecord("bytes after the last record")));
        }
        let item = self.read();
        match item {
            Ok(_) => self.left -= 1,
            Err(_) => {
                self.left = 0;
                self.rest = Bytes::new();
            }
        }
        Some(item)
    }
}
