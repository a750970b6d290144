//! Logs: a line for each batch, and one for each record where that is asked for.

use super::report::Report;
use super::{Dump, DumpError, File, base_offset};
use records::{
    BATCH_OVERHEAD, Batch, BatchError, BatchHeader, ControlRecord, MarkerKind, Record,
    TimestampType,
};
use std::path::Path;
use types::Timestamp;

/// Bytes of a batch up to its magic, without which it cannot be told what it is.
const UP_TO_MAGIC: u64 = 17;
/// The smallest length that any format of a batch can have.
const LENGTH_MIN: i32 = 14;
/// Most bytes that a batch's records may unpack to: what a broker takes as well.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// Reads a log's batches one after the other.
pub(super) struct BatchReader {
    file: File,
    position: u64,
    end: u64,
}

impl BatchReader {
    /// Reads from `position` at most `bytes_max` bytes.
    pub fn new(file: File, position: u64, bytes_max: u64) -> Result<BatchReader, DumpError> {
        let end = file.len()?.min(position.saturating_add(bytes_max));
        Ok(BatchReader { file, position, end })
    }

    /// The next batch that lies wholly within the bounds, with its position.
    pub fn next(&mut self) -> Result<Option<(u64, Batch)>, DumpError> {
        let Some(left) = self.end.checked_sub(self.position).filter(|left| *left >= UP_TO_MAGIC)
        else {
            return Ok(None);
        };
        let head = self.file.read_bytes_at(UP_TO_MAGIC as usize, self.position)?;
        if head.len() < UP_TO_MAGIC as usize {
            return Ok(None);
        }
        let length = i32::from_be_bytes(head[8..12].try_into().expect("four bytes"));
        if length < LENGTH_MIN {
            let text = format!(
                "batch at position {} has length {length}, below the smallest possible",
                self.position
            );
            return Err(DumpError::Wrong(text));
        }
        let size = BATCH_OVERHEAD as u64 + length as u64;
        if size > left {
            return Ok(None);
        }
        let bytes = self.file.read_bytes_at(size as usize, self.position)?;
        let batch = match Batch::parse_first(&bytes) {
            Ok(batch) => batch,
            // Cut while we read.
            Err(BatchError::Truncated { .. }) => return Ok(None),
            Err(error) => {
                let text = format!("batch at position {}: {error}", self.position);
                return Err(DumpError::Wrong(text));
            }
        };
        let position = self.position;
        self.position += size;
        Ok(Some((position, batch)))
    }
}

/// The records of a batch, whatever it claims.
pub(super) fn records_of(
    batch: &Batch,
) -> Result<impl Iterator<Item = Result<Record, BatchError>> + use<>, DumpError> {
    Ok(batch.records(UNPACKED_BYTES_MAX)?)
}

impl Dump<'_> {
    pub(super) fn log(&mut self, path: &Path, report: &mut Report) -> Result<(), DumpError> {
        match path.extension().is_some_and(|extension| extension == "log") {
            true => writeln!(self.out, "Log starting offset: {}", base_offset(path)?)?,
            false => self.snapshot_name(path)?,
        }
        let file = self.open(path)?;
        let size = file.len()?;
        let mut batches = BatchReader::new(file, 0, self.options.max_bytes)?;
        let mut last_offset = -1;
        while let Some((position, batch)) = batches.next()? {
            writeln!(self.out, "{}", batch_line(position, &batch))?;
            if self.options.is_deep {
                self.records(path, &batch, &mut last_offset, report)?;
            }
        }
        let trailing = size - batches.position;
        if trailing > 0 && self.options.max_bytes == i32::MAX as u64 {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            writeln!(self.out, "Found {trailing} invalid bytes at the end of {name}")?;
        }
        Ok(())
    }

    /// A snapshot of Kafka's metadata log: `<end offset>-<epoch>.checkpoint`.
    fn snapshot_name(&mut self, path: &Path) -> Result<(), DumpError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if stem == "bootstrap" {
            writeln!(self.out, "KRaft bootstrap snapshot")?;
            return Ok(());
        }
        let parts = stem.split_once('-');
        let parsed = parts.and_then(|(offset, epoch)| {
            Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?))
        });
        let Some((offset, epoch)) = parsed else {
            return Err(DumpError::Wrong(format!("{stem} names no offset and epoch")));
        };
        writeln!(self.out, "Snapshot end offset: {offset}, epoch: {epoch}")?;
        Ok(())
    }

    fn records(
        &mut self,
        path: &Path,
        batch: &Batch,
        last_offset: &mut i64,
        report: &mut Report,
    ) -> Result<(), DumpError> {
        for record in records_of(batch)? {
            let record = record?;
            let offset = record.offset.0;
            if *last_offset >= 0 && offset != *last_offset + 1 {
                report.gaps.add(path, (*last_offset, offset));
            }
            *last_offset = offset;
            let line = self.record_line(&batch.header, &record)?;
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn record_line(&self, header: &BatchHeader, record: &Record) -> Result<String, DumpError> {
        let is_control = header.attributes.is_control();
        let mut line = String::new();
        if !self.options.skips_record_metadata {
            line.push_str("| ");
            line.push_str(&metadata(header, record));
            if is_control {
                line.push_str(&control(record)?);
            }
        }
        if self.options.prints_data && !is_control {
            let parsed = self.options.decoder.parse(record).map_err(DumpError::Wrong)?;
            if let Some(key) = &parsed.key {
                line.push_str(if line.is_empty() { "| " } else { " " });
                line.push_str(&format!("key: {key}"));
            }
            if let Some(value) = &parsed.value {
                line.push_str(if line.is_empty() { "| " } else { " " });
                line.push_str(&format!("payload: {value}"));
            }
        }
        Ok(line)
    }
}

fn time_type(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn batch_line(position: u64, batch: &Batch) -> String {
    let header = &batch.header;
    let attributes = header.attributes;
    let horizon = match attributes.has_delete_horizon() {
        true => format!("OptionalLong[{}]", header.base_timestamp),
        false => "OptionalLong.empty".to_owned(),
    };
    let codec = match attributes.compression() {
        Ok(codec) => codec.name().to_owned(),
        Err(error) => error.to_string(),
    };
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} \
         deleteHorizonMs: {horizon} position: {position} {}: {} size: {} magic: 2 compresscodec: \
         {codec} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.leader_epoch,
        attributes.is_transactional(),
        attributes.is_control(),
        time_type(header),
        header.max_timestamp,
        header.size(),
        header.crc,
        batch.check_crc().is_ok(),
    )
}

fn metadata(header: &BatchHeader, record: &Record) -> String {
    let size = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(-1, |b| b.len() as i64);
    let delta = record.offset.0 - header.base_offset.0;
    let sequence = match header.base_sequence {
        base if base < 0 => -1,
        base => (i64::from(base) + delta) & i64::from(i32::MAX),
    };
    let keys: Vec<_> =
        record.headers.iter().map(|header| String::from_utf8_lossy(&header.key)).collect();
    format!(
        "offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        time_type(header),
        record.timestamp,
        size(&record.key),
        size(&record.value),
        keys.join(","),
    )
}

fn control(record: &Record) -> Result<String, DumpError> {
    Ok(match ControlRecord::parse(record)? {
        ControlRecord::EndTransaction(marker) => {
            let kind = match marker.kind {
                MarkerKind::Abort => "ABORT",
                MarkerKind::Commit => "COMMIT",
            };
            format!(" endTxnMarker: {kind} coordinatorEpoch: {}", marker.coordinator_epoch)
        }
        ControlRecord::Other(kind) => {
            let name = match kind {
                2 => "LEADER_CHANGE",
                3 => "SNAPSHOT_HEADER",
                4 => "SNAPSHOT_FOOTER",
                5 => "KRAFT_VERSION",
                6 => "KRAFT_VOTERS",
                _ => "UNKNOWN",
            };
            format!(" controlType: {name}({kind})")
        }
    })
}

/// The newest timestamp of a batch's records.
pub(super) fn max_timestamp(batch: &Batch) -> Result<i64, DumpError> {
    let mut newest = Timestamp::NONE;
    for record in records_of(batch)? {
        newest = newest.max(record?.timestamp);
    }
    Ok(newest.0)
}
