//! The one answer that must be understood before versions are agreed on.
//!
//! A broker that does not know the version of an ApiVersions request answers with a version 0
//! body that holds UNSUPPORTED_VERSION and its own range of ApiVersions, so that the client can
//! ask again. A client must expect that body whatever version it asked in.

use crate::api_versions::{ApiVersion, ApiVersionsResponse};
use crate::{ApiKey, DecodeError, EncodeError, Message, Pieces, Reader, frame};

const UNSUPPORTED_VERSION: i16 = types::ErrorCode::UnsupportedVersion as i16;

/// The whole frame with which a broker answers an ApiVersions request of an unknown version.
pub fn encode_unsupported(correlation_id: i32, range: (i16, i16)) -> Result<Pieces, EncodeError> {
    let api = ApiVersion {
        api_key: ApiKey::ApiVersions as i16,
        min_version: range.0,
        max_version: range.1,
    };
    let error_code = UNSUPPORTED_VERSION;
    let response = ApiVersionsResponse { error_code, api_keys: vec![api], ..Default::default() };
    frame::encode_response(0, correlation_id, &response)
}

/// Reads an ApiVersions response, which is of version 0 if it begins with UNSUPPORTED_VERSION.
/// The reader stands behind the header.
pub fn decode_response(
    reader: &mut Reader,
    version: i16,
) -> Result<ApiVersionsResponse, DecodeError> {
    let refused = reader.peek().starts_with(&UNSUPPORTED_VERSION.to_be_bytes());
    ApiVersionsResponse::decode(reader, if refused { 0 } else { version })
}
