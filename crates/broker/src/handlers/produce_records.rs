//! What a topic asks of the records in a produced batch, and how a client is told that one fails.
//!
//! Promises: a plain batch is checked in place, on the spot, and so is a packed one that is small
//! ([`on_the_spot`]): a hop to another thread would cost more. Other unpacking and packing happen on
//! threads of their own, a few at a time ([`Packing`]), with a cap on what a batch may unpack to.

use config::{Compression, TimestampType, TopicConfig};
use env::{Mutant, mutant};
use records::{
    BatchError, PackedValidation, ProducedBatch, RecordRules, Rejection, TargetCodec,
    TimestampLimits,
};
use tokio::sync::Semaphore;
use types::{ErrorCode, Timestamp};
use wire::StrBytes;
use wire::produce::BatchIndexAndErrorMessage;

/// Most bytes that one batch's records may unpack to: far above what a client's `batch.size`
/// makes, and little enough that a hostile batch cannot take the memory of a node.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// Largest packed batch that is checked on the spot, and most bytes that it may unpack to there:
/// tens, at most hundreds of microseconds.
const ON_THE_SPOT_BYTES_MAX: usize = 64 << 10;
const ON_THE_SPOT_UNPACKED_BYTES_MAX: usize = 512 << 10;
/// Batches that are unpacked at the same time: each may hold [`UNPACKED_BYTES_MAX`].
const PACKING_MAX: usize = 2;

/// Why a partition's records are refused.
#[derive(Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Option<String>,
    pub record_errors: Vec<BatchIndexAndErrorMessage>,
    /// The records or their producer were looked at: the answer tells the log's start, as Kafka's
    /// does.
    pub tells_log_start: bool,
}

impl Refusal {
    /// The partition did not append the records. What Kafka knows as a mistake of the client's or
    /// the end of a leadership comes bare; all else tells the log's start.
    pub fn of_append(code: ErrorCode) -> Refusal {
        let is_bare = matches!(
            code,
            ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::MessageTooLarge
                | ErrorCode::RecordListTooLarge
                | ErrorCode::CorruptMessage
                | ErrorCode::KafkaStorageError
        );
        Refusal { tells_log_start: !is_bare, ..code.into() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal { code, message: None, record_errors: Vec::new(), tells_log_start: false }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Refusal {
        let tells_log_start = match &error {
            BatchError::Truncated { .. }
            | BatchError::BadLength(_)
            | BatchError::UnsupportedMagic(_)
            | BatchError::BadCrc { .. }
            | BatchError::Empty
            | BatchError::NotOneBatch
            | BatchError::TooLarge { .. }
            | BatchError::DecompressedTooLarge { .. }
            | BatchError::CodecTooNew => false,
            BatchError::CountMismatch { .. }
            | BatchError::BadBaseOffset(_)
            | BatchError::ControlFromClient
            | BatchError::DeleteHorizonFromClient
            | BatchError::UnknownCodec(_)
            | BatchError::BadProducer(_)
            | BatchError::TimestampOutOfRange { .. }
            | BatchError::AppendTimeFromClient { .. }
            | BatchError::MissingKey { .. }
            | BatchError::RecordTooLarge { .. }
            | BatchError::BadRecord(_)
            | BatchError::BadCompression(_) => true,
        };
        let message = Some(error.to_string());
        Refusal { code: error.code(), message, record_errors: Vec::new(), tells_log_start }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        let errors = match rejection {
            Rejection::Batch(error) => return error.into(),
            Rejection::Records(errors) => errors,
        };
        // One record out of time makes the answer INVALID_TIMESTAMP, whatever else is wrong.
        let is_late = errors.iter().any(|e| e.error.code() == ErrorCode::InvalidTimestamp);
        let (code, reason) = match is_late {
            true => (ErrorCode::InvalidTimestamp, "invalid timestamps"),
            false => (ErrorCode::InvalidRecord, "invalid records"),
        };
        let message = format!("{} records have been rejected due to {reason}", errors.len());
        let told = |error: &records::RecordError| BatchIndexAndErrorMessage {
            batch_index: error.index,
            batch_index_error_message: Some(StrBytes::from(error.error.to_string())),
        };
        Refusal {
            code,
            message: Some(message),
            record_errors: errors.iter().map(told).collect(),
            tells_log_start: true,
        }
    }
}

/// The rules of a topic for records that are appended at `now`.
pub fn rules(config: &TopicConfig, now: Timestamp) -> RecordRules {
    let message = &config.message;
    let timestamps = match message.timestamp_type {
        TimestampType::LogAppendTime => None,
        TimestampType::CreateTime => Some(TimestampLimits {
            now,
            before_max_ms: message.timestamp_before_max_ms.unwrap_or(i64::MAX),
            after_max_ms: message.timestamp_after_max_ms.unwrap_or(i64::MAX),
        }),
    };
    let (codec, level) = match message.compression {
        Compression::Producer => (None, None),
        Compression::Uncompressed => (Some(records::Compression::None), None),
        Compression::Gzip => (Some(records::Compression::Gzip), Some(message.gzip_level)),
        Compression::Snappy => (Some(records::Compression::Snappy), None),
        Compression::Lz4 => (Some(records::Compression::Lz4), Some(message.lz4_level)),
        Compression::Zstd => (Some(records::Compression::Zstd), Some(message.zstd_level)),
    };
    RecordRules {
        needs_key: config.cleanup_policy.compact,
        timestamps,
        target: codec.map(|codec| TargetCodec { codec, level }),
        max_message_bytes: message.max_message_bytes as usize,
        packed: match message.walks_packed && !mutant::is(Mutant::PackedBelieved) {
            true => PackedValidation::Full,
            false => PackedValidation::Header,
        },
        record_bytes_max: message.max_decompressed_message_bytes as usize,
        output_bytes_max: UNPACKED_BYTES_MAX,
    }
}

/// Conforms a small packed batch at once; `None` if it needs a thread of its own.
pub fn on_the_spot(
    batch: &ProducedBatch,
    rules: &RecordRules,
) -> Option<Result<ProducedBatch, Refusal>> {
    if batch.must_repack(rules) || batch.bytes().len() > ON_THE_SPOT_BYTES_MAX {
        return None;
    }
    let rules = RecordRules { output_bytes_max: ON_THE_SPOT_UNPACKED_BYTES_MAX, ..*rules };
    match batch.clone().conform(&rules) {
        // It takes more than is spent here, or a larger window of its codec: perhaps sound.
        Err(Rejection::Batch(
            BatchError::DecompressedTooLarge { .. } | BatchError::BadCompression(_),
        )) => None,
        conformed => Some(conformed.map_err(Refusal::from)),
    }
}

/// Bounds how many batches are unpacked at the same time.
pub struct Packing(Semaphore);

impl Packing {
    pub fn new() -> Packing {
        Packing(Semaphore::new(PACKING_MAX))
    }

    /// Conforms a batch that must be unpacked or packed, on a thread of its own.
    pub async fn conform(
        &self,
        batch: ProducedBatch,
        rules: RecordRules,
    ) -> Result<ProducedBatch, Refusal> {
        // Never closed: it lives as long as the broker.
        let Ok(_turn) = self.0.acquire().await else {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        };
        env::tasks::blocking(move || batch.conform(&rules)).await.map_err(Refusal::from)
    }
}

impl Default for Packing {
    fn default() -> Self {
        Packing::new()
    }
}
