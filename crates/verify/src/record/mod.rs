//! Records a history: clients of every kind at work on topics of the run's own.
//!
//! Promises:
//! - Each producer, reader and group member is a client of its own, with its own connections, as
//!   real ones are.
//! - Nothing of a client's answers is interpreted here but whether it is one; judging is the
//!   checker's.
//! - Memory does not grow with the length of the run: events go to the file, and what is in flight
//!   is bounded.
//! - The load ends before the final read begins, and every send has an outcome by then.
//!
//! Does not: delete the topics that it made ([`delete_topics`] does, once nobody wants to look).
//!
//! Phases: load, settle (producers have ended; readers and groups come to the end), done.

mod final_read;
mod group;
mod options;
mod producer;
mod progress;
mod reader;
mod run;
mod settings;
mod shared;
mod topics;
mod watcher;

pub use options::{ClientSettings, LoadOptions, RecordOptions, TopicOptions};
pub use progress::Progress;
pub use run::{Note, RecordError, Recorded, record};
pub use topics::delete_topics;
