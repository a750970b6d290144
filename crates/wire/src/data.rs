//! Data messages with the number of two bytes that stands before them.
//!
//! Before a record's key in an internal topic it is the kind of record ([`Message::KEY`]), before
//! a record's value and before a consumer's opaque data it is the version of what follows.

use bytes::Bytes;

use crate::{DecodeError, EncodeError, Message, Reader, Writer};

/// A record's key: its kind, then the key in version 0, which is all there is.
pub fn encode_key<M: Message>(key: &M) -> Result<Bytes, EncodeError> {
    encode_prefixed(M::KEY, key, 0)
}

/// A value or a consumer's data: its version, then itself.
pub fn encode_value<M: Message>(value: &M, version: i16) -> Result<Bytes, EncodeError> {
    encode_prefixed(version, value, version)
}

fn encode_prefixed<M: Message>(
    prefix: i16,
    message: &M,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.int16(prefix);
    message.encode(&mut writer, version)?;
    Ok(writer.finish().into_bytes())
}

/// The kind of a record by its key, and a reader that stands before the key's message, whose
/// version is 0.
pub fn open_key(key: Bytes) -> Result<(i16, Reader), DecodeError> {
    let mut reader = Reader::new(key);
    Ok((reader.int16()?, reader))
}

/// Reads a value with its version in front. A newer version than the last known one is an error.
pub fn decode_value<M: Message>(value: Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(value);
    let version = reader.int16()?;
    M::decode(&mut reader, version)
}

/// Reads a consumer's data with its version in front. A newer version than the last known one is
/// read as that one, since later versions only add to the end.
pub fn decode_consumer_data<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.int16()?;
    M::decode(&mut reader, version.min(M::VERSIONS.1))
}
