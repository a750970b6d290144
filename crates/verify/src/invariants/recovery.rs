//! I35: once the cluster is whole again, every partition takes records within ten seconds.
//!
//! A history says so by a fault of the kind `heal`; without one nothing is judged. A note, since how
//! fast a cluster recovers is no promise of the protocol.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule, Weight};
use crate::history::{At, Event, HEAL, Outcome};

/// What the catalogue allows, in microseconds.
const RECOVERY_MAX: u64 = 10_000_000;

#[derive(Default)]
pub struct Recovery {
    healed: Option<At>,
    /// Acknowledgements and failures of each partition, by the time they ended.
    outcomes: BTreeMap<TopicPartition, Vec<(At, bool)>>,
}

impl Invariant for Recovery {
    fn rule(&self) -> Rule {
        Rule {
            id: "I35",
            name: "recovery",
            promise: "every partition takes records within 10 s of the cluster's healing",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        match event {
            Event::Fault(fault) if fault.kind == HEAL => {
                self.healed = self.healed.max(Some(fault.at));
            }
            Event::Sent(sent) => {
                let outcomes = self.outcomes.entry(sent.partition.clone()).or_default();
                let ok = sent.outcome == Outcome::Ok;
                // Of many together the times of the first and the last suffice.
                match outcomes.last_mut() {
                    Some((at, was_ok)) if *was_ok == ok && sent.ended.0 < at.0 + 100_000 => {
                        *at = (*at).min(sent.ended);
                    }
                    Some(_) | None => outcomes.push((sent.ended, ok)),
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, _: &Facts, found: &mut Findings) {
        let Some(healed) = self.healed else { return };
        for (partition, outcomes) in &self.outcomes {
            let after = || outcomes.iter().filter(|(at, _)| *at >= healed);
            let first = after().filter(|(_, ok)| *ok).map(|(at, _)| *at).min();
            found.checked(1);
            match first {
                Some(at) if at.0 - healed.0 > RECOVERY_MAX => {
                    let text = format_args!(
                        "{partition}: the first record after the healing at {healed} was \
                         acknowledged at {at}"
                    );
                    found.add(Weight::Note, text);
                }
                None if after().next().is_some() => {
                    let text = format_args!(
                        "{partition}: no record was acknowledged after the healing at {healed}"
                    );
                    found.add(Weight::Note, text);
                }
                // Nothing was sent after it.
                Some(_) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_notes};

    #[test]
    fn records_taken_within_ten_seconds_pass() {
        check(
            "recovery",
            "sent 1/0 ?
             fault heal @100..100
             sent 1/1 0 @200..9000000",
            &[],
        );
    }

    #[test]
    fn a_partition_that_takes_records_late_or_never_is_noted() {
        check_notes(
            "recovery",
            "fault heal @100..100
             sent 1/1 0 @200..11000000",
            &["t-0: the first record after the healing at 0.000100 s was acknowledged at \
               11.000000 s"],
        );
        check_notes(
            "recovery",
            "fault heal @100..100
             sent 1/1 ? @200..11000000",
            &["t-0: no record was acknowledged after the healing at 0.000100 s"],
        );
    }
}
