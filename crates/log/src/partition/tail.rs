//! The newest batches of the active segment: their places, and their bytes while followers are about
//! to fetch them.

use super::PartitionLog;
use crate::ReadPlan;
use crate::tail::TailLimits;
use crate::walk::Found;
use bytes::Bytes;

/// Batches of the active segment whose places are kept in memory.
const RECENT_BATCHES_MIN: usize = 64;
/// The same where the bytes of more are kept.
const RECENT_BATCHES_MAX: usize = 256;

impl PartitionLog {
    /// Whether the bytes that a leader appends from now on are kept in memory, until the high
    /// watermark passes them; `None` forgets what is kept. For a leader whose ISR has followers:
    /// nobody else reads them there.
    pub fn keep_tail(&mut self, limits: Option<&TailLimits>) {
        self.tail.keep(limits);
    }

    /// What a plan, or its first batches, would read, if that is in memory. The plan is to be of this
    /// log, as it is now.
    pub fn read_tail(&mut self, plan: &ReadPlan) -> Option<Bytes> {
        let active = self.segments.back()?;
        plan.is_of(active).then(|| self.tail.get(&plan.range())).flatten()
    }

    /// Takes note of the batch that was written last.
    pub(super) fn note_recent(&mut self, found: Found) {
        let is_held = |first: &Found, tail: &crate::tail::Tail| first.position >= tail.start();
        while let Some(first) = self.recent.front() {
            let count = self.recent.len();
            let is_needed = count < RECENT_BATCHES_MAX && is_held(first, &self.tail);
            if count < RECENT_BATCHES_MIN || is_needed {
                break;
            }
            self.recent.pop_front();
        }
        self.recent.push_back(found);
        // A read of the tail is to need no index.
        if let Some(first) = self.recent.front() {
            self.tail.drop_to(first.position);
        }
    }

    /// Everybody who is awaited has what is below the high watermark.
    pub(super) fn release_tail(&mut self) {
        let high_watermark = self.high_watermark;
        let below = |found: &Found| found.header.end_offset() <= high_watermark;
        let count = self.recent.partition_point(below);
        if let Some(last) = count.checked_sub(1) {
            let end = self.recent[last].end();
            self.tail.drop_to(end);
        }
    }

    /// The active segment is another, or was cut.
    pub(super) fn forget_recent(&mut self) {
        self.recent.clear();
        self.tail.clear();
    }
}
