//! What can be wrong with batch bytes, and the code a client sees for each.

use types::ErrorCode;

/// Why bytes are not the batch that they should be. One variant per thing a caller or a client
/// does differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("batch ends after {have} bytes where {need} are needed")]
    Truncated { have: usize, need: usize },
    #[error("batch length {0} is below the header's size")]
    BadLength(i32),
    #[error("record batch of magic {0} is not supported")]
    UnsupportedMagic(i8),
    #[error("batch crc {stored:08x} is not {computed:08x}, that of its bytes")]
    BadCrc { stored: u32, computed: u32 },
    #[error("record set is empty")]
    Empty,
    #[error("record set holds more than one batch")]
    NotOneBatch,
    #[error("batch of {size} bytes is larger than {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("batch has {count} records but last offset delta {last_offset_delta}")]
    CountMismatch { count: i32, last_offset_delta: i32 },
    #[error("base offset of a produced batch is {0}, not 0")]
    BadBaseOffset(i64),
    #[error("control batch from a client")]
    ControlFromClient,
    #[error("batch with a delete horizon from a client")]
    DeleteHorizonFromClient,
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    #[error("zstd batch before produce version 7")]
    CodecTooNew,
    #[error("producer fields of the batch contradict each other: {0}")]
    BadProducer(&'static str),
    #[error("timestamp {timestamp} is outside {earliest}..={latest}")]
    TimestampOutOfRange { timestamp: i64, earliest: i64, latest: i64 },
    #[error("record {index} says that its time is that of the append, which only a broker may say")]
    AppendTimeFromClient { index: i32 },
    #[error("record {index} has no key, which a compacted topic needs")]
    MissingKey { index: i32 },
    #[error("record is malformed: {0}")]
    BadRecord(&'static str),
    #[error("compressed records do not decompress: {0}")]
    BadCompression(String),
    #[error("record of {size} bytes in a compressed batch is larger than {limit}")]
    RecordTooLarge { size: usize, limit: usize },
    #[error("records decompress to more than {limit} bytes")]
    DecompressedTooLarge { limit: usize },
}

impl BatchError {
    /// The code that answers a client whose batch has this fault, as Kafka chooses it.
    pub fn code(&self) -> ErrorCode {
        match self {
            BatchError::Truncated { .. } | BatchError::BadLength(_) | BatchError::BadCrc { .. } => {
                ErrorCode::CorruptMessage
            }
            // Formats that were: their clients must learn what is wrong. Any other magic is noise.
            BatchError::UnsupportedMagic(0 | 1) => ErrorCode::UnsupportedForMessageFormat,
            BatchError::UnsupportedMagic(_) => ErrorCode::CorruptMessage,
            BatchError::CodecTooNew | BatchError::UnknownCodec(_) => {
                ErrorCode::UnsupportedCompressionType
            }
            // A client splits a batch that is too large; to send this one again would not help.
            BatchError::TooLarge { .. } | BatchError::DecompressedTooLarge { .. } => {
                ErrorCode::MessageTooLarge
            }
            BatchError::TimestampOutOfRange { .. } | BatchError::AppendTimeFromClient { .. } => {
                ErrorCode::InvalidTimestamp
            }
            // Not CORRUPT_MESSAGE: the CRC is right, so the client made it so, and must not retry.
            BatchError::BadCompression(_)
            | BatchError::Empty
            | BatchError::NotOneBatch
            | BatchError::CountMismatch { .. }
            | BatchError::BadBaseOffset(_)
            | BatchError::ControlFromClient
            | BatchError::DeleteHorizonFromClient
            | BatchError::BadProducer(_)
            | BatchError::MissingKey { .. }
            | BatchError::RecordTooLarge { .. }
            | BatchError::BadRecord(_) => ErrorCode::InvalidRecord,
        }
    }
}
