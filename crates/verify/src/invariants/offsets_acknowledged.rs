//! I21: a record lies at the offset that its acknowledgement named, and no offset is named twice.

use super::Invariant;
use crate::facts::{Facts, Fate, Sparse};
use crate::findings::{Count, Findings, Rule};
use crate::history::RecordName;

pub struct OffsetsAcknowledged;

impl Invariant for OffsetsAcknowledged {
    fn rule(&self) -> Rule {
        Rule {
            id: "I21",
            name: "offsets-acknowledged",
            promise: "a record lies at the offset that its acknowledgement named, and alone",
            count: Count::Diverged,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            let complete = of.final_read.as_ref().is_some_and(|last| last.complete);
            let mut named: Sparse<RecordName> = Sparse::default();
            for (name, fact) in of.all_sends() {
                let Fate::Acknowledged(Some(offset)) = fact.fate else { continue };
                found.checked(1);
                if complete && of.place_of(name).is_none() {
                    // Lost, which is counted as that; its offset is free for another.
                    continue;
                }
                if let Some(other) = named.insert(offset as u64, name) {
                    found.violation(format_args!(
                        "{partition}: offset {offset} was acknowledged for records {other} and \
                         {name}"
                    ));
                }
                // A retry may have written a copy before it; any copy at the offset will do.
                let there = of.last.get(offset as u64) == Some(name);
                if let (false, Some(place)) = (there, of.place_of(name)) {
                    found.violation(format_args!(
                        "{partition}: record {name} was acknowledged at offset {offset} and lies \
                         at {place}"
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn records_at_the_offsets_they_were_acknowledged_at_pass() {
        check(
            "offsets-acknowledged",
            "sent 1/0x3 0
             sent 2/0 3
             sent 2/1 ok
             final 0=1/0x3 3=2/0x2",
            &[],
        );
    }

    #[test]
    fn a_record_at_another_offset_than_the_acknowledged_is_told() {
        check(
            "offsets-acknowledged",
            "sent 1/0 0
             sent 1/1 2
             final 0=1/0 1=1/1",
            &["t-0: record 1/1 was acknowledged at offset 2 and lies at 1"],
        );
    }

    #[test]
    fn an_offset_given_to_two_records_is_told() {
        check(
            "offsets-acknowledged",
            "sent 1/0 0
             sent 2/0 0",
            &["t-0: offset 0 was acknowledged for records 1/0 and 2/0"],
        );
        check(
            "offsets-acknowledged",
            "sent 1/0 0
             sent 2/0 0
             final 0=2/0 1=1/0",
            &[
                "t-0: record 1/0 was acknowledged at offset 0 and lies at 1",
                "t-0: offset 0 was acknowledged for records 1/0 and 2/0",
            ],
        );
    }

    #[test]
    fn the_offset_of_a_lost_record_may_go_to_another() {
        check(
            "offsets-acknowledged",
            "sent 1/0 0
             sent 2/0 0
             final 0=2/0",
            &[],
        );
    }

    #[test]
    fn the_second_copy_of_a_producer_without_idempotence_may_be_the_acknowledged_one() {
        check(
            "offsets-acknowledged",
            "begin plain
             sent 1/0 1
             final 0=1/0 1=1/0",
            &[],
        );
    }
}
