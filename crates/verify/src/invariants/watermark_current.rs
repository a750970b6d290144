//! I32: a partition's end is past every record that was acknowledged (by all in-sync replicas) or
//! read before the question began, whoever asks.
//!
//! A note: a leader that was paused and does not know yet that another took its place answers with
//! the end that it knew, in Apache Kafka too, and nothing is lost by it.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::{Facts, Fate};
use crate::findings::{Count, Findings, Rule, Weight};
use crate::history::{AcksLevel, At, Event, Watermark, WatermarkSource};

#[derive(Default)]
pub struct WatermarkCurrent {
    partitions: BTreeMap<TopicPartition, Told>,
}

#[derive(Default)]
struct Told {
    marks: Vec<Watermark>,
    /// The highest offset of each answer to a reader, with the time of its arrival.
    read: Vec<(At, i64)>,
}

impl Invariant for WatermarkCurrent {
    fn rule(&self) -> Rule {
        Rule {
            id: "I32",
            name: "watermark-current",
            promise: "a partition's end is past all that was acknowledged or read before",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        match event {
            Event::Watermark(mark) => {
                let told = self.partitions.entry(mark.partition.clone()).or_default();
                told.marks.push(mark.clone());
            }
            Event::Read(read) => {
                let last = read.runs.iter().map(|run| run.0 + i64::from(run.3) - 1).max();
                if let Some(last) = last {
                    let told = self.partitions.entry(read.partition.clone()).or_default();
                    told.read.push((read.ended, last));
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (partition, told) in &mut self.partitions {
            let mut known = std::mem::take(&mut told.read);
            // An acknowledgement by the leader alone says nothing of the high watermark.
            if facts.begin.acks == AcksLevel::All
                && let Some(of) = facts.partitions.get(partition)
            {
                known.extend(of.all_sends().filter_map(|(_, fact)| match fact.fate {
                    Fate::Acknowledged(Some(offset)) => Some((fact.ended, offset)),
                    Fate::Acknowledged(None) | Fate::Refused | Fate::Unknown => None,
                }));
            }
            known.sort_unstable();
            told.marks.sort_by_key(|mark| mark.began);
            let mut known = known.into_iter().peekable();
            let mut highest = -1;
            for mark in &told.marks {
                while let Some((_, offset)) = known.next_if(|(ended, _)| *ended < mark.began) {
                    highest = highest.max(offset);
                }
                found.checked(1);
                if mark.end > highest {
                    continue;
                }
                let how = match mark.source {
                    WatermarkSource::ListOffsets => "ListOffsets",
                    WatermarkSource::Fetch => "a fetch",
                };
                let text = format_args!(
                    "{partition}: {how} told client {} the end {} ({}) when offset {highest} was \
                     known to be there",
                    mark.reader, mark.end, mark.began
                );
                found.add(Weight::Note, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_notes, findings};

    #[test]
    fn an_end_past_all_that_was_acknowledged_before_passes() {
        check(
            "watermark-current",
            "list 5 0
             sent 1/0x3 0
             list 5 3
             sent 1/3 3 @40..60
             list 5 3 @50..70
             list 5 4",
            &[],
        );
    }

    #[test]
    fn an_end_that_does_not_cover_an_acknowledged_record_is_noted() {
        check_notes(
            "watermark-current",
            "sent 1/0x3 0
             list 5 2",
            &["t-0: ListOffsets told client 5 the end 2 (0.000010 s) when offset 2 was known to \
               be there"],
        );
    }

    #[test]
    fn an_end_that_does_not_cover_a_record_read_is_noted_whatever_acks_were_asked() {
        check_notes(
            "watermark-current",
            "begin acks=1
             sent 1/0x3 0
             list 5 1
             read 2.0 0=1/0x2
             list 5 1",
            &["t-0: ListOffsets told client 5 the end 1 (0.000040 s) when offset 1 was known to \
               be there"],
        );
    }

    #[test]
    fn a_fetch_that_tells_an_old_end_is_noted() {
        check_notes(
            "watermark-current",
            "sent 1/0 0
             fetch 5 0",
            &["t-0: a fetch told client 5 the end 0 (0.000010 s) when offset 0 was known to be \
               there"],
        );
        assert_eq!(findings("watermark-current", "sent 1/0 ?\n fetch 5 0").notes, 0);
    }
}
