//! I30: in one generation a partition has one owner, and a member that the group left behind
//! commits nothing.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{At, ClientNumber, Event, Outcome};

#[derive(Default)]
pub struct SoleOwner {
    groups: BTreeMap<String, Group>,
}

#[derive(Default)]
struct Group {
    owners: BTreeMap<(i32, TopicPartition), ClientNumber>,
    /// When a member first knew of each generation.
    known_since: BTreeMap<i32, At>,
    commits: Vec<Accepted>,
}

struct Accepted {
    generation: i32,
    member: ClientNumber,
    partition: TopicPartition,
    offset: i64,
    began: At,
}

impl Invariant for SoleOwner {
    fn rule(&self) -> Rule {
        Rule {
            id: "I30",
            name: "sole-owner",
            promise: "a partition has one owner in a generation, and members of an older one \
                      commit nothing",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, found: &mut Findings) {
        match event {
            Event::Assigned(assigned) => {
                let (generation, member) = (assigned.generation, assigned.member);
                let group = self.groups.entry(assigned.group.clone()).or_default();
                let since = group.known_since.entry(generation).or_insert(assigned.ended);
                *since = (*since).min(assigned.ended);
                for of in &assigned.partitions {
                    found.checked(1);
                    let key = (generation, of.partition.clone());
                    let owner = *group.owners.entry(key).or_insert(member);
                    if owner != member {
                        found.violation(format_args!(
                            "{}: group {} gave it to members {owner} and {member} in generation \
                             {generation}",
                            of.partition, assigned.group
                        ));
                    }
                }
            }
            Event::Commit(commit) if commit.outcome == Outcome::Ok => {
                self.groups.entry(commit.group.clone()).or_default().commits.push(Accepted {
                    generation: commit.generation,
                    member: commit.member,
                    partition: commit.partition.clone(),
                    offset: commit.offset,
                    began: commit.began,
                });
            }
            _ => {}
        }
    }

    fn conclude(&mut self, _: &Facts, found: &mut Findings) {
        for (name, group) in &self.groups {
            for commit in &group.commits {
                found.checked(1);
                let mut newer = group.known_since.range(commit.generation.saturating_add(1)..);
                let before = newer.rfind(|(_, since)| **since < commit.began);
                let Some((newer, _)) = before else { continue };
                found.violation(format_args!(
                    "{}: group {name} took offset {} from member {} of generation {} when \
                     generation {newer} was known",
                    commit.partition, commit.offset, commit.member, commit.generation
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn a_partition_that_moves_with_the_generation_passes() {
        check(
            "sole-owner",
            "assigned g 3 1 0
             commit g 3 1 5 ok
             assigned g 4 2 5
             commit g 4 2 9 ok
             commit g 3 1 7 ?",
            &[],
        );
    }

    #[test]
    fn two_owners_in_one_generation_are_told() {
        check(
            "sole-owner",
            "assigned g 3 1 0
             assigned g 4 1 0",
            &["t-0: group g gave it to members 3 and 4 in generation 1"],
        );
    }

    #[test]
    fn a_commit_of_a_member_that_was_left_behind_is_told_unless_it_began_in_time() {
        check(
            "sole-owner",
            "assigned g 3 1 0
             commit g 3 1 4 ok @10..40
             assigned g 4 2 5 @20..30
             commit g 3 1 7 ok @50..60",
            &["t-0: group g took offset 7 from member 3 of generation 1 when generation 2 was \
               known"],
        );
    }
}
