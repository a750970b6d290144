//! What the tests of the rules share: the invariants, and a little language of commands.
#![allow(dead_code)]

pub mod invariants;
pub mod language;
pub mod print;
pub mod rules;
