//! SyncGroup: the leader's assignment is written, then handed to every member.

use super::pending::Assignment;
use super::{Coordinator, Effect, Pending, reply_sync};
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::requests::{SyncReply, SyncRequest};
use bytes::Bytes;
use types::{ErrorCode, Monotonic};

impl Coordinator {
    /// A member asks for its assignment; the leader brings all of them.
    pub fn sync(&mut self, now: Monotonic, request: SyncRequest, effects: &mut Vec<Effect>) {
        let token = request.token;
        if let Err(error) = self.try_sync(now, request, effects) {
            effects.push(reply_sync(token, SyncReply::failed(error)));
        }
    }

    fn try_sync(
        &mut self,
        now: Monotonic,
        request: SyncRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(&request.group_id).ok_or(ErrorCode::UnknownMemberId)?;
        check_sync(group, &request)?;
        match group.state {
            GroupState::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            GroupState::Empty => return Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => return Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => {}
        }
        let state = group.state;
        let protocol = (group.protocol_type.clone(), group.protocol_name.clone());
        let member = group.members.get_mut(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        member.heard(now);
        if state == GroupState::Stable {
            let assignment = member.assignment.clone();
            let reply = SyncReply {
                error: None,
                protocol_type: protocol.0,
                protocol_name: protocol.1,
                assignment,
            };
            effects.push(reply_sync(request.token, reply));
            return Ok(());
        }
        if let Some(earlier) = member.syncing.replace(request.token) {
            let reply = SyncReply::failed(ErrorCode::RebalanceInProgress);
            effects.push(reply_sync(earlier, reply));
        }
        let is_leader = group.leader.as_deref() == Some(&request.member_id);
        let is_writing = group.writing_generation == Some(group.generation);
        if is_leader && !is_writing {
            self.write_assignment(&request.group_id, request.assignments, effects);
        }
        Ok(())
    }

    fn write_assignment(
        &mut self,
        group_id: &str,
        assignments: Vec<(String, Bytes)>,
        effects: &mut Vec<Effect>,
    ) {
        let group = self.groups.get_mut(group_id).expect("checked by the caller");
        group.writing_generation = Some(group.generation);
        let written = Assignment {
            group_id: group_id.to_owned(),
            generation: group.generation,
            assignments: assignments.into_iter().collect(),
        };
        let group = self.groups.get(group_id).expect("still there");
        let record = self.group_record(group, &written.assignments);
        self.append(vec![record], Pending::Assignment(written), effects);
    }

    /// The assignment is committed (or not): members are told only now. One that the leader has given
    /// nothing gets an empty one.
    pub(super) fn assignment_done(
        &mut self,
        now: Monotonic,
        written: Assignment,
        result: Result<(), ErrorCode>,
        effects: &mut Vec<Effect>,
    ) {
        let Assignment { group_id, generation, mut assignments } = written;
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        let is_current = group.state == GroupState::CompletingRebalance
            && group.generation == generation
            && group.writing_generation == Some(generation);
        if !is_current {
            return;
        }
        group.writing_generation = None;
        if let Err(error) = result {
            for member in group.members.values_mut() {
                if let Some(token) = member.syncing.take() {
                    effects.push(reply_sync(token, SyncReply::failed(error)));
                }
            }
            self.rebalance(now, &group_id, false, effects);
            return;
        }
        group.state = GroupState::Stable;
        let names = (group.protocol_type.clone(), group.protocol_name.clone());
        for member in group.members.values_mut() {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
            answer_sync(now, member, &names, effects);
        }
    }
}

fn answer_sync(
    now: Monotonic,
    member: &mut Member,
    names: &(Option<String>, Option<String>),
    effects: &mut Vec<Effect>,
) {
    let Some(token) = member.syncing.take() else { return };
    member.heard(now);
    let reply = SyncReply {
        error: None,
        protocol_type: names.0.clone(),
        protocol_name: names.1.clone(),
        assignment: member.assignment.clone(),
    };
    effects.push(reply_sync(token, reply));
}

fn check_sync(group: &Group, request: &SyncRequest) -> Result<(), ErrorCode> {
    group.check_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differs = |asked: &Option<String>, own: &Option<String>| asked.is_some() && asked != own;
    if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol_name)
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

/// What a client is told when the coordinator's own append failed: something it retries with a
/// coordinator looked up again (as Kafka's `appendGroupMetadataErrorToResponseError`).
pub(super) fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge
        | ErrorCode::RecordListTooLarge
        | ErrorCode::InvalidFetchSize => ErrorCode::UnknownServerError,
        other => other,
    }
}
