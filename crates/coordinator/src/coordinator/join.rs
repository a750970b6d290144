//! JoinGroup and the phase in which members gather.

use super::{Coordinator, Effect, Pending, Token, reply_join, reply_join_error, reply_sync};
use crate::group::{Group, GroupState, InitialDelay};
use crate::member::Member;
use crate::requests::{JoinReply, JoinRequest, SyncReply};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use types::{ErrorCode, Monotonic};

/// Most assignors that a member may name. Clients name one to four. Each is looked for among those of
/// every other member while nobody else is served: a million of them would take hours.
pub(super) const PROTOCOLS_MAX: usize = 64;

impl Coordinator {
    /// A member joins, or joins again. The reply comes by an effect, at once or when the rebalance
    /// is complete.
    pub fn join(&mut self, now: Monotonic, request: JoinRequest, effects: &mut Vec<Effect>) {
        let token = request.token;
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        if let Err(error) = self.try_join(now, request, effects) {
            effects.push(reply_join(token, JoinReply::failed(error, &member_id)));
            self.forget_unused(&group_id);
        }
    }

    fn try_join(
        &mut self,
        now: Monotonic,
        request: JoinRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let bounds = self.config.session_timeout_min..=self.config.session_timeout_max;
        if !bounds.contains(&request.session_timeout) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if request.protocols.len() > PROTOCOLS_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        if !self.groups.contains_key(&request.group_id) {
            if !request.member_id.is_empty() {
                return Err(ErrorCode::UnknownMemberId);
            }
            let group = Group::new(&request.group_id);
            self.groups.insert(request.group_id.clone(), group);
        }
        let members_max = self.config.members_max;
        let group = self.groups.get(&request.group_id).expect("just made");
        let is_new = !group.members.contains_key(&request.member_id);
        let takes_over = request
            .group_instance_id
            .as_ref()
            .is_some_and(|instance| group.static_members.contains_key(instance));
        if is_new && !takes_over && group.members.len() >= members_max {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if !group.accepts(&request.protocol_type, &request.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if request.member_id.is_empty() {
            self.join_unknown(now, request, effects)
        } else {
            self.join_known(now, request, effects)
        }
    }

    /// A first request: the member gets an id, and from version 4 on must come back with it.
    fn join_unknown(
        &mut self,
        now: Monotonic,
        request: JoinRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let prefix = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        let member_id = format!("{prefix}-{}", request.new_member_suffix);
        let group = self.groups.get_mut(&request.group_id).expect("checked by the caller");
        if let Some(instance) = &request.group_instance_id {
            if group.static_members.contains_key(instance) {
                self.replace_static(now, member_id, request, effects);
                return Ok(());
            }
        } else if request.require_known_member_id {
            let reply = JoinReply::failed(ErrorCode::MemberIdRequired, &member_id);
            effects.push(reply_join(request.token, reply));
            let until = now + request.session_timeout;
            self.await_member(now, until, (&request.group_id, &member_id), effects);
            return Ok(());
        }
        self.add_and_rebalance(now, member_id, request, effects);
        Ok(())
    }

    fn join_known(
        &mut self,
        now: Monotonic,
        request: JoinRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(&request.group_id).expect("checked by the caller");
        let id = request.member_id.clone();
        if group.pending_members.contains_key(&id) {
            if request.group_instance_id.is_some() {
                return Err(ErrorCode::UnknownMemberId);
            }
            self.add_and_rebalance(now, id, request, effects);
            return Ok(());
        }
        group.check_member(&id, request.group_instance_id.as_deref())?;
        let member = group.members.get(&id).ok_or(ErrorCode::UnknownMemberId)?;
        let is_same = member.protocols == request.protocols;
        let is_leader = group.leader.as_deref() == Some(&id);
        match group.state {
            GroupState::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            GroupState::Empty => return Err(ErrorCode::UnknownMemberId),
            // The reply of the round was lost: give it again.
            GroupState::CompletingRebalance if is_same => {
                let reply = join_reply(group, &id);
                effects.push(reply_join(request.token, reply));
                self.touch(now, &request.group_id, &id);
                return Ok(());
            }
            // A follower that joins again with the same subscription changes nothing; a leader
            // does so because the partitions have changed.
            GroupState::Stable if is_same && !is_leader => {
                let reply = join_reply(group, &id);
                effects.push(reply_join(request.token, reply));
                self.touch(now, &request.group_id, &id);
                return Ok(());
            }
            GroupState::PreparingRebalance
            | GroupState::CompletingRebalance
            | GroupState::Stable => {}
        }
        self.update_member(&id, &request, effects);
        let reason_member_added = false;
        self.rebalance(now, &request.group_id, reason_member_added, effects);
        Ok(())
    }

    fn touch(&mut self, now: Monotonic, group_id: &str, member_id: &str) {
        let member = self.groups.get_mut(group_id).and_then(|g| g.members.get_mut(member_id));
        if let Some(member) = member {
            member.heard(now);
        }
    }

    fn update_member(&mut self, id: &str, request: &JoinRequest, effects: &mut Vec<Effect>) {
        let group = self.groups.get_mut(&request.group_id).expect("checked by the caller");
        let member = group.members.get_mut(id).expect("checked by the caller");
        // Only the newest of a member's requests is answered with the result.
        reply_join_error(member, ErrorCode::RebalanceInProgress, effects);
        member.joining = Some(request.token);
        member.protocols.clone_from(&request.protocols);
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        member.client_id.clone_from(&request.client_id);
        member.client_host.clone_from(&request.client_host);
    }

    fn add_and_rebalance(
        &mut self,
        now: Monotonic,
        member_id: String,
        request: JoinRequest,
        effects: &mut Vec<Effect>,
    ) {
        let group = self.groups.get_mut(&request.group_id).expect("checked by the caller");
        if group.members.is_empty() {
            group.protocol_type = Some(request.protocol_type.clone());
        }
        let group_id = request.group_id.clone();
        group.add(new_member(now, member_id, request));
        self.rebalance(now, &group_id, true, effects);
    }

    /// Starts a new round, or goes on with the one that gathers already.
    pub(super) fn rebalance(
        &mut self,
        now: Monotonic,
        group_id: &str,
        member_added: bool,
        effects: &mut Vec<Effect>,
    ) {
        let initial = self.config.initial_rebalance_delay;
        let Some(group) = self.groups.get_mut(group_id) else { return };
        match group.state {
            GroupState::Dead => return,
            GroupState::PreparingRebalance => {
                if let Some(delay) = &mut group.initial_delay {
                    delay.member_added |= member_added;
                    return;
                }
            }
            GroupState::Empty => {
                let remaining = group.rebalance_timeout().saturating_sub(initial);
                let delay = InitialDelay { delay: initial, remaining, member_added: false };
                group.state = GroupState::PreparingRebalance;
                group.initial_delay = Some(delay);
                group.join_deadline = Some(now + initial);
                if initial == Duration::ZERO {
                    group.initial_delay = None;
                    self.complete_if_all_joined(now, group_id, effects);
                }
                return;
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                cancel_sync(group, effects);
                group.state = GroupState::PreparingRebalance;
                group.join_deadline = Some(now + group.rebalance_timeout());
            }
        }
        self.complete_if_all_joined(now, group_id, effects);
    }

    pub(super) fn complete_if_all_joined(
        &mut self,
        now: Monotonic,
        group_id: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get(group_id) else { return };
        let is_gathering = group.state == GroupState::PreparingRebalance;
        if is_gathering && group.initial_delay.is_none() && group.has_all_joined() {
            self.complete_join(now, group_id, effects);
        }
    }

    /// The join phase's time is over: the first rebalance may wait once more while members come.
    pub(super) fn join_deadline_passed(
        &mut self,
        now: Monotonic,
        group_id: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        if let Some(delay) = &mut group.initial_delay {
            if delay.member_added && delay.remaining > Duration::ZERO {
                delay.member_added = false;
                let next = delay.delay.min(delay.remaining);
                delay.remaining = delay.remaining.saturating_sub(next);
                group.join_deadline = Some(now + next);
                return;
            }
            group.initial_delay = None;
        }
        self.complete_join(now, group_id, effects);
    }

    /// Ends the join phase: members that did not come are dropped (static ones stay), the
    /// generation rises, and everyone who joined is told. Old assignments stay until there are new
    /// ones: whoever describes the group sees them.
    fn complete_join(&mut self, now: Monotonic, group_id: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let gone: Vec<String> = group
            .members
            .values()
            .filter(|m| m.joining.is_none() && !m.is_static())
            .map(|m| m.id.clone())
            .collect();
        for member_id in gone {
            group.remove(&member_id);
            effects.push(Effect::Expired { group_id: group_id.to_owned(), member_id });
        }
        if !group.members.is_empty() && !group.elect_joined_leader() {
            // Only static members that are away: wait for them once more.
            group.join_deadline = Some(now + group.rebalance_timeout());
            return;
        }
        group.join_deadline = None;
        group.initial_delay = None;
        group.generation = group.generation.checked_add(1).unwrap_or(1);
        if group.members.is_empty() {
            group.state = GroupState::Empty;
            group.protocol_name = None;
            group.leader = None;
            let group = self.groups.get(group_id).expect("still there");
            let record = self.group_record(group, &BTreeMap::new());
            self.append(vec![record], Pending::Emptied { asked: None }, effects);
            self.note_emptied(now);
            return;
        }
        group.protocol_name = group.choose_protocol();
        group.state = GroupState::CompletingRebalance;
        group.sync_deadline = Some(now + group.rebalance_timeout());
        let joined: Vec<(String, Token)> =
            group.members.values().filter_map(|m| Some((m.id.clone(), m.joining?))).collect();
        for (id, token) in joined {
            let reply = join_reply(group, &id);
            effects.push(reply_join(token, reply));
            if let Some(member) = group.members.get_mut(&id) {
                member.joining = None;
                member.heard(now);
            }
        }
    }
}

pub(super) fn new_member(now: Monotonic, id: String, request: JoinRequest) -> Member {
    Member {
        id,
        group_instance_id: request.group_instance_id,
        client_id: request.client_id,
        client_host: request.client_host,
        session_timeout: request.session_timeout,
        rebalance_timeout: request.rebalance_timeout,
        protocols: request.protocols,
        assignment: Bytes::new(),
        joining: Some(request.token),
        syncing: None,
        expires_at: now + request.session_timeout,
    }
}

/// The present generation, as one member is told of it.
pub(super) fn join_reply(group: &Group, member_id: &str) -> JoinReply {
    let leader = group.leader.clone().unwrap_or_default();
    let protocol = group.protocol_name.clone().unwrap_or_default();
    let members = if leader == member_id {
        let row = |m: &Member| (m.id.clone(), m.group_instance_id.clone(), m.metadata(&protocol));
        group.members.values().map(row).collect()
    } else {
        Vec::new()
    };
    JoinReply {
        error: None,
        generation: group.generation,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol_name.clone(),
        leader,
        skip_assignment: false,
        member_id: member_id.to_owned(),
        members,
    }
}

/// Members that wait for an assignment of the old generation must join again. One that never held
/// has no old assignments either.
fn cancel_sync(group: &mut Group, effects: &mut Vec<Effect>) {
    group.sync_deadline = None;
    group.writing_generation = None;
    if group.state == GroupState::CompletingRebalance {
        group.clear_assignments();
    }
    for member in group.members.values_mut() {
        if let Some(token) = member.syncing.take() {
            let reply = SyncReply::failed(ErrorCode::RebalanceInProgress);
            effects.push(reply_sync(token, reply));
        }
    }
}
