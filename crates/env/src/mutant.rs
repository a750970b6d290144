//! Deliberate mistakes, each the absence of one rule, that the cluster's simulation must notice; this
//! is how we know that it would notice the real thing.
//!
//! Promises: no build without debug assertions makes one (there `is` is false at compile time), and
//! no thread makes one that was not told to. Nothing but the simulation tells one.

use std::cell::Cell;

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutant {
    /// Entries of the controllers' log are acknowledged before they are synced.
    RaftLogNotSynced,
    /// Votes are given before they are synced.
    VoteNotSynced,
    /// A call to append entries that was not answered counts as an acknowledgement (the class of
    /// openraft #1802: a commit that no quorum has).
    UnansweredAppendCounts,
    /// A wiped controller's directory has the identity that it had before.
    WipedDiskKeepsIdentity,
    /// Recovery looks at the headers of batches alone, and keeps a torn one.
    TornTailKept,
    /// New, renamed and removed names are not synced.
    NamesNotSynced,
    /// Records of synced topics are acknowledged before they are synced.
    RecordsNotSynced,
    /// Members of the ISR that the leader has not heard do not hold the high watermark.
    WatermarkWithoutIsr,
    /// A produce with acks=all is answered at the append.
    AckAtAppend,
    /// A consumer reads to the end of the leader's log.
    ReadToEnd,
    /// A follower does not cut what its leader does not have.
    NoTruncation,
    /// A follower counts by its id alone, whatever start of it the controller knows.
    IsrByIdAlone,
    /// A group coordinator believes batches of its log whose CRC is wrong.
    GroupLogUnchecked,
    /// What a group's members and administrators ask is answered at the append.
    GroupsAnsweredAtAppend,
    /// Compressed batches are taken by their headers.
    PackedBelieved,
    /// Producers' silence is measured by the wall clock.
    SilenceByWallClock,
}

thread_local! {
    static CURRENT: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// From now on this thread makes this mistake, or none.
pub fn set(mutant: Option<Mutant>) {
    CURRENT.set(mutant);
}

/// Whether this thread is to make this mistake.
#[inline]
pub fn is(mutant: Mutant) -> bool {
    cfg!(debug_assertions) && CURRENT.get() == Some(mutant)
}
