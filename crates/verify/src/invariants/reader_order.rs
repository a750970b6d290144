//! I28: within a session a reader is handed offsets in order, none left out and none again.
//!
//! Where transactions leave offsets without records, only going back is a fault.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{ClientNumber, Event, Read};

#[derive(Default)]
pub struct ReaderOrder {
    /// The offset that comes next, in each reader's latest session.
    next: BTreeMap<(ClientNumber, TopicPartition), (u32, i64)>,
    gaps: Vec<String>,
    gap_count: u64,
}

/// Most gaps kept until it is known whether they are faults.
const GAPS_KEPT_MAX: usize = 100;

impl Invariant for ReaderOrder {
    fn rule(&self) -> Rule {
        Rule {
            id: "I28",
            name: "reader-order",
            promise: "a reader is handed offsets in order, none left out and none again",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, found: &mut Findings) {
        let Event::Read(read) = event else { return };
        let key = (read.reader, read.partition.clone());
        let known = self.next.get(&key).filter(|(session, _)| *session == read.session);
        let mut next = known.map(|(_, next)| *next);
        for (first, count) in spans(read) {
            found.checked(count as u64);
            let place = format_args!("{}: reader {} was handed", read.partition, read.reader);
            match next {
                Some(next) if first < next => {
                    found.violation(format_args!("{place} offset {first} after {}", next - 1));
                }
                Some(next) if first > next => {
                    self.gap_count += 1;
                    if self.gaps.len() < GAPS_KEPT_MAX {
                        self.gaps.push(format!("{place} offset {first} after {}", next - 1));
                    }
                }
                Some(_) => {}
                None if first < 0 => {
                    found.violation(format_args!("{place} offset {first}"));
                }
                None => {}
            }
            next = Some(first.saturating_add(count));
        }
        if let Some(next) = next {
            self.next.insert(key, (read.session, next));
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        if facts.has_transactions {
            return;
        }
        for gap in &self.gaps {
            found.violation(gap);
        }
        found.more_violations(self.gap_count - self.gaps.len() as u64);
    }
}

/// First offset and count of what was handed over, damaged records in their places.
fn spans(read: &Read) -> Vec<(i64, i64)> {
    let mut spans: Vec<(i64, i64)> =
        read.runs.iter().map(|run| (run.0, i64::from(run.3))).collect();
    if !read.damaged.is_empty() {
        spans.extend(read.damaged.iter().map(|(offset, _)| (*offset, 1)));
        spans.sort_by_key(|(offset, _)| *offset);
    }
    spans
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn sessions_go_on_where_they_were_and_a_new_one_may_start_anywhere() {
        check(
            "reader-order",
            "read 2.0 0=1/0x2 2=1/2
             read 3.0 5=1/5
             read 2.0 3=damaged 4=1/4
             read 2.1 1=1/1
             read 2.1 2=1/2
             group g 4.1 0=1/0x2
             group g 4.2 1=1/1",
            &[],
        );
    }

    #[test]
    fn a_step_back_and_a_record_left_out_are_told() {
        check(
            "reader-order",
            "read 2.0 0=1/0x3
             read 2.0 2=1/2
             read 3.0 0=1/0 2=1/2
             group g 4.1 7=1/7
             group g 4.1 9=1/9",
            &[
                "t-0: reader 2 was handed offset 2 after 2",
                "t-0: reader 3 was handed offset 2 after 0",
                "t-0: reader 4 was handed offset 9 after 7",
            ],
        );
    }

    #[test]
    fn transactions_leave_gaps_but_do_not_lead_back() {
        check(
            "reader-order",
            "transaction 1 0 ok
             read 2.0 0=1/0 2=1/1
             read 2.0 1=1/2",
            &["t-0: reader 2 was handed offset 1 after 2"],
        );
    }
}
