//! Commands, replies and records as messages of `proto/ottla/metadata.proto`, and back.
//!
//! Promises: what is encoded decodes to an equal value; bytes and messages of others give a
//! [`DecodeError`] and never a panic.
//! Does not: bound sizes. Whoever reads from a socket or a file does, before it decodes.

mod command;
mod record;
mod reply;
mod shared;
#[cfg(test)]
mod tests;

use crate::{Command, Record, Reply};
use bytes::Bytes;
use prost::Message;
use rpc::metadata as proto;

/// Why a message is not a command, reply or record that this version knows.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("not a valid message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A needed part is missing, or is of a kind that this version does not know.
    #[error("field {0} is missing or of an unknown kind")]
    Missing(&'static str),
    #[error("field {field} has the invalid value {value}")]
    Invalid { field: &'static str, value: String },
}

macro_rules! bytes_too {
    ($domain:ty, $proto:ty) => {
        impl $domain {
            /// As bytes of the protobuf message.
            pub fn to_bytes(&self) -> Bytes {
                Bytes::from(<$proto>::from(self).encode_to_vec())
            }

            /// From bytes of the protobuf message.
            pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
                Self::try_from(<$proto>::decode(bytes)?)
            }
        }
    };
}

bytes_too!(Command, proto::Command);
bytes_too!(Reply, proto::Reply);
bytes_too!(Record, proto::Record);
