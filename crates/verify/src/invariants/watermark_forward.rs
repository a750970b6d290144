//! I32: for one client a partition's end never goes back.
//!
//! Apache Kafka promises it of ListOffsets (KIP-207); a fetch from a leader that was just elected may
//! tell a lower high watermark, so there it is a note.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule, Weight};
use crate::history::{At, ClientNumber, Event, WatermarkSource};

#[derive(Default)]
pub struct WatermarkForward {
    told: BTreeMap<(WatermarkSource, ClientNumber, TopicPartition), Vec<Told>>,
}

#[derive(Clone, Copy)]
struct Told {
    began: At,
    ended: At,
    end: i64,
}

impl Invariant for WatermarkForward {
    fn rule(&self) -> Rule {
        Rule {
            id: "I32",
            name: "watermark-forward",
            promise: "a partition's end, as one client is told it, never goes back",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        let Event::Watermark(mark) = event else { return };
        let key = (mark.source, mark.reader, mark.partition.clone());
        let told = Told { began: mark.began, ended: mark.ended, end: mark.end };
        self.told.entry(key).or_default().push(told);
    }

    fn conclude(&mut self, _: &Facts, found: &mut Findings) {
        for ((source, reader, partition), told) in &mut self.told {
            told.sort_by_key(|told| told.began);
            let mut by_end = told.clone();
            by_end.sort_by_key(|told| told.ended);
            let mut ended = by_end.into_iter().peekable();
            let mut highest = i64::MIN;
            for told in told.iter() {
                while let Some(earlier) = ended.next_if(|earlier| earlier.ended < told.began) {
                    highest = highest.max(earlier.end);
                }
                found.checked(1);
                if told.end < highest {
                    let (weight, how) = match source {
                        WatermarkSource::ListOffsets => (Weight::Violation, "ListOffsets"),
                        WatermarkSource::Fetch => (Weight::Note, "a fetch"),
                    };
                    let text = format_args!(
                        "{partition}: {how} told client {reader} the end {} ({}) after {highest}",
                        told.end, told.began
                    );
                    found.add(weight, text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_notes};

    #[test]
    fn an_end_that_grows_passes_and_answers_on_the_way_at_once_have_no_order() {
        check(
            "watermark-forward",
            "list 5 10
             list 5 12 @20..40
             list 5 11 @30..35
             list 6 9 @50..60
             fetch 5 12 @50..60
             list 5 12 @70..80",
            &[],
        );
    }

    #[test]
    fn an_end_that_goes_back_is_told() {
        check(
            "watermark-forward",
            "list 5 10
             list 5 9",
            &["t-0: ListOffsets told client 5 the end 9 (0.000010 s) after 10"],
        );
    }

    #[test]
    fn a_high_watermark_that_goes_back_between_fetches_is_noted() {
        check_notes(
            "watermark-forward",
            "fetch 5 10
             fetch 5 9",
            &["t-0: a fetch told client 5 the end 9 (0.000010 s) after 10"],
        );
    }
}
