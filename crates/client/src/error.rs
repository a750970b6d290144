//! What can go wrong, by what a caller does differently.

use types::ErrorCode;

/// A failed operation. Cloneable, since one failure may end many waiting records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("cannot connect to {addr}: {reason}")]
    Connect { addr: String, reason: String },
    /// The connection ended before the answer came; the request may have taken effect.
    #[error("connection to {addr} ended: {reason}")]
    Disconnected { addr: String, reason: String },
    /// No answer in time; the request may have taken effect.
    #[error("no answer to {what} within {ms} ms")]
    Timeout { what: String, ms: u64 },
    /// The peer speaks no version of the API that this client speaks.
    #[error("{addr} does not support {api}")]
    Unsupported { addr: String, api: &'static str },
    /// The peer's bytes are not a valid response.
    #[error("malformed response from {addr}: {reason}")]
    Malformed { addr: String, reason: String },
    /// The request cannot be written (a value out of range for its version).
    #[error("request cannot be encoded: {0}")]
    Encode(String),
    /// The cluster refused, with its reason.
    #[error("{message}")]
    Refused { code: ErrorCode, message: String },
    /// The cluster refused with a code that this client does not know.
    #[error("unknown error code {0}")]
    UnknownCode(i16),
    /// The cluster has no such broker at the moment.
    #[error("broker {0} is not available")]
    NoBroker(i32),
    /// A record is larger than the producer may send.
    #[error("record of {bytes} bytes is larger than the limit of {limit} bytes")]
    RecordTooLarge { bytes: usize, limit: usize },
    /// A record could not be delivered within `delivery_timeout`; it may have been written.
    #[error("record for {partition} not delivered within {ms} ms: {last}")]
    DeliveryTimeout { partition: String, ms: u64, last: String },
    /// Records were found damaged.
    #[error("corrupt records in {partition} at offset {offset}: {reason}")]
    Corrupt { partition: String, offset: i64, reason: String },
    /// Records that were read are gone from the partition's log, from `parts_at` on if that is known.
    #[error(
        "{partition} was read up to offset {at}, its leader's log parts from that at {parts_at:?}"
    )]
    Truncated { partition: String, at: i64, parts_at: Option<i64> },
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The client, producer or consumer was closed.
    #[error("closed")]
    Closed,
}

impl ClientError {
    /// Whether the same request may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::Disconnected { .. }
            | ClientError::Timeout { .. }
            | ClientError::NoBroker(_) => true,
            ClientError::Refused { code, .. } => code.is_retriable(),
            ClientError::Unsupported { .. }
            | ClientError::Malformed { .. }
            | ClientError::Encode(_)
            | ClientError::UnknownCode(_)
            | ClientError::RecordTooLarge { .. }
            | ClientError::DeliveryTimeout { .. }
            | ClientError::Corrupt { .. }
            | ClientError::Truncated { .. }
            | ClientError::Invalid(_)
            | ClientError::Closed => false,
        }
    }

    /// The cluster's error code, if the cluster refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// A refusal by code, with a text of our own where the cluster sent none.
    pub fn refused(code: ErrorCode, message: Option<&str>) -> ClientError {
        let message = match message {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => describe(code).map_or_else(|| code.name().to_owned(), str::to_owned),
        };
        ClientError::Refused { code, message }
    }
}

/// Turns an error code of a response into a result.
pub fn check(code: i16, message: Option<&str>) -> Result<(), ClientError> {
    if code == 0 {
        return Ok(());
    }
    match ErrorCode::from_code(code) {
        Some(code) => Err(ClientError::refused(code, message)),
        None => Err(ClientError::UnknownCode(code)),
    }
}

/// Plain words for the codes that people meet and that often come without a message.
fn describe(code: ErrorCode) -> Option<&'static str> {
    let text = match code {
        ErrorCode::UnknownTopicOrPartition => "the topic or partition does not exist",
        ErrorCode::UnknownTopicId => "no topic has this id",
        ErrorCode::TopicAlreadyExists => "a topic of this name already exists",
        ErrorCode::InvalidTopicException => "the topic name is not valid",
        ErrorCode::NotLeaderOrFollower => "the broker does not hold this partition any more",
        ErrorCode::LeaderNotAvailable => "the partition has no leader at the moment",
        ErrorCode::OffsetOutOfRange => "the offset is outside the partition's log",
        ErrorCode::MessageTooLarge => "the record batch is larger than max.message.bytes",
        ErrorCode::NotEnoughReplicas => {
            "fewer replicas are in sync than min.insync.replicas asks for"
        }
        ErrorCode::NotEnoughReplicasAfterAppend => {
            "written, but fewer replicas are in sync than min.insync.replicas asks for"
        }
        ErrorCode::CoordinatorNotAvailable => "the group coordinator is not available",
        ErrorCode::GroupIdNotFound => "the group does not exist",
        ErrorCode::RequestTimedOut => "the cluster did not finish the request in time",
        ErrorCode::UnknownMemberId => "the group does not know this member",
        ErrorCode::SecurityDisabled => "no authorizer is configured on the broker",
        _ => return None,
    };
    Some(text)
}
