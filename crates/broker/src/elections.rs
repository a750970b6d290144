//! Which elections a batch of metadata records holds, for the metrics.
//!
//! Promises: a new partition's first leader is no election, nor is a leader's loss without another.

use metadata::{Image, Partition, Record};
use telemetry::ElectionKind;
use types::TopicIdPartition;

/// The elections in a batch that is about to be applied to `image`.
pub fn elections<'a>(
    image: &'a Image,
    records: &'a [Record],
) -> impl Iterator<Item = ElectionKind> + 'a {
    records.iter().filter_map(|record| {
        let Record::Partition { topic_id, partition, state } = record else { return None };
        let id = TopicIdPartition { topic_id: *topic_id, partition: *partition };
        kind(image.partition(id)?, state)
    })
}

fn kind(before: &Partition, after: &Partition) -> Option<ElectionKind> {
    if !after.has_leader() || after.leader == before.leader {
        return None;
    }
    let was_in_sync =
        before.known_isr().contains(&after.leader) || before.elr.contains(&after.leader);
    // A leader that stays in sync was not lost: it handed over to the preferred one.
    let was_lost = !before.has_leader() || !after.isr.contains(&before.leader);
    let is_preferred = after.preferred_leader() == after.leader;
    Some(match (was_in_sync, was_lost) {
        (false, _) => ElectionKind::Unclean,
        (true, false) if is_preferred => ElectionKind::Preferred,
        (true, _) => ElectionKind::Clean,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::NodeId;

    fn state(leader: i32, isr: &[i32]) -> Partition {
        let ids = |ids: &[i32]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
        let mut partition = Partition::new(ids(&[1, 2, 3]), ids(isr));
        partition.leader = NodeId(leader);
        partition
    }

    fn check(before: Partition, after: Partition, expected: Option<ElectionKind>) {
        assert_eq!(kind(&before, &after), expected);
    }

    #[test]
    fn a_new_leader_out_of_the_isr_is_clean_and_one_from_outside_is_not() {
        check(state(1, &[1, 2, 3]), state(2, &[2, 3]), Some(ElectionKind::Clean));
        check(state(-1, &[2]), state(2, &[2]), Some(ElectionKind::Clean));
        check(state(-1, &[2]), state(3, &[3]), Some(ElectionKind::Unclean));
        check(state(2, &[1, 2]), state(1, &[1, 2]), Some(ElectionKind::Preferred));
        check(state(2, &[1, 2]), state(1, &[1]), Some(ElectionKind::Clean));
    }

    #[test]
    fn isr_changes_and_lost_leaders_are_no_elections() {
        check(state(1, &[1, 2, 3]), state(1, &[1, 2]), None);
        check(state(1, &[1]), state(-1, &[1]), None);
    }
}
