//! Who is still there: heartbeats, leaving, and members that fall silent.

use super::pending::{Asked, Pending};
use super::{Coordinator, Effect, Reply, Token, reply_join_error, reply_sync};
use crate::group::GroupState;
use crate::requests::{LeaveItem, LeaveRequest, SyncReply};
use types::{ErrorCode, Monotonic};

impl Coordinator {
    /// A member says that it is alive. While members gather it is told to join again.
    pub fn heartbeat(
        &mut self,
        now: Monotonic,
        group_id: &str,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        group.check_member(member_id, instance)?;
        if generation != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let state = group.state;
        if let Some(member) = group.members.get_mut(member_id) {
            member.heard(now);
        }
        match state {
            GroupState::Dead => Err(ErrorCode::CoordinatorNotAvailable),
            GroupState::Empty => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Members leave. The reply comes by an effect: at once, or, where the group is empty now, once
    /// that is committed.
    pub fn leave(
        &mut self,
        now: Monotonic,
        token: Token,
        request: &LeaveRequest,
        effects: &mut Vec<Effect>,
    ) {
        let next_append_id = self.next_append_id;
        let leave = |item: &LeaveItem| self.leave_one(now, &request.group_id, item, effects).err();
        let asked =
            Asked { token, reply: Reply::Leave(request.members.iter().map(leave).collect()) };
        match self.pending.range_mut(next_append_id..).next_back() {
            Some((_, Pending::Emptied { asked: waiting })) => *waiting = Some(asked),
            Some(_) | None => effects.push(asked.answer(Ok(()))),
        }
    }

    fn leave_one(
        &mut self,
        now: Monotonic,
        group_id: &str,
        item: &LeaveItem,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let member_id = match &item.group_instance_id {
            Some(instance) => {
                let known = group.static_members.get(instance).ok_or(ErrorCode::UnknownMemberId)?;
                if !item.member_id.is_empty() && &item.member_id != known {
                    return Err(ErrorCode::FencedInstanceId);
                }
                known.clone()
            }
            None => item.member_id.clone(),
        };
        if self.forget_awaited(now, group_id, &member_id, effects) {
            return Ok(());
        }
        self.drop_member(now, group_id, &member_id, effects)
    }

    fn drop_member(
        &mut self,
        now: Monotonic,
        group_id: &str,
        member_id: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let group = self.groups.get_mut(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let member = group.remove(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        reply_join_error(&member, ErrorCode::UnknownMemberId, effects);
        if let Some(token) = member.syncing {
            effects.push(reply_sync(token, SyncReply::failed(ErrorCode::UnknownMemberId)));
        }
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.rebalance(now, group_id, false, effects);
            }
            GroupState::PreparingRebalance => self.complete_if_all_joined(now, group_id, effects),
            GroupState::Empty | GroupState::Dead => {}
        }
        Ok(())
    }

    /// Time has passed: ends phases that are over, drops members that fell silent, and now and then
    /// groups that hold nothing.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let due: Vec<String> = self
            .groups
            .values()
            .filter(|group| group.next_deadline() <= now)
            .map(|group| group.id.clone())
            .collect();
        for group_id in due {
            self.tick_group(now, &group_id, effects);
        }
        if self.next_sweep <= now {
            self.sweep(now, effects);
        }
    }

    fn tick_group(&mut self, now: Monotonic, group_id: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        let pending = group.pending_members.len();
        group.pending_members.retain(|_, expiry| *expiry > now);
        let has_pending_gone = group.pending_members.len() < pending;
        let is_silent = |m: &&crate::Member| !m.is_parked() && m.expires_at <= now;
        let mut gone: Vec<String> =
            group.members.values().filter(is_silent).map(|m| m.id.clone()).collect();
        if group.sync_deadline.is_some_and(|deadline| deadline <= now) {
            group.sync_deadline = None;
            if group.state == GroupState::CompletingRebalance {
                let unsynced = group.members.values().filter(|m| m.syncing.is_none());
                gone.extend(unsynced.map(|m| m.id.clone()));
            }
        }
        if group.join_deadline.is_some_and(|deadline| deadline <= now) {
            group.join_deadline = None;
            self.join_deadline_passed(now, group_id, effects);
        } else if has_pending_gone {
            self.complete_if_all_joined(now, group_id, effects);
        }
        for member_id in gone {
            // A member listed twice, or dropped by the rebalance of another, is gone already.
            if self.drop_member(now, group_id, &member_id, effects).is_ok() {
                effects.push(Effect::Expired { group_id: group_id.to_owned(), member_id });
            }
        }
        self.forget_unused(group_id);
    }
}
