//! I26: a record whose sending certainly failed is never read (Adya's G1a, for single records).

use super::Invariant;
use crate::facts::{Facts, Fate};
use crate::findings::{Count, Findings, Rule};

pub struct RefusedUnseen;

impl Invariant for RefusedUnseen {
    fn rule(&self) -> Rule {
        Rule {
            id: "I26",
            name: "refused-unseen",
            promise: "a record that was refused is never read",
            count: Count::Other,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            for (offset, name) in of.values.iter() {
                found.checked(1);
                if of.send_of(name).is_some_and(|fact| fact.fate == Fate::Refused) {
                    found.violation(format_args!(
                        "{partition}: record {name} was refused and is at offset {offset}"
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
    fn refused_records_that_nobody_reads_pass() {
        check(
            "refused-unseen",
            "sent 1/0 !
             sent 1/1 0
             final 0=1/1",
            &[],
        );
    }

    #[test]
    fn a_refused_record_that_is_read_is_told() {
        check(
            "refused-unseen",
            "sent 1/0 !
             read 2.0 0=1/0
             final 0=1/0",
            &["t-0: record 1/0 was refused and is at offset 0"],
        );
    }
}
