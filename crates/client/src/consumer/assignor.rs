//! The range assignor: per topic, consecutive partitions to the members in order.

use std::collections::BTreeMap;

use types::{PartitionIndex, TopicPartition};

/// Shares out partitions. `members` names each member's topics, `counts` each topic's partitions.
/// Every partition of a topic with a subscriber gets exactly one owner; members of one topic differ
/// by at most one partition, the first ones having more.
pub(super) fn range(
    members: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, i32>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut assigned: BTreeMap<String, Vec<TopicPartition>> =
        members.keys().map(|member| (member.clone(), Vec::new())).collect();
    for (topic, count) in counts {
        let subscribed: Vec<&String> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(m, _)| m).collect();
        if subscribed.is_empty() {
            continue;
        }
        let (each, extra) = (count / subscribed.len() as i32, count % subscribed.len() as i32);
        let mut next = 0;
        for (index, member) in subscribed.into_iter().enumerate() {
            let end = next + each + i32::from((index as i32) < extra);
            if let Some(owned) = assigned.get_mut(member) {
                owned.extend((next..end).map(|partition| TopicPartition {
                    topic: topic.clone(),
                    partition: PartitionIndex(partition),
                }));
            }
            next = end;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(assigned: &BTreeMap<String, Vec<TopicPartition>>, member: &str) -> String {
        let names: Vec<String> = assigned[member].iter().map(|of| of.to_string()).collect();
        names.join(" ")
    }

    #[test]
    fn consecutive_partitions_go_to_members_in_order() {
        let all = vec!["t".to_owned(), "u".to_owned()];
        let members = BTreeMap::from([
            ("a".to_owned(), all.clone()),
            ("b".to_owned(), all),
            ("c".to_owned(), vec!["t".to_owned()]),
        ]);
        let counts = BTreeMap::from([("t".to_owned(), 5), ("u".to_owned(), 1)]);
        let assigned = range(&members, &counts);
        assert_eq!(owned(&assigned, "a"), "t-0 t-1 u-0");
        assert_eq!(owned(&assigned, "b"), "t-2 t-3");
        assert_eq!(owned(&assigned, "c"), "t-4");
    }
}
