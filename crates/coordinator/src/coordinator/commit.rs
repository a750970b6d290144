//! OffsetCommit.

use super::{Coordinator, Effect, Pending, Reply, Token};
use crate::group::{Group, GroupState};
use crate::offsets::{OffsetCommit, OffsetCommitItem};
use crate::records::GroupRecord;
use types::{ErrorCode, Monotonic};

impl Coordinator {
    /// Commits offsets. The reply comes by an effect, once the records are committed.
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
        let items: Vec<(OffsetCommitItem, Option<ErrorCode>)> = commit
            .items
            .into_iter()
            .map(|item| {
                let error = too_large(&item).then_some(ErrorCode::OffsetMetadataTooLarge);
                (item, error)
            })
            .collect();
        let records: Vec<GroupRecord> = items
            .iter()
            .filter(|(_, error)| error.is_none())
            .map(|(item, _)| GroupRecord::Offset {
                group_id: commit.group_id.clone(),
                partition: item.partition.clone(),
                value: Some(item.committed.clone()),
            })
            .collect();
        if records.is_empty() {
            let results = items.into_iter().map(|(item, error)| (item.partition, error));
            effects.push(Effect::Reply {
                token: commit.token,
                reply: Reply::Commit(results.collect()),
            });
            return;
        }
        let pending = Pending::Offsets { token: commit.token, group_id: commit.group_id, items };
        self.append(records, pending, effects);
    }

    fn check_commit(&self, commit: &OffsetCommit) -> Result<(), ErrorCode> {
        if commit.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let is_outsider = commit.generation < 0;
        let Some(group) = self.groups.get(&commit.group_id) else {
            return if is_outsider { Ok(()) } else { Err(ErrorCode::IllegalGeneration) };
        };
        if is_outsider && group.state == GroupState::Empty {
            return Ok(());
        }
        check_commit_member(group, commit)
    }

    /// The records of a commit are committed (or not): only now can the offsets be fetched.
    pub(super) fn offsets_done(
        &mut self,
        token: Token,
        group_id: String,
        items: Vec<(OffsetCommitItem, Option<ErrorCode>)>,
        result: Result<(), ErrorCode>,
        effects: &mut Vec<Effect>,
    ) {
        let failed = result.err().map(Coordinator::commit_error);
        let mut results = Vec::with_capacity(items.len());
        for (item, refused) in items {
            results.push((item.partition.clone(), refused.or(failed)));
            if refused.is_none() && failed.is_none() {
                let offsets = self.offsets.entry(group_id.clone()).or_default();
                offsets.insert(item.partition, item.committed);
            }
        }
        effects.push(Effect::Reply { token, reply: Reply::Commit(results) });
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
