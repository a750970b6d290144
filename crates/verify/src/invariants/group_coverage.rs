//! I28: across rebalances a group is handed every record at least once.
//!
//! What a group has committed, its members must have been handed before, from the first start on; a
//! group that says it came to the end must have been handed everything up to there.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{Event, Outcome};

#[derive(Default)]
pub struct GroupCoverage {
    groups: BTreeMap<String, Group>,
}

#[derive(Default)]
struct Group {
    partitions: BTreeMap<TopicPartition, Progress>,
    /// Whether its members came to the end.
    complete: bool,
}

#[derive(Default)]
struct Progress {
    handed: Spans,
    first_start: Option<i64>,
    committed: i64,
}

/// Disjoint spans of offsets: start to end (exclusive), neighbours joined.
#[derive(Default)]
struct Spans(BTreeMap<i64, i64>);

impl Spans {
    fn add(&mut self, mut start: i64, mut end: i64) {
        // Those that touch the new one are swallowed by it, the last first.
        while let Some((&from, &to)) = self.0.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.0.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.0.insert(start, end);
    }

    /// The parts of `start..end` that no span covers.
    fn missing(&self, start: i64, end: i64) -> Vec<(i64, i64)> {
        let mut missing = Vec::new();
        let mut at = start;
        if let Some((_, &to)) = self.0.range(..=start).next_back() {
            at = at.max(to);
        }
        for (&from, &to) in self.0.range(start..) {
            if at >= end || from >= end {
                break;
            }
            if from > at {
                missing.push((at, from));
            }
            at = at.max(to);
        }
        if at < end {
            missing.push((at, end));
        }
        missing
    }
}

impl GroupCoverage {
    fn progress(&mut self, group: &str, partition: &TopicPartition) -> &mut Progress {
        let group = self.groups.entry(group.to_owned()).or_default();
        group.partitions.entry(partition.clone()).or_default()
    }
}

impl Invariant for GroupCoverage {
    fn rule(&self) -> Rule {
        Rule {
            id: "I28",
            name: "group-coverage",
            promise: "a group is handed every record below its position at least once",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        match event {
            Event::Read(read) => {
                let Some(group) = &read.group else { return };
                let progress = self.progress(group, &read.partition);
                for run in &read.runs {
                    progress.handed.add(run.0, run.0.saturating_add(i64::from(run.3)));
                }
                for (offset, _) in &read.damaged {
                    progress.handed.add(*offset, offset.saturating_add(1));
                }
            }
            Event::Assigned(assigned) => {
                for of in &assigned.partitions {
                    let progress = self.progress(&assigned.group, &of.partition);
                    let first = [progress.first_start, of.start];
                    progress.first_start = first.into_iter().flatten().min();
                }
            }
            Event::Commit(commit) if commit.outcome == Outcome::Ok => {
                let progress = self.progress(&commit.group, &commit.partition);
                progress.committed = progress.committed.max(commit.offset);
            }
            Event::FinalGroup(last) => {
                self.groups.entry(last.group.clone()).or_default().complete = last.complete;
            }
            _ => {}
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for (group, of_group) in &self.groups {
            for (partition, progress) in &of_group.partitions {
                let start = progress.first_start.unwrap_or(0);
                let mut end = progress.committed;
                let of = facts.partitions.get(partition);
                if of_group.complete
                    && let Some(last) = of.and_then(|of| of.final_read.as_ref())
                {
                    end = end.max(last.end);
                }
                found.checked((end - start).max(0) as u64);
                for (from, to) in progress.handed.missing(start, end) {
                    let holds =
                        |offset: i64| of.is_none_or(|of| of.values.get(offset as u64).is_some());
                    // Markers of transactions are handed to nobody.
                    if facts.has_transactions && !(from..to).any(holds) {
                        continue;
                    }
                    found.violation(format_args!(
                        "{partition}: group {group} was never handed offsets {from} to {} and \
                         stands at {end}",
                        to - 1
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    #[test]
    fn records_handed_over_once_or_again_pass() {
        check(
            "group-coverage",
            "assigned g 3 1 0
             group g 3.1 0=1/0x3
             commit g 3 1 2 ok
             assigned g 4 2 2
             group g 4.2 2=1/2x2
             commit g 4 2 4 ok
             final 0=1/0x4
             finished g",
            &[],
        );
    }

    #[test]
    fn committed_records_that_no_member_was_handed_are_told() {
        check(
            "group-coverage",
            "assigned g 3 1 0
             group g 3.1 0=1/0x3
             assigned g 4 2 5
             group g 4.2 5=1/5
             commit g 4 2 6 ok
             final 0=1/0x6",
            &["t-0: group g was never handed offsets 3 to 4 and stands at 6"],
        );
    }

    #[test]
    fn a_group_that_came_to_the_end_must_have_been_handed_everything() {
        check(
            "group-coverage",
            "assigned g 3 1 0
             group g 3.1 0=1/0x2
             final 0=1/0x4
             finished g",
            &["t-0: group g was never handed offsets 2 to 3 and stands at 4"],
        );
        check(
            "group-coverage",
            "assigned g 3 1 0
             group g 3.1 0=1/0x2
             commit g 3 1 2 ok
             final 0=1/0x4
             unfinished g",
            &[],
        );
    }

    #[test]
    fn spans_join_and_tell_what_is_missing() {
        let mut spans = Spans::default();
        for (start, end) in [(10, 20), (0, 5), (30, 40), (5, 7), (18, 31), (50, 51)] {
            spans.add(start, end);
        }
        assert_eq!(spans.0, BTreeMap::from([(0, 7), (10, 40), (50, 51)]));
        assert_eq!(spans.missing(0, 60), [(7, 10), (40, 50), (51, 60)]);
        assert_eq!(spans.missing(8, 45), [(8, 10), (40, 45)]);
        assert_eq!(spans.missing(12, 13), []);
        assert_eq!(Spans::default().missing(0, 2), [(0, 2)]);
    }
}
