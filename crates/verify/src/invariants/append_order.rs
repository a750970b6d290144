//! I32: appends take effect between their beginning and their acknowledgement. One that was
//! acknowledged before another began has the lower offset; no search is needed, since an append
//! answers with its place.

use super::Invariant;
use crate::facts::{Facts, Fate};
use crate::findings::{Count, Findings, Rule};
use crate::history::{At, RecordName};

pub struct AppendOrder;

/// The append that began last, of those at lower offsets.
struct Latest {
    began: At,
    name: RecordName,
    offset: u64,
}

impl Invariant for AppendOrder {
    fn rule(&self) -> Rule {
        Rule {
            id: "I32",
            name: "append-order",
            promise: "an append acknowledged before another began has the lower offset",
            count: Count::Reordered,
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, of) in &facts.partitions {
            let mut latest: Option<Latest> = None;
            for (offset, name) in of.last.iter() {
                let Some(fact) = of.send_of(name) else { continue };
                let Fate::Acknowledged(Some(acknowledged)) = fact.fate else { continue };
                if acknowledged as u64 != offset {
                    continue;
                }
                found.checked(1);
                if let Some(before) = &latest
                    && fact.ended < before.began
                {
                    found.violation(format_args!(
                        "{partition}: record {name} was acknowledged at {} and is at offset \
                         {offset}, after {} at {} that began at {}",
                        fact.ended, before.name, before.offset, before.began
                    ));
                }
                if latest.as_ref().is_none_or(|before| before.began < fact.began) {
                    latest = Some(Latest { began: fact.began, name, offset });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn appends_at_the_same_time_may_have_either_order() {
        check(
            "append-order",
            "sent 1/0 1 @0..20
             sent 2/0 0 @10..30
             sent 1/1 2 @40..50
             final 0=2/0 1=1/0x2",
            &[],
        );
    }

    #[test]
    fn an_append_that_began_after_an_acknowledgement_and_lies_before_it_is_told() {
        check(
            "append-order",
            "sent 1/0 1 @0..20
             sent 2/0 0 @21..30
             final 0=2/0 1=1/0",
            &["t-0: record 1/0 was acknowledged at 0.000020 s and is at offset 1, after 2/0 at 0 \
               that began at 0.000021 s"],
        );
    }
}
