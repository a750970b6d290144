//! Checks of the project's own shape: floors, lengths, docs, leftovers.
//!
//! Promises: every check names the file and what to do; a limit that a file or function is allowed
//! to break stands in [`WAIVERS`] with its reason, and can only get tighter.
//! Does not: parse Rust. It relies on the formatter: a function ends at the first line that is its
//! own indentation and a closing brace.

#![allow(clippy::disallowed_methods)]

pub mod floors;
pub mod source;

use std::path::PathBuf;

/// Longest function, in lines from its `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Longest file, in lines.
pub const FILE_LINES_MAX: usize = 800;

/// A place that may be longer than the limit, up to `lines`, for a reason.
pub struct Waiver {
    pub path: &'static str,
    /// The function; `None` for the whole file.
    pub function: Option<&'static str>,
    pub lines: usize,
    pub reason: &'static str,
}

/// The ratchet: entries go when the code gets shorter, and `lines` may only fall.
pub const WAIVERS: &[Waiver] = &[];

/// The project's root.
pub fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).expect("this crate is two below the root")
}
