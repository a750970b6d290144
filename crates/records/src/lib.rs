//! Record batches of Kafka's format v2: parse, check, stamp, build, compress.
//!
//! Promises: bytes from outside never panic and never allocate more than the caller's cap; a batch
//! on its way through a broker is neither copied nor re-encoded, and one that a client sends is walked
//! once, record by record, packed or not; what a builder makes, every check here accepts.
//! Does not: know files, sockets, offsets of partitions or producers' histories.
//!
//! Layout (big-endian): see [`BatchHeader`].

mod batch;
mod builder;
mod codec;
mod control;
mod error;
mod header;
mod raw;
mod record;
mod scan;
mod unpack;
mod validate;
mod varint;

pub use batch::{Batch, Batches, batches};
pub use builder::{BatchBuilder, BatchOptions};
pub use codec::{Compression, compress, compress_at, decompress};
pub use control::{ControlRecord, EndTransactionMarker, MarkerKind};
pub use error::BatchError;
pub use header::{
    Attributes, BATCH_OVERHEAD, BatchHeader, HEADER_BYTES, Stamp, TimestampType, stamp,
};
pub use raw::{RawRecord, RawRecords};
pub use record::{Header, NewRecord, Record, Records};
pub use validate::{
    PackedValidation, ProduceLimits, ProducedBatch, RECORD_ERRORS_MAX, RecordError, RecordRules,
    Rejection, TargetCodec, TimestampLimits, validate_produced,
};
