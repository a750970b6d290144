//! Snapshots of the producers' state, as a disk may give them back.
#![no_main]

#[path = "log_world.rs"]
mod log_world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| log_world::fuzz(&[".snapshot"], data));
