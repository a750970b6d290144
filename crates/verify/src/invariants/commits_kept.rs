//! I29: a group's committed offset never goes back, and is never forgotten.
//!
//! Two commits may run at the same time, or have no answer and arrive late: only what had ended
//! before a question began binds its answer, and an answer that equals a commit without an outcome
//! is explained by it.

use std::collections::{BTreeMap, BTreeSet};

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{At, Event, Outcome};

#[derive(Default)]
pub struct CommitsKept {
    partitions: BTreeMap<(String, TopicPartition), Offsets>,
}

#[derive(Default)]
struct Offsets {
    known: Vec<Known>,
    /// Offsets of commits without an outcome.
    unknown: BTreeSet<i64>,
}

/// Something that was told about a group's position.
#[derive(Clone, Copy)]
struct Known {
    began: At,
    ended: At,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Commit(i64),
    /// The answer to a question; absent: no position.
    Answer(Option<i64>),
}

impl CommitsKept {
    fn add(&mut self, group: &str, partition: &TopicPartition, known: Known) {
        let key = (group.to_owned(), partition.clone());
        self.partitions.entry(key).or_default().known.push(known);
    }
}

impl Invariant for CommitsKept {
    fn rule(&self) -> Rule {
        Rule {
            id: "I29",
            name: "commits-kept",
            promise: "a group's committed offset never goes back and is never forgotten",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        match event {
            Event::Commit(commit) => match commit.outcome {
                Outcome::Ok => {
                    let (began, ended) = (commit.began, commit.ended);
                    let known = Known { began, ended, what: What::Commit(commit.offset) };
                    self.add(&commit.group, &commit.partition, known);
                }
                Outcome::Unknown => {
                    let key = (commit.group.clone(), commit.partition.clone());
                    self.partitions.entry(key).or_default().unknown.insert(commit.offset);
                }
                Outcome::Refused => {}
            },
            Event::Committed(answer) => {
                let what = What::Answer(answer.offset);
                let known = Known { began: answer.began, ended: answer.ended, what };
                self.add(&answer.group, &answer.partition, known);
            }
            Event::Assigned(assigned) => {
                for of in &assigned.partitions {
                    // Without a start, or at 0, the group may have had no position.
                    let Some(start) = of.start.filter(|start| *start > 0) else { continue };
                    let what = What::Answer(Some(start));
                    let known = Known { began: assigned.began, ended: assigned.ended, what };
                    self.add(&assigned.group, &of.partition, known);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, _: &Facts, found: &mut Findings) {
        for ((group, partition), offsets) in &mut self.partitions {
            offsets.judge(&format!("{partition}: group {group}"), found);
        }
    }
}

impl Offsets {
    fn judge(&mut self, place: &str, found: &mut Findings) {
        self.known.sort_by_key(|known| known.began);
        let mut by_end: Vec<Known> = self.known.clone();
        by_end.sort_by_key(|known| known.ended);
        let mut ended = by_end.into_iter().peekable();
        // The highest of all that had ended before the one looked at began.
        let mut highest: Option<i64> = None;
        for known in &self.known {
            while let Some(earlier) = ended.next_if(|earlier| earlier.ended < known.began) {
                let (What::Commit(offset) | What::Answer(Some(offset))) = earlier.what else {
                    continue;
                };
                highest = highest.max(Some(offset));
            }
            found.checked(1);
            let Some(highest) = highest else { continue };
            let at = known.began;
            match known.what {
                What::Commit(offset) if offset < highest => {
                    found.violation(format_args!(
                        "{place} committed {offset} ({at}) after {highest}"
                    ));
                }
                What::Answer(None) => {
                    found.violation(format_args!("{place} had no position ({at}) after {highest}"));
                }
                What::Answer(Some(offset))
                    if offset < highest && !self.unknown.contains(&offset) =>
                {
                    found.violation(format_args!(
                        "{place} stood at {offset} ({at}) after {highest}"
                    ));
                }
                What::Commit(_) | What::Answer(Some(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn a_position_that_grows_passes() {
        check(
            "commits-kept",
            "committed g -
             assigned g 3 1 0
             commit g 3 1 5 ok
             committed g 5
             assigned g 4 2 5
             commit g 4 2 9 ok
             committed g 9",
            &[],
        );
    }

    #[test]
    fn a_position_that_goes_back_is_told_whoever_says_so() {
        check(
            "commits-kept",
            "commit g 3 1 5 ok
             committed g 4
             assigned g 4 2 3
             commit g 4 2 4 ok
             committed g -",
            &[
                "t-0: group g stood at 4 (0.000010 s) after 5",
                "t-0: group g stood at 3 (0.000020 s) after 5",
                "t-0: group g committed 4 (0.000030 s) after 5",
                "t-0: group g had no position (0.000040 s) after 5",
            ],
        );
    }

    #[test]
    fn what_was_told_once_is_not_taken_back_even_without_a_commit_known() {
        check(
            "commits-kept",
            "committed g 7
             committed g 6",
            &["t-0: group g stood at 6 (0.000010 s) after 7"],
        );
    }

    #[test]
    fn an_answer_during_a_commit_and_a_late_commit_without_an_outcome_are_explained() {
        check(
            "commits-kept",
            "commit g 3 1 5 ok
             commit g 3 1 6 ? @10..12
             commit g 3 1 8 ok @20..40
             committed g 5 @25..30
             committed g 6 @50..60",
            &[],
        );
    }
}
