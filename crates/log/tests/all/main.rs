//! The log crate's tests against its public interface, on a disk in memory (and, where the layout
//! matters to others, on a real one).

mod append;
mod compaction;
mod damage;
mod failing;
mod flush;
mod layout;
mod lookup;
mod manager;
mod model;
mod opening;
mod recovery;
mod retention;
mod support;
mod tail;
mod truncate;
mod upkeep;
