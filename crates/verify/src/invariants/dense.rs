//! I25: without transactions and compaction, offsets of a partition follow one another.

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};

pub struct Dense;

impl Invariant for Dense {
    fn rule(&self) -> Rule {
        Rule {
            id: "I25",
            name: "dense",
            promise: "every offset from the log's start to its end holds a record",
            count: Count::Other,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        if facts.has_transactions {
            // Their markers take offsets that no reader sees.
            return;
        }
        for (partition, of) in &facts.partitions {
            let (Some(last), Some(end)) = (&of.final_read, of.read_to()) else { continue };
            let mut expected = last.start;
            for (offset, _) in of.last.iter() {
                let offset = offset as i64;
                found.checked(1);
                if offset > expected && !of.damaged_covers(expected, offset) {
                    found.violation(format_args!(
                        "{partition}: offsets {expected} to {} hold no record",
                        offset - 1
                    ));
                }
                expected = offset + 1;
            }
            if expected < end && !of.damaged_covers(expected, end) {
                found.violation(format_args!(
                    "{partition}: offsets {expected} to {} hold no record",
                    end - 1
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn offsets_that_follow_one_another_pass() {
        check("dense", "final 0=1/0x3 3=2/0", &[]);
    }

    #[test]
    fn holes_are_told_at_the_start_and_within() {
        check(
            "dense",
            "final 2=1/0x2 5=1/2",
            &["t-0: offsets 0 to 1 hold no record", "t-0: offsets 4 to 4 hold no record"],
        );
    }

    #[test]
    fn a_damaged_record_is_no_hole() {
        check("dense", "final 0=1/0 1=damaged 2=1/1", &[]);
    }
}
