//! The follower's machine for one partition: where it stands, what it may append, where it cuts.
//!
//! Promises:
//! - it appends only what continues its own log end and comes from the leader epoch it follows;
//! - after every change of leader or leader epoch it says where it stands and is checked against
//!   the new leader's epochs before it appends (KAFKA-7164);
//! - a divergence only truncates: nothing else of such a chunk is used (KAFKA-14704);
//! - its high watermark is never above its log end, and goes down only with a truncation.
//!
//! Does not: hold bytes. The shell gives a chunk's facts, runs the effects, and reports what the
//! log did before it gives the next chunk.

mod chunk;
mod effect;
mod machine;

pub use chunk::{Chunk, Divergence};
pub use effect::FollowerEffect;
pub use machine::{Follower, FollowerLog, FollowerRole};
