//! What must hold of a history, one invariant a file.
//!
//! The numbers are those of the catalogue of faults. Of its black-box invariants, I24 (order per key)
//! follows from I23 here, since a key belongs to one producer and one partition, and I31 (the bank)
//! waits for a workload that consumes, transforms and produces.

mod acknowledged_kept;
mod append_order;
mod commits_kept;
mod dense;
mod group_coverage;
mod intact;
mod offsets_acknowledged;
mod once;
mod one_value;
mod producer_order;
mod reader_order;
mod reads_kept;
mod recovery;
mod refused_unseen;
mod settings_kept;
mod sole_owner;
mod transactions;
mod watermark_current;
mod watermark_forward;

use crate::facts::Facts;
use crate::findings::{Findings, Rule};
use crate::history::Event;

/// A judge of one thing. Sees each event once, then the arranged facts.
///
/// Must be indifferent to the order of events of different clients in the history.
pub trait Invariant: Send {
    fn rule(&self) -> Rule;

    fn observe(&mut self, event: &Event, found: &mut Findings) {
        let (_, _) = (event, found);
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings);
}

/// All of them, in the order of reports.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(acknowledged_kept::AcknowledgedKept),
        Box::new(offsets_acknowledged::OffsetsAcknowledged),
        Box::new(one_value::OneValue),
        Box::new(reads_kept::ReadsKept),
        Box::new(once::Once),
        Box::new(producer_order::ProducerOrder),
        Box::new(dense::Dense),
        Box::new(refused_unseen::RefusedUnseen),
        Box::new(transactions::Transactions::default()),
        Box::new(reader_order::ReaderOrder::default()),
        Box::new(group_coverage::GroupCoverage::default()),
        Box::new(commits_kept::CommitsKept::default()),
        Box::new(sole_owner::SoleOwner::default()),
        Box::new(watermark_forward::WatermarkForward::default()),
        Box::new(watermark_current::WatermarkCurrent::default()),
        Box::new(append_order::AppendOrder),
        Box::new(settings_kept::SettingsKept::default()),
        Box::new(intact::Intact),
        Box::new(recovery::Recovery::default()),
    ]
}

/// What each invariant promises.
pub fn rules() -> Vec<Rule> {
    all().iter().map(|invariant| invariant.rule()).collect()
}
