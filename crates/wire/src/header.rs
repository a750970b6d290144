//! What stands before each request and response.
//!
//! A request header is version 1, or 2 (tagged fields at its end) if the request is flexible; a
//! response header is version 0, or 1 (tagged fields) if the response is flexible. The response
//! of ApiVersions has version 0 always, because its reader may not know the sender's versions
//! yet. The client id keeps its two-byte length in every version, and a client that does not name
//! itself in UTF-8 is served none the less, as Kafka does.

use crate::{ApiKey, DecodeError, EncodeError, Reader, StrBytes, Writer};

/// The header of a request, of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    /// As the client sent it: not checked against the schema's range.
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// 1 or 2, by the API and its version.
pub fn request_header_version(api_key: ApiKey, api_version: i16) -> i16 {
    if api_key.is_flexible(api_version) { 2 } else { 1 }
}

/// 0 or 1, by the API and its version; always 0 for ApiVersions.
pub fn response_header_version(api_key: ApiKey, api_version: i16) -> i16 {
    i16::from(api_key != ApiKey::ApiVersions && api_key.is_flexible(api_version))
}

/// Reads a request's header. An unknown API is an error that names its key; an unknown version
/// is not an error here, since an ApiVersions request of any version gets an answer.
pub fn decode_request_header(reader: &mut Reader) -> Result<RequestHeader, DecodeError> {
    let api_key = ApiKey::try_from(reader.int16()?)?;
    let api_version = reader.int16()?;
    let correlation_id = reader.int32()?;
    let client_id = reader.text_nullable()?;
    if request_header_version(api_key, api_version) == 2 {
        reader.skip_tagged_fields()?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

pub fn encode_request_header(
    writer: &mut Writer,
    header: &RequestHeader,
) -> Result<(), EncodeError> {
    writer.int16(header.api_key as i16);
    writer.int16(header.api_version);
    writer.int32(header.correlation_id);
    writer.string_nullable(header.client_id.as_deref(), false)?;
    if request_header_version(header.api_key, header.api_version) == 2 {
        writer.unsigned_varint(0);
    }
    Ok(())
}

/// Reads a response's header, which is a correlation id, and returns it.
pub fn decode_response_header(
    reader: &mut Reader,
    api_key: ApiKey,
    api_version: i16,
) -> Result<i32, DecodeError> {
    let correlation_id = reader.int32()?;
    if response_header_version(api_key, api_version) == 1 {
        reader.skip_tagged_fields()?;
    }
    Ok(correlation_id)
}

pub fn encode_response_header(
    writer: &mut Writer,
    api_key: ApiKey,
    api_version: i16,
    correlation_id: i32,
) {
    writer.int32(correlation_id);
    if response_header_version(api_key, api_version) == 1 {
        writer.unsigned_varint(0);
    }
}
