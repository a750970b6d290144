//! Produces that wait for the high watermark, as data.

use std::collections::{BTreeMap, BTreeSet};
use types::{Monotonic, Offset};

/// The shell's name for one waiting produce. Unique while it waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WaitToken(pub u64);

/// The waiting produces of one partition, by offset and by deadline.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    by_offset: BTreeMap<(Offset, WaitToken), Monotonic>,
    by_deadline: BTreeSet<(Monotonic, Offset, WaitToken)>,
}

impl Waits {
    pub fn add(&mut self, offset: Offset, token: WaitToken, deadline: Monotonic) {
        let former = self.by_offset.insert((offset, token), deadline);
        assert!(former.is_none(), "two waits for {offset} under {token:?}");
        self.by_deadline.insert((deadline, offset, token));
    }

    /// Takes out the waits that the high watermark has reached, in offset order.
    pub fn take_reached(&mut self, high_watermark: Offset) -> Vec<WaitToken> {
        let mut reached = Vec::new();
        while let Some(entry) = self.by_offset.first_entry() {
            if entry.key().0 > high_watermark {
                break;
            }
            let ((offset, token), deadline) = entry.remove_entry();
            self.by_deadline.remove(&(deadline, offset, token));
            reached.push(token);
        }
        reached
    }

    /// Takes out the waits whose deadline has passed, in deadline order.
    pub fn take_expired(&mut self, now: Monotonic) -> Vec<WaitToken> {
        let mut expired = Vec::new();
        while let Some((deadline, offset, token)) = self.by_deadline.first().copied() {
            if deadline > now {
                break;
            }
            self.by_deadline.pop_first();
            self.by_offset.remove(&(offset, token));
            expired.push(token);
        }
        expired
    }

    /// The lowest offset that somebody waits for.
    pub fn first_offset(&self) -> Option<Offset> {
        self.by_offset.first_key_value().map(|((offset, _), _)| *offset)
    }

    /// Takes out all waits, in offset order.
    pub fn take_all(&mut self) -> Vec<WaitToken> {
        self.by_deadline.clear();
        std::mem::take(&mut self.by_offset).into_keys().map(|(_, token)| token).collect()
    }

    pub fn next_deadline(&self) -> Monotonic {
        self.by_deadline.first().map_or(Monotonic::NEVER, |(deadline, ..)| *deadline)
    }
}
