//! What a history says, arranged by partition: sends by their names, values by their offsets.
//!
//! Promises: built from events in any order; about 60 bytes for each record sent and read;
//! interprets nothing (that is the invariants' part).

mod partition;
mod sparse;

use std::collections::BTreeMap;

use types::TopicPartition;

use crate::history::{Begin, Event, HEAL, Purpose};

pub use partition::{Fate, PartitionFacts};
pub use sparse::Sparse;

#[derive(Default)]
pub struct Facts {
    pub begin: Begin,
    pub partitions: BTreeMap<TopicPartition, PartitionFacts>,
    pub counts: Counts,
    /// Whether any producer used transactions: their markers take offsets.
    pub has_transactions: bool,
    /// Whether the history has its last line, and everything planned was done.
    pub ended: Option<bool>,
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub acknowledged: u64,
    pub unknown: u64,
    pub refused: u64,
    /// Records handed to readers, each reading counted.
    pub read: u64,
    pub commits: u64,
    /// Without those that only say that the cluster is whole.
    pub faults: u64,
    pub read_errors: u64,
}

impl Facts {
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Begin(begin) => self.begin = begin.clone(),
            Event::Sent(sent) => {
                let facts = self.partitions.entry(sent.partition.clone()).or_default();
                facts.sent(sent, &mut self.counts);
                self.has_transactions |= sent.transaction.is_some();
            }
            Event::Read(read) => {
                let facts = self.partitions.entry(read.partition.clone()).or_default();
                let records = read.runs.iter().flat_map(|run| run.records());
                for (offset, name) in records {
                    self.counts.read += 1;
                    facts.read(read.reader, offset, name, read.purpose == Purpose::Final);
                }
                for (offset, _) in &read.damaged {
                    facts.damaged(*offset);
                }
            }
            Event::FinalRead(last) => {
                self.partitions.entry(last.partition.clone()).or_default().final_read =
                    Some(last.clone());
            }
            Event::Commit(_) => self.counts.commits += 1,
            Event::Fault(fault) => self.counts.faults += u64::from(fault.kind != HEAL),
            Event::ReadError(_) => self.counts.read_errors += 1,
            Event::End(end) => self.ended = Some(end.complete),
            Event::Transaction(_) => self.has_transactions = true,
            Event::Watermark(_)
            | Event::Assigned(_)
            | Event::Committed(_)
            | Event::Setting(_)
            | Event::FinalGroup(_) => {}
        }
    }

    /// Arranges what needs all events.
    pub fn close(&mut self) {
        for facts in self.partitions.values_mut() {
            facts.close();
        }
    }
}
