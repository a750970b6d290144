//! I23: records of a producer lie in a partition in the order in which it sent them.
//!
//! Only acknowledged records are compared: one without an answer may be appended late, after the
//! producer has given it up and gone on. One that is gone is lost, and nowhere.

use std::collections::BTreeMap;

use super::Invariant;
use crate::facts::{Facts, Fate};
use crate::findings::{Count, Findings, Rule};
use crate::history::{ClientNumber, RecordName};

pub struct ProducerOrder;

impl Invariant for ProducerOrder {
    fn rule(&self) -> Rule {
        Rule {
            id: "I23",
            name: "producer-order",
            promise: "records of a producer lie in a partition in the order they were sent",
            count: Count::Reordered,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            let complete = of.final_read.as_ref().is_some_and(|last| last.complete);
            let mut latest: BTreeMap<ClientNumber, (i64, RecordName)> = BTreeMap::new();
            for (name, fact) in of.all_sends() {
                let Fate::Acknowledged(offset) = fact.fate else { continue };
                if complete && of.place_of(name).is_none() {
                    continue;
                }
                // The answer's offset, since of two copies it is the one that counts.
                let Some(offset) = offset.or_else(|| of.place_of(name)) else { continue };
                found.checked(1);
                match latest.get(&name.producer) {
                    Some((before, earlier)) if *before > offset => {
                        found.violation(format_args!(
                            "{partition}: record {name} is at offset {offset}, before {earlier} at \
                             {before}"
                        ));
                    }
                    Some(_) | None => {
                        latest.insert(name.producer, (offset, name));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn records_in_the_order_of_their_sending_pass_whatever_lies_between() {
        check(
            "producer-order",
            "sent 1/0 0
             sent 2/0 1
             sent 1/1 3
             sent 2/1 2
             final 0=1/0 1=2/0x2 3=1/1",
            &[],
        );
    }

    #[test]
    fn a_record_before_one_sent_earlier_is_told() {
        check(
            "producer-order",
            "sent 1/0 0
             sent 1/1 2
             sent 1/2 1
             final 0=1/0 1=1/2 2=1/1",
            &["t-0: record 1/2 is at offset 1, before 1/1 at 2"],
        );
    }

    #[test]
    fn records_acknowledged_without_an_offset_are_judged_by_where_they_are() {
        check(
            "producer-order",
            "sent 1/0 ok
             sent 1/1 0
             final 0=1/1 1=1/0",
            &["t-0: record 1/1 is at offset 0, before 1/0 at 1"],
        );
    }

    #[test]
    fn a_lost_record_is_before_and_behind_nothing() {
        check(
            "producer-order",
            "sent 1/0 0
             sent 1/1 5
             sent 1/2 1
             final 0=1/0 1=1/2",
            &[],
        );
    }

    #[test]
    fn a_record_of_unknown_outcome_may_come_late() {
        check(
            "producer-order",
            "sent 1/0 ?
             sent 1/1 0
             final 0=1/1 1=1/0",
            &[],
        );
    }
}
