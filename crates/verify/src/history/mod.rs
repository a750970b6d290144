//! A history: what each client asked and what it was told, one event a line.
//!
//! Promises:
//! - The form is JSON lines, so that any program can write or read one; the first line is
//!   [`Begin`], the last is [`End`], and a file without an end is of a recorder that died.
//! - All times of a file are microseconds of one clock.
//! - Within one client, events stand in the order in which they ended; between clients any order
//!   will do.
//! - Fields that a reader does not know are skipped.

mod event;
mod reader;
mod writer;

pub use event::*;
pub use reader::{HistoryError, HistoryReader};
pub use writer::{HistorySink, HistoryWriter};
