//! One partition's sends and values.

use std::collections::BTreeMap;

use super::{Counts, Sparse};
use crate::history::{At, ClientNumber, FinalRead, Outcome, RecordName, Sent};

/// How a send ended, with the offset that the answer named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Acknowledged(Option<i64>),
    Refused,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentFact {
    pub began: At,
    pub ended: At,
    pub fate: Fate,
}

/// A reader was handed another record at an offset than a reader before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub offset: i64,
    pub before: RecordName,
    pub reader: ClientNumber,
    pub now: RecordName,
}

#[derive(Default)]
pub struct PartitionFacts {
    /// By producer and counter.
    pub sends: BTreeMap<ClientNumber, Sparse<SentFact>>,
    /// What the first reader of each offset was handed.
    pub values: Sparse<RecordName>,
    /// What the final reader was handed.
    pub last: Sparse<RecordName>,
    pub final_read: Option<FinalRead>,
    /// The first of the conflicts; further ones are only counted.
    pub conflicts: Vec<Conflict>,
    pub conflict_count: u64,
    /// Offsets whose record was not as sent.
    damaged: std::collections::BTreeSet<i64>,
    /// Names sent twice: the history itself is wrong.
    pub sent_twice: Vec<RecordName>,
    /// Where the final reader found each record first.
    places: BTreeMap<ClientNumber, Sparse<i64>>,
}

/// Most conflicts kept with their details.
const CONFLICTS_MAX: usize = 1000;

impl PartitionFacts {
    pub(super) fn sent(&mut self, sent: &Sent, counts: &mut Counts) {
        let of_producer = self.sends.entry(sent.producer).or_default();
        for (counter, offset) in sent.records() {
            let fate = match sent.outcome {
                Outcome::Ok => Fate::Acknowledged(offset.filter(|offset| *offset >= 0)),
                Outcome::Refused => Fate::Refused,
                Outcome::Unknown => Fate::Unknown,
            };
            match fate {
                Fate::Acknowledged(_) => counts.acknowledged += 1,
                Fate::Refused => counts.refused += 1,
                Fate::Unknown => counts.unknown += 1,
            }
            let fact = SentFact { began: sent.began, ended: sent.ended, fate };
            let before = of_producer.insert(u64::from(counter), fact);
            if before.is_some() && self.sent_twice.len() < CONFLICTS_MAX {
                self.sent_twice.push(RecordName { producer: sent.producer, counter });
            }
        }
    }

    pub(super) fn read(&mut self, reader: ClientNumber, offset: i64, name: RecordName, last: bool) {
        // A negative offset is told by the invariant of readers' order.
        let Ok(index) = u64::try_from(offset) else { return };
        if last {
            self.last.insert(index, name);
        }
        match self.values.get(index) {
            None => {
                self.values.insert(index, name);
            }
            Some(before) if before == name => {}
            Some(before) => {
                self.conflict_count += 1;
                if self.conflicts.len() < CONFLICTS_MAX {
                    self.conflicts.push(Conflict { offset, before, reader, now: name });
                }
            }
        }
    }

    pub(super) fn damaged(&mut self, offset: i64) {
        if self.damaged.len() < CONFLICTS_MAX {
            self.damaged.insert(offset);
        }
    }

    /// Whether every offset from `start` to `end` (exclusive) held a damaged record.
    pub fn damaged_covers(&self, start: i64, end: i64) -> bool {
        self.damaged.range(start..end).count() as i64 == end - start
    }

    pub(super) fn close(&mut self) {
        for (offset, name) in self.last.iter() {
            let places = self.places.entry(name.producer).or_default();
            if places.get(u64::from(name.counter)).is_none() {
                places.insert(u64::from(name.counter), offset as i64);
            }
        }
    }

    /// What became of a record; `None` if no client sent it.
    pub fn send_of(&self, name: RecordName) -> Option<SentFact> {
        self.sends.get(&name.producer)?.get(u64::from(name.counter))
    }

    /// Where the final reader found a record first.
    pub fn place_of(&self, name: RecordName) -> Option<i64> {
        self.places.get(&name.producer)?.get(u64::from(name.counter))
    }

    /// All sends with their names.
    pub fn all_sends(&self) -> impl Iterator<Item = (RecordName, SentFact)> {
        self.sends.iter().flat_map(|(producer, sends)| {
            let name = |counter| RecordName { producer: *producer, counter };
            // Counters are u32 from the start.
            sends.iter().map(move |(counter, fact)| (name(counter as u32), fact))
        })
    }

    /// The end (exclusive) up to which the final reader read everything; `None` without one.
    pub fn read_to(&self) -> Option<i64> {
        let last = self.final_read.as_ref()?;
        if last.complete {
            return Some(last.end);
        }
        Some(self.last.last_index().map_or(last.start, |index| index as i64 + 1))
    }
}
