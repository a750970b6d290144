//! I21: an offset holds one record, whoever reads it and whenever.

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};

pub struct OneValue;

impl Invariant for OneValue {
    fn rule(&self) -> Rule {
        Rule {
            id: "I21",
            name: "one-value",
            promise: "all readers find the same record at an offset",
            count: Count::Diverged,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            found.checked(of.values.len());
            for conflict in &of.conflicts {
                found.violation(format_args!(
                    "{partition}: offset {} held record {}, and record {} for reader {}",
                    conflict.offset, conflict.before, conflict.now, conflict.reader
                ));
            }
            found.more_violations(of.conflict_count - of.conflicts.len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn readers_that_find_the_same_records_pass() {
        check(
            "one-value",
            "sent 1/0x3 0
             read 2.0 0=1/0x2
             read 3.0 1=1/1x2
             read 2.1 0=1/0
             final 0=1/0x3",
            &[],
        );
    }

    #[test]
    fn two_records_at_one_offset_are_told() {
        check(
            "one-value",
            "sent 1/0x2 0
             sent 2/0 1
             read 3.0 0=1/0x2
             read 4.0 0=1/0 1=2/0
             final 0=1/0 1=2/0",
            &[
                "t-0: offset 1 held record 1/1, and record 2/0 for reader 4",
                "t-0: offset 1 held record 1/1, and record 2/0 for reader 99",
            ],
        );
    }
}
