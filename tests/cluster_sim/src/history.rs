//! What clients did and saw: the oracle of acknowledged writes.
//!
//! Checks as it goes: I20-I23 of the catalogue: nothing acknowledged is lost, one value per offset,
//! no value twice, a producer's records in their order.

use crate::group_history::GroupHistory;
use std::collections::BTreeMap;
use types::{Offset, TopicPartition};

/// A record's content: who sent it, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Value {
    pub producer: u32,
    pub number: u64,
}

impl Value {
    pub fn encode(self, padding: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + padding);
        bytes.extend(self.producer.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.resize(12 + padding, self.number as u8);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Value> {
        let producer = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
        let number = u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?);
        let is_whole = bytes[12..].iter().all(|byte| *byte == number as u8);
        is_whole.then_some(Value { producer, number })
    }
}

/// One partition, as all clients together know it.
#[derive(Default)]
pub struct PartitionHistory {
    /// What was acknowledged or read at each offset.
    pub known: BTreeMap<Offset, Value>,
    pub acked: BTreeMap<Offset, Value>,
    place_of: BTreeMap<Value, Offset>,
    /// Somebody asked for the records below to be deleted: they may be gone or there.
    pub deleted_to: Offset,
}

#[derive(Default)]
pub struct History {
    pub partitions: BTreeMap<TopicPartition, PartitionHistory>,
    /// Every value that was ever sent.
    pub sent: BTreeMap<Value, TopicPartition>,
    pub failed: u64,
    pub reads: u64,
    pub group: GroupHistory,
    /// Administrative calls that were answered well.
    pub admin_calls: u64,
    /// Batches that hold no records.
    pub odd_batches_refused: u64,
    pub deletions: u64,
    pub violation: Option<String>,
}

impl History {
    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub fn note_sent(&mut self, value: Value, of: &TopicPartition) {
        self.sent.insert(value, of.clone());
    }

    /// A record was acknowledged, or read.
    pub fn note_place(&mut self, of: &TopicPartition, offset: Offset, value: Value, is_ack: bool) {
        match self.sent.get(&value) {
            Some(partition) if partition == of => {}
            other => {
                let text = format!("{of} holds {value:?} at {offset}, which was sent to {other:?}");
                return self.violate(text);
            }
        }
        let partition = self.partitions.entry(of.clone()).or_default();
        let before = *partition.known.entry(offset).or_insert(value);
        let place = *partition.place_of.entry(value).or_insert(offset);
        if is_ack {
            partition.acked.insert(offset, value);
        }
        // A producer's records stand in the order of their numbers.
        let in_order = |(at, other): (&Offset, &Value)| {
            other.producer != value.producer || (*at < offset) == (other.number < value.number)
        };
        let before_it = partition.known.range(..offset).rev().take(64);
        let after_it = partition.known.range(offset.plus(1)..).take(64);
        let swapped = before_it.chain(after_it).find(|entry| !in_order(*entry));
        let swapped = swapped.map(|(at, other)| (*at, *other));
        if before != value {
            self.violate(format!("{of} at {offset}: {before:?} and {value:?} (I21)"));
        } else if place != offset {
            self.violate(format!("{of}: {value:?} at {place} and at {offset} (I22)"));
        } else if let Some((at, other)) = swapped {
            let text = format!("{of}: {value:?} at {offset}, but {other:?} at {at} (I23)");
            self.violate(text);
        }
    }

    /// Records are about to be deleted.
    pub fn note_deletion(&mut self, of: &TopicPartition, to: Offset) {
        let partition = self.partitions.entry(of.clone()).or_default();
        partition.deleted_to = partition.deleted_to.max(to);
    }

    /// A reader went from one offset to another: what was acknowledged between was not there.
    pub fn note_gap(&mut self, of: &TopicPartition, from: Offset, to: Offset) {
        let partition = self.partitions.entry(of.clone()).or_default();
        let from = from.max(partition.deleted_to).min(to);
        let lost = partition.acked.range(from..to).next().map(|(at, value)| (*at, *value));
        if let Some((at, value)) = lost {
            self.violate(format!("{of}: acknowledged {value:?} at {at} is lost (I20)"));
        }
    }

    pub fn acked(&self) -> u64 {
        self.partitions.values().map(|partition| partition.acked.len() as u64).sum()
    }
}
