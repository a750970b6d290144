//! I20: what was acknowledged is there.

use super::Invariant;
use crate::facts::{Facts, Fate};
use crate::findings::{Count, Findings, Rule};

pub struct AcknowledgedKept;

impl Invariant for AcknowledgedKept {
    fn rule(&self) -> Rule {
        Rule {
            id: "I20",
            name: "acknowledged-kept",
            promise: "every acknowledged record is read back at the end",
            count: Count::Lost,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            // Without a complete final read nothing is known of what lies behind its last record.
            let Some(read_to) = of.read_to() else { continue };
            let complete = of.final_read.as_ref().is_some_and(|last| last.complete);
            for (name, fact) in of.all_sends() {
                let Fate::Acknowledged(offset) = fact.fate else { continue };
                if !complete && offset.is_none_or(|offset| offset >= read_to) {
                    continue;
                }
                found.checked(1);
                if of.place_of(name).is_some() {
                    continue;
                }
                let ended = fact.ended;
                match offset {
                    Some(offset) => found.violation(format_args!(
                        "{partition}: record {name} was acknowledged at offset {offset} ({ended}) \
                         and is gone"
                    )),
                    None => found.violation(format_args!(
                        "{partition}: record {name} was acknowledged ({ended}) and is gone"
                    )),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, findings};

    #[test]
    fn an_acknowledged_record_that_is_not_read_back_is_lost() {
        check(
            "acknowledged-kept",
            "sent 1/0x3 0
             sent 1/3 3
             final 0=1/0x3",
            &["t-0: record 1/3 was acknowledged at offset 3 (0.000015 s) and is gone"],
        );
        check(
            "acknowledged-kept",
            "sent 1/0 ok
             final",
            &["t-0: record 1/0 was acknowledged (0.000005 s) and is gone"],
        );
    }

    #[test]
    fn a_lost_record_whose_offset_another_took_is_lost_all_the_same() {
        check(
            "acknowledged-kept",
            "sent 1/0 0
             sent 2/0 0
             final 0=2/0",
            &["t-0: record 1/0 was acknowledged at offset 0 (0.000005 s) and is gone"],
        );
    }

    #[test]
    fn unknown_and_refused_records_may_be_missing_and_acknowledged_ones_at_another_place() {
        check(
            "acknowledged-kept",
            "sent 1/0 0
             sent 1/1 ?
             sent 1/2 !
             sent 1/3 1
             final 0=1/3 1=1/0",
            &[],
        );
    }

    #[test]
    fn an_incomplete_read_judges_only_what_lies_before_its_end() {
        check(
            "acknowledged-kept",
            "sent 1/0x4 0
             partial 0=1/0 2=1/2",
            &["t-0: record 1/1 was acknowledged at offset 1 (0.000005 s) and is gone"],
        );
        let without = findings("acknowledged-kept", "sent 1/0 0");
        assert_eq!((without.checked, without.violations), (0, 0));
    }
}
