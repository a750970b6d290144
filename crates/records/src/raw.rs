//! Records as slices of their batch: for compaction, which looks at keys and copies the rest.
//!
//! Promises: bytes from a disk never panic; nothing is allocated; what [`crate::Records`] accepts,
//! this accepts, except that header contents are not looked at.

use crate::BatchError;
use crate::varint::put_varlong;

/// One record of a decompressed payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawRecord<'a> {
    /// The whole record, its length included.
    pub bytes: &'a [u8],
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    /// Whether the value is null: the record deletes its key.
    pub is_tombstone: bool,
    attributes: u8,
    /// What follows the timestamp delta: offset delta, key, value, headers.
    rest: &'a [u8],
}

impl RawRecord<'_> {
    /// Appends the record with another timestamp delta.
    pub fn copy_with_timestamp_delta(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let mut delta = Vec::with_capacity(10);
        put_varlong(&mut delta, timestamp_delta);
        put_varlong(out, (1 + delta.len() + self.rest.len()) as i64);
        out.push(self.attributes);
        out.extend_from_slice(&delta);
        out.extend_from_slice(self.rest);
    }
}

/// Walks the records of a decompressed payload. A fault is the last item.
pub struct RawRecords<'a> {
    rest: &'a [u8],
    left: i32,
    last_offset_delta: i32,
}

impl<'a> RawRecords<'a> {
    /// `payload` has `count` records with offset deltas up to `last_offset_delta`.
    pub fn new(payload: &'a [u8], count: i32, last_offset_delta: i32) -> RawRecords<'a> {
        RawRecords { rest: payload, left: count, last_offset_delta }
    }

    fn read(&mut self) -> Result<RawRecord<'a>, BatchError> {
        let start = self.rest;
        let mut at = 0;
        let size = length(get(start, &mut at)?)?;
        let end = at.checked_add(size).filter(|end| *end <= start.len()).ok_or(CUT)?;
        let bytes = &start[..end];
        let attributes = *bytes.get(at).ok_or(BatchError::BadRecord("empty record"))?;
        at += 1;
        let timestamp_delta = get(bytes, &mut at)?;
        let rest = &bytes[at..];
        let offset_delta = i32::try_from(get(bytes, &mut at)?).map_err(|_| CUT)?;
        if !(0..=self.last_offset_delta).contains(&offset_delta) {
            return Err(BatchError::BadRecord("offset delta outside the batch"));
        }
        let key = match get(bytes, &mut at)? {
            -1 => None,
            size => {
                let size = length(size)?;
                let key = bytes.get(at..).and_then(|rest| rest.get(..size)).ok_or(CUT)?;
                at += size;
                Some(key)
            }
        };
        let value = get(bytes, &mut at)?;
        if value >= 0 && length(value)? > bytes.len() - at {
            return Err(CUT);
        }
        self.rest = &start[end..];
        let is_tombstone = value < 0;
        Ok(RawRecord { bytes, timestamp_delta, offset_delta, key, is_tombstone, attributes, rest })
    }
}

const CUT: BatchError = BatchError::BadRecord("longer than its batch");

fn length(size: i64) -> Result<usize, BatchError> {
    usize::try_from(size).map_err(|_| BatchError::BadRecord("negative length"))
}

fn get(bytes: &[u8], at: &mut usize) -> Result<i64, BatchError> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or(BatchError::BadRecord("varint is cut off"))?;
        *at += 1;
        raw |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    Err(BatchError::BadRecord("varint is too long"))
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let whole = self.rest.is_empty() && self.left == 0;
            (self.rest, self.left) = (&[], 0);
            return (!whole).then_some(Err(BatchError::BadRecord("bytes after the last record")));
        }
        let item = self.read();
        match item {
            Ok(_) => self.left -= 1,
            Err(_) => (self.rest, self.left) = (&[], 0),
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, BatchBuilder, BatchOptions, HEADER_BYTES, Header, NewRecord};
    use types::Timestamp;

    fn batch() -> Batch {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for n in 0..5i64 {
            builder.push(&NewRecord {
                timestamp: Timestamp(1000 + n * n),
                key: (n != 2).then(|| format!("key {n}").into()),
                value: (n != 3).then(|| vec![b'v'; 100 * n as usize].into()),
                headers: vec![Header { key: "h".into(), value: None }; n as usize],
            });
        }
        builder.build()
    }

    fn raw(batch: &Batch) -> RawRecords<'_> {
        let header = &batch.header;
        let payload = &batch.bytes[HEADER_BYTES..];
        RawRecords::new(payload, header.records_count, header.last_offset_delta)
    }

    #[test]
    fn a_raw_record_is_the_record() {
        let batch = batch();
        let whole: Vec<_> = batch.records(usize::MAX).unwrap().map(Result::unwrap).collect();
        let raws: Vec<_> = raw(&batch).map(Result::unwrap).collect();
        assert_eq!(whole.len(), raws.len());
        for (whole, raw) in whole.iter().zip(&raws) {
            assert_eq!(whole.key.as_deref(), raw.key);
            assert_eq!(whole.value.is_none(), raw.is_tombstone);
            assert_eq!(whole.offset.0, i64::from(raw.offset_delta));
            assert_eq!(whole.timestamp.0, batch.header.base_timestamp.0 + raw.timestamp_delta);
        }
        let copied: Vec<u8> = raws.iter().flat_map(|r| r.bytes.to_vec()).collect();
        assert_eq!(copied, batch.bytes[HEADER_BYTES..]);
    }

    #[test]
    fn a_record_keeps_all_but_its_timestamp() {
        let batch = batch();
        let mut payload = Vec::new();
        for record in raw(&batch).map(Result::unwrap) {
            record.copy_with_timestamp_delta(record.timestamp_delta - 1_000_000, &mut payload);
        }
        let mut moved = batch.header;
        moved.base_timestamp = Timestamp(moved.base_timestamp.0 + 1_000_000);
        moved.length = (HEADER_BYTES - crate::BATCH_OVERHEAD + payload.len()) as i32;
        let bytes = [&moved.encode()[..], &payload].concat();
        let moved = Batch { header: moved, bytes: bytes.into() };
        let before: Vec<_> = batch.records(usize::MAX).unwrap().collect();
        let after: Vec<_> = moved.records(usize::MAX).unwrap().collect();
        assert_eq!(before, after);
    }

    #[test]
    fn a_cut_payload_ends_in_an_error() {
        let batch = batch();
        let payload = &batch.bytes[HEADER_BYTES..];
        for cut in 0..payload.len() {
            let records = RawRecords::new(&payload[..cut], 5, 4);
            assert!(records.last().unwrap().is_err(), "{cut}");
        }
        assert!(RawRecords::new(payload, 4, 4).last().unwrap().is_err(), "bytes left over");
        assert!(RawRecords::new(payload, -1, 4).last().unwrap().is_err(), "negative count");
    }
}
