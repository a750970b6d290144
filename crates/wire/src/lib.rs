//! Kafka's messages, generated from the schema files in `proto/kafka/`.
//!
//! One module per API, named in snake case, with `NameRequest`, `NameResponse` and their structs;
//! `group_records`, `transaction_records` and `consumer_protocol` hold what is stored or carried
//! inside other messages. Names of structs and fields are Kafka's.
//!
//! Promises:
//! - decoding never panics, copies no string, bytes or records field ([`StrBytes`] and [`Bytes`]
//!   are slices of the frame), and allocates at most [`Reader::allowance`] of the input's size, a
//!   small multiple: an array's length is checked against the bytes that are left and Kafka's limit,
//!   and memory for it is taken as its elements come;
//! - encoding refuses a value that the version cannot carry, unless Kafka's schema lets it go;
//! - a large field travels as a piece of its own, without a copy ([`Writer`], [`Records`]).
//!
//! Does not: know what messages mean, or which versions a broker advertises. Tagged fields that
//! the schema does not know are skipped and forgotten.
//!
//! A decoded string keeps the whole frame alive; call [`StrBytes::detach`] before keeping one.

mod api_key;
mod element;
mod error;
mod message;
mod pieces;
mod reader;
mod records;
mod str_bytes;
mod writer;

pub mod data;
pub mod frame;
pub mod header;
pub mod version_negotiation;

pub use api_key::ApiKey;
pub use bytes::Bytes;
pub use element::{Element, Nullable};
pub use error::{DecodeError, EncodeError};
pub use message::{Message, Request};
pub use pieces::{Elsewhere, Part, Pieces};
pub use reader::Reader;
pub use records::Records;
pub use str_bytes::StrBytes;
pub use types::Uuid;
pub use writer::Writer;

/// What the generated modules use.
mod generated {
    pub(crate) use crate::element::{absent, required};
    pub use crate::{
        Bytes, DecodeError, Element, EncodeError, Message, Nullable, Reader, Records, Request,
        StrBytes, Uuid, Writer,
    };
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
