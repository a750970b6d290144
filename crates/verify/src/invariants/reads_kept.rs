//! I20, I21: what a reader was once handed is there at the end. A record that was read is
//! committed, whether or not its producer ever learned of it.

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};

pub struct ReadsKept;

impl Invariant for ReadsKept {
    fn rule(&self) -> Rule {
        Rule {
            id: "I21",
            name: "reads-kept",
            promise: "what any reader was handed is still there at the end",
            count: Count::Diverged,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            let Some(read_to) = of.read_to() else { continue };
            let complete = of.final_read.as_ref().is_some_and(|last| last.complete);
            for (offset, name) in of.values.iter() {
                if !complete && offset as i64 >= read_to {
                    break;
                }
                found.checked(1);
                if of.last.get(offset).is_none() {
                    found.violation(format_args!(
                        "{partition}: record {name} was read at offset {offset} and is gone"
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
    fn records_that_were_read_and_are_there_at_the_end_pass() {
        check(
            "reads-kept",
            "sent 1/0x2 0
             read 2.0 0=1/0x2
             final 0=1/0x2",
            &[],
        );
    }

    #[test]
    fn a_record_that_was_read_and_is_gone_is_told_even_if_it_was_never_acknowledged() {
        check(
            "reads-kept",
            "sent 1/0 0
             sent 1/1 ?
             read 2.0 0=1/0x2
             final 0=1/0",
            &["t-0: record 1/1 was read at offset 1 and is gone"],
        );
    }

    #[test]
    fn nothing_is_said_of_what_lies_behind_an_incomplete_read() {
        check(
            "reads-kept",
            "sent 1/0x3 0
             read 2.0 0=1/0x3
             partial 0=1/0",
            &[],
        );
    }
}
