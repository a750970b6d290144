//! Snapshots of the producers' state: a line for each row.
//!
//! Version i16 (1), CRC-32C u32 of the rest, number of rows i32; a row is producer id i64, epoch
//! i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32,
//! first offset of the open transaction i64 (-1 none). A producer that kept several batches has a
//! row for each, oldest first.

use super::{Dump, DumpError};
use bytes::{Buf, Bytes};
use std::path::Path;

const HEADER_BYTES: usize = 10;
const ROW_BYTES: usize = 46;
const VERSION: i16 = 1;
/// A row for each of five batches of a million producers.
const SNAPSHOT_BYTES_MAX: u64 = 5 * 46 * 1_000_000;

impl Dump<'_> {
    pub(super) fn producer_snapshot(&mut self, path: &Path) -> Result<(), DumpError> {
        let file = self.open(path)?;
        let size = file.len()?;
        if size > SNAPSHOT_BYTES_MAX {
            return Err(DumpError::Wrong(format!("{size} bytes are no snapshot")));
        }
        let mut rows = rows(file.read_bytes_at(size as usize, 0)?).map_err(DumpError::Wrong)?;
        while rows.has_remaining() {
            let line = row(&mut rows);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

/// The bytes of the rows, if the file is sound.
fn rows(mut bytes: Bytes) -> Result<Bytes, String> {
    if bytes.len() < HEADER_BYTES {
        return Err("Snapshot failed schema validation: it is cut off".to_owned());
    }
    let version = bytes.get_i16();
    if version != VERSION {
        return Err(format!("Snapshot contained an unknown file version {version}"));
    }
    let (stored, computed) = (bytes.get_u32(), crc32c::crc32c(&bytes));
    if stored != computed {
        return Err(format!(
            "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: \
             {computed}"
        ));
    }
    let count = bytes.get_i32();
    match usize::try_from(count) {
        Ok(count) if bytes.len() == count * ROW_BYTES => Ok(bytes),
        _ => Err(format!("{} bytes are not {count} rows", bytes.len())),
    }
}

fn row(rows: &mut Bytes) -> String {
    let (id, epoch, last_sequence) = (rows.get_i64(), rows.get_i16(), rows.get_i32());
    let (last_offset, delta, timestamp) = (rows.get_i64(), rows.get_i32(), rows.get_i64());
    let (coordinator_epoch, open) = (rows.get_i32(), rows.get_i64());
    let open = match open {
        open if open >= 0 => format!("OptionalLong[{open}]"),
        _ => "OptionalLong.empty".to_owned(),
    };
    let mut line = format!(
        "producerId: {id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} \
         currentTxnFirstOffset: {open} lastTimestamp: {timestamp} "
    );
    if last_offset >= 0 {
        // Sequences count in 31 bits.
        let first = last_sequence.wrapping_sub(delta) & i32::MAX;
        line += &format!(
            "firstSequence: {first} lastSequence: {last_sequence} lastOffset: {last_offset} \
             offsetDelta: {delta} timestamp: {timestamp}"
        );
    }
    line
}
