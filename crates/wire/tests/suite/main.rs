//! Tests of the wire crate as others use it.
//!
//! `sample` makes messages from the schema files, byte by byte and without the crate's own
//! writer; `oracle` compares with the `kafka-protocol` crate; `hostile` feeds damaged bytes and
//! counts allocations; `golden` holds exchanges spelled out in bytes; `error_codes` looks for
//! the errors in answers.
#![allow(clippy::disallowed_methods)] // The schema files are read by these tests.

mod error_codes;
mod golden;
mod hostile;
mod normal;
mod oracle;
#[path = "../../build/parse.rs"]
mod parse;
mod pieces;
mod random;
mod sample;
#[allow(dead_code)]
#[path = "../../build/schema.rs"]
mod schema;
