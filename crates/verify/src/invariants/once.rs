//! I22: an idempotent producer's record is there once, however often it was sent.

use std::collections::BTreeMap;

use super::Invariant;
use crate::facts::{Facts, Sparse};
use crate::findings::{Count, Findings, Rule, Weight};
use crate::history::ClientNumber;

pub struct Once;

impl Invariant for Once {
    fn rule(&self) -> Rule {
        Rule {
            id: "I22",
            name: "once",
            promise: "a record of an idempotent producer is there once",
            count: Count::Duplicated,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        // Without idempotence a retry may double a record: known, and no fault.
        let weight = if facts.begin.idempotent { Weight::Violation } else { Weight::Note };
        for (partition, of) in &facts.partitions {
            let mut places: BTreeMap<ClientNumber, Sparse<u64>> = BTreeMap::new();
            for (offset, name) in of.values.iter() {
                found.checked(1);
                let places = places.entry(name.producer).or_default();
                match places.get(u64::from(name.counter)) {
                    None => {
                        places.insert(u64::from(name.counter), offset);
                    }
                    Some(first) => found.add(
                        weight,
                        format_args!(
                            "{partition}: record {name} is at offsets {first} and {offset}"
                        ),
                    ),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_notes};

    #[test]
    fn records_that_are_there_once_pass_however_many_read_them() {
        check(
            "once",
            "sent 1/0x2 0
             sent 2/0 2
             read 3.0 0=1/0x2
             final 0=1/0x2 2=2/0",
            &[],
        );
    }

    #[test]
    fn a_record_at_two_offsets_is_told_acknowledged_or_not() {
        check(
            "once",
            "sent 1/0 0
             sent 1/1 ?
             final 0=1/0 1=1/1 2=1/0 3=1/1",
            &["t-0: record 1/0 is at offsets 0 and 2", "t-0: record 1/1 is at offsets 1 and 3"],
        );
    }

    #[test]
    fn a_record_that_a_reader_met_elsewhere_than_it_ends_up_is_told() {
        check(
            "once",
            "sent 1/0 0
             read 2.0 1=1/0
             final 0=1/0",
            &["t-0: record 1/0 is at offsets 0 and 1"],
        );
    }

    #[test]
    fn without_idempotence_a_duplicate_is_only_noted() {
        check_notes(
            "once",
            "begin plain
             sent 1/0 1
             final 0=1/0 1=1/0",
            &["t-0: record 1/0 is at offsets 0 and 1"],
        );
    }
}
