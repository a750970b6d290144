//! Frames: a length of four bytes, a header, a message.

use bytes::{Buf, Bytes, BytesMut};

use crate::header::{self, RequestHeader};
use crate::{ApiKey, DecodeError, EncodeError, Message, Pieces, Reader, Request, StrBytes, Writer};

/// Why the stream cannot be cut into frames any more: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame length {length} is negative")]
    Negative { length: i32 },
    #[error("frame of {length} bytes is above the limit of {length_max}")]
    TooLong { length: usize, length_max: usize },
}

/// Takes one frame, without its length, off the front of what has arrived; `None` if it is not
/// complete. The limit is checked as soon as the length is there, before any of the frame is.
pub fn split(buffer: &mut BytesMut, length_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = frame_length(*prefix, length_max)?;
    if buffer.len() - 4 < length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The length of the frame behind these four bytes.
pub fn frame_length(prefix: [u8; 4], length_max: usize) -> Result<usize, FrameError> {
    let signed = i32::from_be_bytes(prefix);
    let length = usize::try_from(signed).map_err(|_| FrameError::Negative { length: signed })?;
    if length > length_max {
        return Err(FrameError::TooLong { length, length_max });
    }
    Ok(length)
}

/// A request's header, and a reader that stands before its message.
pub fn open_request(frame: Bytes) -> Result<(RequestHeader, Reader), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = header::decode_request_header(&mut reader)?;
    Ok((header, reader))
}

/// A whole request frame, its length included.
pub fn encode_request<M: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<StrBytes>,
    request: &M,
) -> Result<Pieces, EncodeError> {
    let api_key = key_of::<M>();
    let header = RequestHeader { api_key, api_version: version, correlation_id, client_id };
    let mut writer = Writer::with_length_prefix();
    header::encode_request_header(&mut writer, &header)?;
    request.encode(&mut writer, version)?;
    writer.finish_checked()
}

/// A whole response frame, its length included.
pub fn encode_response<M: Message>(
    version: i16,
    correlation_id: i32,
    response: &M,
) -> Result<Pieces, EncodeError> {
    let mut writer = Writer::with_length_prefix();
    header::encode_response_header(&mut writer, key_of::<M>(), version, correlation_id);
    response.encode(&mut writer, version)?;
    writer.finish_checked()
}

/// A response frame without its length: the correlation id and the message. What stands behind
/// the message is left alone, as Kafka does.
pub fn decode_response<M: Message>(frame: Bytes, version: i16) -> Result<(i32, M), DecodeError> {
    let mut reader = Reader::new(frame);
    let correlation_id = header::decode_response_header(&mut reader, key_of::<M>(), version)?;
    Ok((correlation_id, M::decode(&mut reader, version)?))
}

/// # Panics
/// For a data message, which has no frame.
fn key_of<M: Message>() -> ApiKey {
    match ApiKey::try_from(M::KEY) {
        Ok(key) => key,
        Err(_) => panic!("{} is not a message of an api", M::NAME),
    }
}
