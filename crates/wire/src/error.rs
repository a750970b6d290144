//! What can be wrong with bytes that come in and with values that should go out.

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("message ends early: {needed} bytes wanted, {remaining} left")]
    Truncated { needed: usize, remaining: usize },
    #[error("length {length} is not allowed")]
    BadLength { length: i64 },
    #[error("array of {count} elements cannot fit into the {remaining} bytes left")]
    ArrayTooLong { count: usize, remaining: usize },
    #[error("array of {count} elements: at most {max} are allowed", max = crate::Reader::ELEMENTS_MAX)]
    TooManyElements { count: usize },
    #[error("{count} tagged fields: at most {max} are allowed", max = crate::Reader::TAGGED_FIELDS_MAX)]
    TooManyTaggedFields { count: u32 },
    #[error("decoding would take more memory than its size justifies")]
    TooMuchMemory,
    #[error("variable-length integer does not end in time")]
    VarintTooLong,
    #[error("string is not utf-8")]
    NotUtf8,
    #[error("null where a value must be")]
    UnexpectedNull,
    #[error("{left} bytes left over in tagged field {tag}")]
    TaggedFieldLeftOver { tag: u32, left: usize },
    #[error("{left} bytes left over behind the message")]
    LeftOver { left: usize },
    #[error("unknown api key {key}")]
    UnknownApi { key: i16 },
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
}

/// Why a value cannot be sent in the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    /// The field has a value, but the version has no such field.
    #[error("{field} cannot be sent in version {version}")]
    FieldNotInVersion { field: &'static str, version: i16 },
    #[error("{field} cannot be null in version {version}")]
    NullNotInVersion { field: &'static str, version: i16 },
    #[error("field of {length} bytes or elements is too long for the protocol")]
    TooLong { length: usize },
}
