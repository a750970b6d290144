//! I34: what is read is what was sent, byte by byte, and nothing else is there.

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::Event;

pub struct Intact;

impl Invariant for Intact {
    fn rule(&self) -> Rule {
        Rule {
            id: "I34",
            name: "intact",
            promise: "every record read is one that was sent, unchanged",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, found: &mut Findings) {
        let Event::Read(read) = event else { return };
        found.checked(read.runs.iter().map(|run| u64::from(run.3)).sum());
        for (offset, reason) in &read.damaged {
            found.checked(1);
            let (partition, reader) = (&read.partition, read.reader);
            found.violation(format_args!(
                "{partition}: the record at offset {offset} is not as sent (reader {reader}): \
                 {reason}"
            ));
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        if facts.ended.is_none() {
            // The recorder died: the sends that it did not write down yet are missing.
            return;
        }
        for (partition, of) in &facts.partitions {
            for (offset, name) in of.values.iter() {
                if of.send_of(name).is_none() {
                    found.violation(format_args!(
                        "{partition}: offset {offset} holds record {name}, which was never sent"
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
    fn records_as_they_were_sent_pass_even_if_their_outcome_is_unknown() {
        check(
            "intact",
            "sent 1/0 ?
             read 2.0 0=1/0
             final 0=1/0",
            &[],
        );
    }

    #[test]
    fn a_changed_record_and_one_that_nobody_sent_are_told() {
        check(
            "intact",
            "sent 1/0 0
             read 2.0 0=1/0 1=damaged
             final 0=1/0 1=7/3",
            &[
                "t-0: the record at offset 1 is not as sent (reader 2): its checksum is wrong",
                "t-0: offset 1 holds record 7/3, which was never sent",
            ],
        );
    }
}
