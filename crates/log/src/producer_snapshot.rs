//! `.snapshot`: the producers' state at an offset (the file's name), in Kafka's layout.
//!
//! | bytes | field |
//! |--|--|
//! | 2 | version, 1 |
//! | 4 | CRC-32C of what follows this field |
//! | 4 | number of rows |
//! | 46 each | producer id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32, first offset of the open transaction i64 (-1: none) |
//!
//! A producer has one row for each batch kept, oldest first (Kafka itself keeps the last one only; a
//! reader that takes the last row of a producer sees what Kafka writes), or one row with last
//! sequence -1 and last offset -1 if it has none. Before these, one that has been silent has such a row
//! with the milliseconds of its silence in the place of the timestamp (ours; Kafka's reader goes by the
//! rows that follow).

use crate::producers::{BATCHES_KEPT, BatchMark, ProducerEntry, Producers};
use bytes::{Buf, BufMut};
use std::collections::VecDeque;
use types::{Offset, ProducerEpoch, ProducerId, Timestamp};

const VERSION: i16 = 1;
const HEADER_BYTES: usize = 10;
const ROW_BYTES: usize = 46;

/// The file's bytes.
pub fn encode(producers: &Producers) -> Vec<u8> {
    let mut rows = Vec::new();
    let mut count = 0;
    for (id, entry) in producers.entries() {
        let none = BatchMark {
            last_sequence: -1,
            last_offset: Offset::NONE,
            offset_delta: 0,
            timestamp: entry.last_timestamp,
        };
        let silence = producers.silent_ms(id);
        let silent =
            BatchMark { timestamp: Timestamp(silence.min(i64::MAX as u64) as i64), ..none };
        let silent = (silence > 0).then_some(&silent);
        let lone = entry.batches.is_empty().then_some(&none);
        let newest = entry.batches.back().or(lone);
        for mark in silent.into_iter().chain(&entry.batches).chain(lone) {
            // The newest row carries the time of the last append, which may be a marker's.
            let is_newest = newest.is_some_and(|newest| std::ptr::eq(newest, mark));
            let timestamp = if is_newest { entry.last_timestamp } else { mark.timestamp };
            rows.put_i64(id.0);
            rows.put_i16(entry.epoch.0);
            rows.put_i32(mark.last_sequence);
            rows.put_i64(mark.last_offset.0);
            rows.put_i32(mark.offset_delta);
            rows.put_i64(timestamp.0);
            rows.put_i32(entry.coordinator_epoch);
            rows.put_i64(entry.open_transaction.unwrap_or(Offset::NONE).0);
            count += 1;
        }
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + rows.len());
    out.put_i16(VERSION);
    let crc = crc32c::crc32c(&i32::to_be_bytes(count));
    out.put_u32(crc32c::crc32c_append(crc, &rows));
    out.put_i32(count);
    out.extend_from_slice(&rows);
    out
}

/// Reads a file's bytes; the error says what is wrong with them.
pub fn decode(mut bytes: &[u8]) -> Result<Producers, &'static str> {
    if bytes.len() < HEADER_BYTES {
        return Err("shorter than its header");
    }
    if bytes.get_i16() != VERSION {
        return Err("of an unknown version");
    }
    let crc = bytes.get_u32();
    if crc32c::crc32c(bytes) != crc {
        return Err("crc does not match");
    }
    let count = usize::try_from(bytes.get_i32()).map_err(|_| "negative number of rows")?;
    if bytes.len() != count.saturating_mul(ROW_BYTES) {
        return Err("number of rows does not match its size");
    }
    let mut producers = Producers::default();
    let mut current: Option<(ProducerId, ProducerEntry, u64)> = None;
    for _ in 0..count {
        let (id, row) = row(&mut bytes);
        match &mut current {
            Some((last, entry, silent_ms)) if *last == id => {
                // A row without a batch and not the only one tells of silence.
                if entry.batches.is_empty() {
                    *silent_ms = u64::try_from(entry.last_timestamp.0).unwrap_or(0);
                }
                entry.last_timestamp = row.last_timestamp;
                entry.epoch = row.epoch;
                entry.batches.extend(row.batches);
                if entry.batches.len() > BATCHES_KEPT {
                    entry.batches.pop_front();
                }
            }
            _ => {
                if let Some((id, entry, silent_ms)) = current.replace((id, row, 0)) {
                    producers.restore(id, entry, silent_ms);
                }
            }
        }
    }
    if let Some((id, entry, silent_ms)) = current {
        producers.restore(id, entry, silent_ms);
    }
    Ok(producers)
}

fn row(bytes: &mut &[u8]) -> (ProducerId, ProducerEntry) {
    let id = ProducerId(bytes.get_i64());
    let epoch = ProducerEpoch(bytes.get_i16());
    let (last_sequence, last_offset) = (bytes.get_i32(), Offset(bytes.get_i64()));
    let (offset_delta, timestamp) = (bytes.get_i32(), Timestamp(bytes.get_i64()));
    let (coordinator_epoch, open) = (bytes.get_i32(), Offset(bytes.get_i64()));
    let mut batches = VecDeque::new();
    if last_offset.0 >= 0 {
        batches.push_back(BatchMark { last_sequence, last_offset, offset_delta, timestamp });
    }
    let open_transaction = (open.0 >= 0).then_some(open);
    let entry = ProducerEntry {
        epoch,
        batches,
        last_timestamp: timestamp,
        coordinator_epoch,
        open_transaction,
    };
    (id, entry)
}
