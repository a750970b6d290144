//! OffsetCommit.

use super::pending::{Asked, Pending};
use super::{Coordinator, Effect, Reply};
use crate::group::{Group, GroupState};
use crate::offsets::{OffsetCommit, OffsetCommitItem};
use crate::records::GroupRecord;
use types::{ErrorCode, Monotonic};

impl Coordinator {
    /// Commits offsets. The reply comes by an effect, once the records are committed. The group
    /// without a name has no members and never will, and may keep offsets, as it may in Kafka.
    pub fn commit(&mut self, now: Monotonic, commit: OffsetCommit, effects: &mut Vec<Effect>) {
        let OffsetCommit { token, group_id, items, .. } = &commit;
        if let Err(error) = self.check_commit(&commit) {
            let results = items.iter().map(|item| (item.partition.clone(), Some(error)));
            effects.push(Effect::Reply { token: *token, reply: Reply::Commit(results.collect()) });
            return;
        }
        let member =
            self.groups.get_mut(group_id).and_then(|g| g.members.get_mut(&commit.member_id));
        if let Some(member) = member {
            member.heard(now);
        }
        let limit = self.config.offset_metadata_bytes_max;
        let too_large = |item: &OffsetCommitItem| item.committed.metadata.len() > limit;
        let mut results = Vec::with_capacity(commit.items.len());
        let mut records = Vec::with_capacity(commit.items.len());
        for item in commit.items {
            let error = too_large(&item).then_some(ErrorCode::OffsetMetadataTooLarge);
            results.push((item.partition.clone(), error));
            if error.is_none() {
                records.push(GroupRecord::Offset {
                    group_id: commit.group_id.clone(),
                    partition: item.partition,
                    value: Some(item.committed),
                });
            }
        }
        let asked = Asked { token: commit.token, reply: Reply::Commit(results) };
        if records.is_empty() {
            effects.push(asked.answer(Ok(())));
            return;
        }
        let pending = Pending::Offsets { asked: Some(asked), records: records.clone() };
        self.append(records, pending, effects);
    }

    fn check_commit(&self, commit: &OffsetCommit) -> Result<(), ErrorCode> {
        let is_outsider = commit.generation < 0;
        let Some(group) = self.groups.get(&commit.group_id) else {
            return match is_outsider {
                true => Ok(()),
                // A group that holds nothing but offsets is there, and is empty.
                false if self.offsets.contains_key(&commit.group_id) => {
                    Err(ErrorCode::UnknownMemberId)
                }
                false => Err(ErrorCode::IllegalGeneration),
            };
        };
        if is_outsider && group.state == GroupState::Empty {
            return Ok(());
        }
        check_commit_member(group, commit)
    }
}

fn check_commit_member(group: &Group, commit: &OffsetCommit) -> Result<(), ErrorCode> {
    if group.state == GroupState::Dead {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    group.check_member(&commit.member_id, commit.group_instance_id.as_deref())?;
    if commit.generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    match group.state {
        GroupState::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
        GroupState::Dead => Err(ErrorCode::CoordinatorNotAvailable),
        GroupState::Empty => Err(ErrorCode::UnknownMemberId),
        // While members gather the old generation may still commit what it has done.
        GroupState::PreparingRebalance | GroupState::Stable => Ok(()),
    }
}
