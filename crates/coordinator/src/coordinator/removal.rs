//! What is removed: groups with their offsets (DeleteGroups), offsets of a group (OffsetDelete), those
//! of topics that are gone, and groups that hold nothing.

use super::pending::{Asked, Pending};
use super::{Coordinator, Effect, Reply, Token};
use crate::group::GroupState;
use crate::records::GroupRecord;
use std::collections::BTreeSet;
use types::{ErrorCode, Monotonic, TopicId, TopicPartition};

/// After so many groups have become empty those that hold nothing are looked for at once: a flood of
/// groups that are joined and left does not pile up until the next time.
pub(super) const EMPTIED_MAX: usize = 10_000;

impl Coordinator {
    /// DeleteGroups: only a group without members goes, with its offsets. The reply comes by an
    /// effect, once that is committed.
    pub fn delete(&mut self, token: Token, group_id: &str, effects: &mut Vec<Effect>) {
        let partitions = self.partitions_of(group_id);
        let refused = match self.groups.get(group_id).map(|g| g.state) {
            None if partitions.is_empty() => Some(ErrorCode::GroupIdNotFound),
            None | Some(GroupState::Empty) => None,
            Some(GroupState::Dead) => Some(ErrorCode::GroupIdNotFound),
            Some(
                GroupState::PreparingRebalance
                | GroupState::CompletingRebalance
                | GroupState::Stable,
            ) => Some(ErrorCode::NonEmptyGroup),
        };
        if let Some(code) = refused {
            effects.push(Effect::Reply { token, reply: Reply::Refused(code) });
            return;
        }
        let mut records: Vec<GroupRecord> =
            partitions.into_iter().map(|partition| removed(group_id, partition)).collect();
        self.groups.remove(group_id);
        records.push(GroupRecord::Group { group_id: group_id.to_owned(), value: None });
        let asked = Some(Asked { token, reply: Reply::Deleted });
        let change = |asked, records| Pending::Change { asked, records };
        self.append_parts(records, asked, change, effects);
    }

    /// OffsetDelete: a group forgets partitions, unless its members consume the topic. The reply comes
    /// by an effect, once that is committed.
    pub fn delete_offsets(
        &mut self,
        token: Token,
        group_id: &str,
        partitions: BTreeSet<TopicPartition>,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.partitions_of(group_id);
        if let Err(code) = self.check_delete_offsets(group_id, !known.is_empty()) {
            effects.push(Effect::Reply { token, reply: Reply::Refused(code) });
            return;
        }
        let group = self.groups.get(group_id);
        let topics: BTreeSet<&str> = partitions.iter().map(|at| at.topic.as_str()).collect();
        let subscribed = group.map(|group| group.subscribed_of(&topics)).unwrap_or_default();
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            let is_subscribed = subscribed.contains(partition.topic.as_str());
            if !is_subscribed && known.contains(partition) {
                records.push(removed(group_id, partition.clone()));
            }
            let error = is_subscribed.then_some(ErrorCode::GroupSubscribedToTopic);
            results.push((partition.clone(), error));
        }
        let asked = Asked { token, reply: Reply::OffsetsDeleted(results) };
        if records.is_empty() {
            effects.push(asked.answer(Ok(())));
            return;
        }
        let offsets = |asked, records| Pending::Offsets { asked, records };
        self.append_parts(records, Some(asked), offsets, effects);
    }

    fn check_delete_offsets(&self, group_id: &str, has_offsets: bool) -> Result<(), ErrorCode> {
        let Some(group) = self.groups.get(group_id) else {
            return if has_offsets { Ok(()) } else { Err(ErrorCode::GroupIdNotFound) };
        };
        match group.state {
            GroupState::Dead => Err(ErrorCode::GroupIdNotFound),
            GroupState::Empty => Ok(()),
            // What members of another kind consume cannot be told.
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => match group.uses_consumer_protocol() {
                true => Ok(()),
                false => Err(ErrorCode::NonEmptyGroup),
            },
        }
    }

    /// Removes the offsets of topics that are gone: by such an offset the readers of a new topic of the
    /// name would pass over its first records. `is_gone` is told the partition, and the id of the
    /// topic that was committed for. If the log refuses that now, it is done at the next call.
    pub fn forget_topics(
        &mut self,
        is_gone: impl Fn(&TopicPartition, TopicId) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let mut gone: BTreeSet<(&str, &TopicPartition)> = BTreeSet::new();
        for (group_id, offsets) in &self.offsets {
            let of_group = offsets.iter().filter(|(at, value)| is_gone(at, value.topic_id));
            gone.extend(of_group.map(|(at, _)| (group_id.as_str(), at)));
        }
        // The newest of a partition's offsets is the one that counts.
        for (group_id, partition, value) in self.unsettled() {
            match value.is_some_and(|value| is_gone(partition, value.topic_id)) {
                true => gone.insert((group_id, partition)),
                false => gone.remove(&(group_id, partition)),
            };
        }
        let records: Vec<GroupRecord> = gone
            .into_iter()
            .map(|(group_id, partition)| removed(group_id, partition.clone()))
            .collect();
        let offsets = |asked, records| Pending::Offsets { asked, records };
        self.append_parts(records, None, offsets, effects);
    }

    /// Groups without members and offsets go: they hold nothing but the number of a generation.
    pub(super) fn sweep(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        self.next_sweep = now + self.config.sweep_interval;
        self.emptied = 0;
        let unsettled: BTreeSet<&str> = self.unsettled().map(|(group_id, ..)| group_id).collect();
        let has_offsets = |id: &str| self.offsets.contains_key(id) || unsettled.contains(id);
        let holds_nothing = self.groups.values().filter(|g| g.is_idle() && !has_offsets(&g.id));
        let idle: Vec<String> = holds_nothing.map(|g| g.id.clone()).collect();
        let mut records = Vec::with_capacity(idle.len());
        for group_id in idle {
            self.groups.remove(&group_id);
            records.push(GroupRecord::Group { group_id, value: None });
        }
        self.append_parts(records, None, |asked, _| Pending::Emptied { asked }, effects);
    }

    /// A group has become empty.
    pub(super) fn note_emptied(&mut self, now: Monotonic) {
        self.emptied += 1;
        if self.emptied >= EMPTIED_MAX {
            self.next_sweep = now;
        }
    }
}

fn removed(group_id: &str, partition: TopicPartition) -> GroupRecord {
    GroupRecord::Offset { group_id: group_id.to_owned(), partition, value: None }
}
