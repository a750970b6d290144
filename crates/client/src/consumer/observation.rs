//! What fetches tell of a partition besides its records, for those who check a cluster's answers.
//!
//! Promises: nothing is kept before [`Observations::watch`]; at most [`KEPT_MAX`] answers wait to be
//! taken, the oldest go first.

use std::collections::VecDeque;

use types::{Monotonic, Offset, TopicPartition};

/// One partition in one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchObservation {
    pub partition: TopicPartition,
    /// The offset that was asked for.
    pub asked: Offset,
    /// Before the request was sent.
    pub began: Monotonic,
    /// After the answer came.
    pub ended: Monotonic,
    pub high_watermark: Offset,
    pub log_start: Offset,
}

/// Most answers that wait to be taken.
const KEPT_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Observations {
    kept: Option<VecDeque<FetchObservation>>,
}

impl Observations {
    pub(super) fn watch(&mut self) {
        self.kept.get_or_insert_default();
    }

    pub(super) fn add(&mut self, observation: FetchObservation) {
        let Some(kept) = &mut self.kept else { return };
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(observation);
    }

    pub(super) fn take(&mut self) -> Vec<FetchObservation> {
        self.kept.as_mut().map_or_else(Vec::new, |kept| kept.drain(..).collect())
    }
}
