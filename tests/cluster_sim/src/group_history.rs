//! What a group committed: the oracle of I29: a committed offset never goes back, is never below
//! what was acknowledged before, never past the end, and never gone.

use crate::history::History;
use std::collections::BTreeMap;
use types::{Offset, TopicPartition};

type Offsets = BTreeMap<TopicPartition, Offset>;

#[derive(Default)]
pub struct GroupHistory {
    /// The highest offsets whose commit was acknowledged.
    acked: Offsets,
    /// The last that a fetch of committed offsets told.
    fetched: Offsets,
    pub commits: u64,
    pub fetches: u64,
}

impl GroupHistory {
    /// What is acknowledged at present: whoever asks later must see at least that.
    pub fn acked(&self) -> Offsets {
        self.acked.clone()
    }
}

impl History {
    /// A member's commit was acknowledged. `before` is what was acknowledged when it was sent.
    pub fn note_commit(&mut self, before: &Offsets, committed: &Offsets) {
        self.group.commits += 1;
        for (of, offset) in committed {
            if let Some(old) = before.get(of).filter(|old| *old > offset) {
                self.violate(format!("{of}: {offset} is committed after {old} (I29)"));
            }
            self.check_end(of, *offset);
            let acked = self.group.acked.entry(of.clone()).or_insert(*offset);
            *acked = (*acked).max(*offset);
        }
    }

    /// The group's offsets were fetched. `before` is what was acknowledged when that was asked.
    pub fn note_committed(&mut self, before: &Offsets, found: &Offsets) {
        self.group.fetches += 1;
        for (of, acked) in before {
            let offset = found.get(of).copied().unwrap_or(Offset::NONE);
            if offset < *acked {
                self.violate(format!("{of}: {offset} is told, but {acked} was committed (I29)"));
            }
        }
        for (of, offset) in found {
            self.check_end(of, *offset);
            let last = self.group.fetched.insert(of.clone(), *offset).unwrap_or(*offset);
            if *offset < last {
                self.violate(format!("{of}: {last} was told as committed, then {offset} (I29)"));
            }
        }
    }

    fn check_end(&mut self, of: &TopicPartition, offset: Offset) {
        let end = self.end_of(of);
        if offset > end {
            self.violate(format!("{of}: {offset} is committed, beyond the end {end} (I29)"));
        }
    }

    /// The offset after the last record that any client knows.
    pub fn end_of(&self, of: &TopicPartition) -> Offset {
        let last = self.partitions.get(of).and_then(|one| one.known.last_key_value());
        last.map_or(Offset::ZERO, |(offset, _)| offset.plus(1))
    }

    /// Whether the group has committed all that is known.
    pub fn is_all_committed(&self) -> bool {
        let ends = self.partitions.keys().map(|of| (of, self.end_of(of)));
        ends.into_iter().all(|(of, end)| self.group.fetched.get(of) == Some(&end))
    }
}
