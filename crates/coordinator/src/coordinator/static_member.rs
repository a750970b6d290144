//! A static member that starts again takes the place of its former self (KIP-345).

use super::join::{join_reply, new_member};
use super::pending::{Asked, Pending};
use super::{Coordinator, Effect, Reply, reply_join_error, reply_sync};
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::requests::{JoinReply, JoinRequest, SyncReply};
use bytes::Bytes;
use std::collections::BTreeMap;
use types::{ErrorCode, Monotonic};

impl Coordinator {
    /// In a stable group whose protocol stays the same nobody else notices, whatever else the member's
    /// metadata says (assignors that are sticky put what they own there). The member is answered when
    /// its new id is committed: before that, another coordinator would know it by the old one.
    pub(super) fn replace_static(
        &mut self,
        now: Monotonic,
        member_id: String,
        request: JoinRequest,
        effects: &mut Vec<Effect>,
    ) {
        let (token, group_id) = (request.token, request.group_id.clone());
        let skips_assignment = request.skips_assignment;
        let group = self.groups.get_mut(&group_id).expect("checked by the caller");
        let former_leader = group.leader.clone().unwrap_or_default();
        take_place(now, group, member_id.clone(), request, effects);
        let keeps_protocol = group.protocol_name == group.choose_protocol();
        if group.state != GroupState::Stable || !keeps_protocol {
            self.rebalance(now, &group_id, true, effects);
            return;
        }
        let member = group.members.get_mut(&member_id).expect("took its place just now");
        member.joining = None;
        let reply = returned_reply(group, &member_id, former_leader, skips_assignment);
        let assignments = assignments_of(group);
        let group = self.groups.get(&group_id).expect("still there");
        let record = self.group_record(group, &assignments);
        let asked = Some(Asked { token, reply: Reply::Join(reply) });
        self.append(vec![record], Pending::Replaced { asked, group_id }, effects);
    }

    /// The log has refused a replacement. What has become of the group since is written at its end;
    /// only a stable one has nothing more to write.
    pub(super) fn replacement_lost(
        &mut self,
        now: Monotonic,
        group_id: &str,
        effects: &mut Vec<Effect>,
    ) {
        let is_stable = |group: &Group| group.state == GroupState::Stable;
        if self.groups.get(group_id).is_some_and(is_stable) {
            self.rebalance(now, group_id, false, effects);
        }
    }
}

/// Puts a new member, which joins, in the place of the one with its instance id.
fn take_place(
    now: Monotonic,
    group: &mut Group,
    member_id: String,
    request: JoinRequest,
    effects: &mut Vec<Effect>,
) {
    let instance = request.group_instance_id.as_ref().expect("a static member");
    let old_id = group.static_members.get(instance).cloned().expect("checked by the caller");
    let was_leader = group.leader.as_deref() == Some(&old_id);
    let old = group.remove(&old_id).expect("static members are members");
    reply_join_error(&old, ErrorCode::FencedInstanceId, effects);
    if let Some(token) = old.syncing {
        effects.push(reply_sync(token, SyncReply::failed(ErrorCode::FencedInstanceId)));
    }
    let member = Member { assignment: old.assignment, ..new_member(now, member_id, request) };
    if was_leader {
        group.leader = Some(member.id.clone());
    }
    group.add(member);
}

/// The present generation for a member that is back. A leader is to keep the assignment: a client that
/// understands that is told so, with the members whose topics it has to watch (KIP-814). Another one
/// is told its former self as the leader, since it would bring a new assignment otherwise, which
/// nobody would take.
fn returned_reply(
    group: &Group,
    member_id: &str,
    former_leader: String,
    skips_assignment: bool,
) -> JoinReply {
    let reply = join_reply(group, member_id);
    match skips_assignment {
        true => JoinReply { skip_assignment: reply.leader == member_id, ..reply },
        false => JoinReply { leader: former_leader, members: Vec::new(), ..reply },
    }
}

fn assignments_of(group: &Group) -> BTreeMap<String, Bytes> {
    group.members.values().map(|m| (m.id.clone(), m.assignment.clone())).collect()
}
