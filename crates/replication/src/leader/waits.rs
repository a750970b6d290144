//! Produces that wait for the high watermark, as data.

/// The shell's name for one waiting produce. Unique while it waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WaitToken(pub u64);
