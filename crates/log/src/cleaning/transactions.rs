//! Which transactions the batches belong to that compaction walks over.
//!
//! Promises: a batch of an aborted transaction is known as such; a marker may go only when no batch
//! of its transaction was met, so a batch never outlives its marker.

use crate::AbortedTransaction;
use records::{BatchHeader, ControlRecord, MarkerKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::ProducerId;

struct Ongoing {
    transaction: AbortedTransaction,
    /// A batch of it was met.
    has_batches: bool,
}

/// Carried from segment to segment, from the start of the log on.
#[derive(Default)]
pub struct Transactions {
    /// Not met yet, by first offset.
    aborted: VecDeque<AbortedTransaction>,
    ongoing_aborted: BTreeMap<ProducerId, Ongoing>,
    ongoing_committed: BTreeSet<ProducerId>,
    /// Aborted transactions with batches, whose markers were met: for the new segment's index.
    ended: Vec<AbortedTransaction>,
}

impl Transactions {
    /// `aborted` are all that have records in the part that is walked over.
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> Transactions {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Transactions { aborted: aborted.into(), ..Transactions::default() }
    }

    fn advance(&mut self, header: &BatchHeader) {
        while let Some(next) = self.aborted.front().copied() {
            if next.first_offset > header.last_offset() {
                break;
            }
            self.aborted.pop_front();
            let ongoing = Ongoing { transaction: next, has_batches: false };
            self.ongoing_aborted.entry(next.producer_id).or_insert(ongoing);
        }
    }

    /// Whether a data batch belongs to an aborted transaction.
    pub fn is_aborted(&mut self, header: &BatchHeader) -> bool {
        self.advance(header);
        if !header.attributes.is_transactional() {
            return false;
        }
        match self.ongoing_aborted.get_mut(&header.producer_id) {
            Some(ongoing) => {
                ongoing.has_batches = true;
                true
            }
            None => {
                self.ongoing_committed.insert(header.producer_id);
                false
            }
        }
    }

    /// Whether a control batch is of no use any more. `marker`: its record, if it has one.
    pub fn is_needless(&mut self, header: &BatchHeader, marker: Option<ControlRecord>) -> bool {
        self.advance(header);
        match marker {
            // Emptied by an earlier run.
            None => true,
            Some(ControlRecord::Other(_)) => false,
            Some(ControlRecord::EndTransaction(marker)) => match marker.kind {
                MarkerKind::Commit => !self.ongoing_committed.remove(&header.producer_id),
                MarkerKind::Abort => {
                    let ongoing = self.ongoing_aborted.remove(&header.producer_id);
                    match ongoing.filter(|ongoing| ongoing.has_batches) {
                        Some(ongoing) => {
                            self.ended.push(ongoing.transaction);
                            false
                        }
                        None => true,
                    }
                }
            },
        }
    }

    /// The aborted transactions that ended since the last call.
    pub fn take_ended(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.ended)
    }
}
