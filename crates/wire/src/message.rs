//! A whole message: the root struct of a request, a response or a data record.

use crate::{Bytes, DecodeError, Element, EncodeError, Pieces, Reader, Writer};

/// A message with a key and a range of versions; implemented by generated code only.
pub trait Message: Element + Default + Clone + std::fmt::Debug + PartialEq {
    /// Kafka's name of the message.
    const NAME: &'static str;
    /// The API key; for a data record the number that stands before its key, -1 where none does.
    const KEY: i16;
    /// The first and the last version of the schema.
    const VERSIONS: (i16, i16);
    /// The first flexible version, `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }

    /// Reads a message; bytes behind it stay in the reader.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Self::read(reader, version, Self::is_flexible(version))
    }

    /// Appends the message. After an error the writer holds a part of it and is of no more use.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if version < Self::VERSIONS.0 || version > Self::VERSIONS.1 {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.write(writer, version, Self::is_flexible(version))
    }

    /// Reads a message that takes all of the bytes.
    fn decode_bytes(bytes: Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = Self::decode(&mut reader, version)?;
        reader.finish()?;
        Ok(message)
    }

    fn encode_pieces(&self, version: i16) -> Result<Pieces, EncodeError> {
        let mut writer = Writer::new();
        self.encode(&mut writer, version)?;
        Ok(writer.finish())
    }
}

/// A request, which knows its response.
pub trait Request: Message {
    type Response: Message;
}
