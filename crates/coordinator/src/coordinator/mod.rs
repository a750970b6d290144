//! The coordinator of the groups that one `__consumer_offsets` partition keeps.
//!
//! Promises:
//! - every parked request is answered exactly once; all of them when the partition is unloaded;
//! - an offset can be fetched only once its record is committed, and until its removal is;
//! - an assignment reaches members only once the group's record is committed;
//! - what rests on a record is answered when that is committed, or refused;
//! - a change that the log has refused is written anew by a round of its group, or not kept: the state
//!   is to be read again;
//! - one call changes one group's state completely: there is no half-done rebalance to come back to;
//! - what only a first JoinGroup has made is bounded in bytes, and goes when nobody comes back.
//!
//! Split by event: `join`, `static_member`, `sync`, `membership` (heartbeat, leave, expiry), `commit`,
//! `removal` (of groups and offsets), `load`; `pending` is what waits for the log, `awaited` who was
//! given an id and has not come back.

mod awaited;
mod commit;
mod join;
mod load;
mod membership;
mod pending;
mod removal;
mod static_member;
mod sync;
#[cfg(test)]
mod tests;

use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::member::Protocol;
use crate::offsets::{GroupOffsets, OffsetResult};
use crate::records::{GroupRecord, GroupSnapshot, MemberSnapshot};
use crate::requests::{GroupDescription, GroupListing, JoinReply, MemberDescription, SyncReply};
use awaited::Awaited;
use pending::{Late, Pending};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{ErrorCode, Monotonic, Timestamp};

/// The shell's name for a parked request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Token(pub u64);

/// Limits and delays, from the broker's configuration.
#[derive(Clone, Debug)]
pub struct CoordinatorConfig {
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    pub session_timeout_min: Duration,
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`
    pub members_max: usize,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.check.interval.ms`
    pub sweep_interval: Duration,
}

/// What the shell must do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a parked request.
    Reply { token: Token, reply: Reply },
    /// Append these records to the coordinator's partition with acks=all and say how it ended by
    /// [`Coordinator::append_done`]. Appends are made in the order given.
    Append { append_id: u64, records: Vec<GroupRecord> },
    /// Tell the operator that a member fell silent, or did not take part in a rebalance, and is out.
    Expired { group_id: String, member_id: String },
    /// Nothing is here any more, and everybody who waited is told: the log has refused a change that
    /// was made here already. The partition is to be loaded again.
    Reload,
}

/// The answer to a parked request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Commit(Vec<OffsetResult>),
    /// LeaveGroup: one result each, in the order of the request.
    Leave(Vec<Option<ErrorCode>>),
    /// DeleteGroups, for one group.
    Deleted,
    /// OffsetDelete.
    OffsetsDeleted(Vec<OffsetResult>),
    /// The request as a whole is refused.
    Refused(ErrorCode),
}

/// All groups of one partition.
pub struct Coordinator {
    config: CoordinatorConfig,
    groups: BTreeMap<String, Group>,
    offsets: BTreeMap<String, GroupOffsets>,
    pending: BTreeMap<u64, Pending>,
    next_append_id: u64,
    /// Offsets that were loaded and are not known to be committed, older than those of `late`.
    loaded_late: Late,
    /// Offsets in the log whose commit was not waited for to the end.
    late: Late,
    /// Ids given by MEMBER_ID_REQUIRED, in order.
    awaited: Awaited,
    /// When groups that hold nothing are looked for.
    next_sweep: Monotonic,
    /// How many have become empty since the last time.
    emptied: usize,
    /// Wall time for record timestamps, as last given by the shell.
    wall: Timestamp,
}

impl Coordinator {
    pub fn new(config: CoordinatorConfig) -> Coordinator {
        Coordinator {
            config,
            groups: BTreeMap::new(),
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_append_id: 0,
            loaded_late: Late::default(),
            late: Late::default(),
            awaited: Awaited::default(),
            next_sweep: Monotonic::NEVER,
            emptied: 0,
            wall: Timestamp(0),
        }
    }

    /// The wall clock, for the timestamps inside records. Nothing is decided by it.
    pub fn set_wall(&mut self, wall: Timestamp) {
        self.wall = wall;
    }

    /// Offsets that are committed; `None` if the group has none.
    pub fn offsets(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.offsets.get(group_id)
    }

    pub fn group(&self, group_id: &str) -> Option<&Group> {
        self.groups.get(group_id)
    }

    /// Every group, those with offsets only ("simple" groups) included.
    pub fn list(&self) -> Vec<GroupListing> {
        let simple = self.offsets.keys().filter(|id| !self.groups.contains_key(*id));
        let simple = simple.map(|id| GroupListing {
            group_id: id.clone(),
            protocol_type: String::new(),
            state: GroupState::Empty,
        });
        let groups = self.groups.values().map(|group| GroupListing {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state,
        });
        groups.chain(simple).collect()
    }

    /// One group; an unknown one is described as dead, as Kafka does up to version 5. While members
    /// gather, they have their old assignments, and no metadata.
    pub fn describe(&self, group_id: &str) -> GroupDescription {
        let Some(group) = self.groups.get(group_id) else {
            let has_offsets = self.offsets.contains_key(group_id);
            return GroupDescription {
                group_id: group_id.to_owned(),
                state: if has_offsets { GroupState::Empty } else { GroupState::Dead },
                protocol_type: String::new(),
                protocol_data: String::new(),
                members: Vec::new(),
            };
        };
        let is_stable = group.state == GroupState::Stable;
        let protocol = group.protocol_name.clone().filter(|_| is_stable).unwrap_or_default();
        let members = group.members.values().map(|m| MemberDescription {
            member_id: m.id.clone(),
            group_instance_id: m.group_instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            metadata: if is_stable { m.metadata(&protocol) } else { bytes::Bytes::new() },
            assignment: m.assignment.clone(),
        });
        GroupDescription {
            group_id: group.id.clone(),
            state: group.state,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol_data: protocol,
        }
    }

    /// The earliest time at which [`Coordinator::tick`] has something to do.
    pub fn next_deadline(&self) -> Monotonic {
        self.groups.values().map(Group::next_deadline).fold(self.next_sweep, Monotonic::min)
    }

    /// Leadership of the partition is gone: every parked request is told, all state is dropped.
    pub fn unload(&mut self, effects: &mut Vec<Effect>) {
        let error = ErrorCode::NotCoordinator;
        for group in std::mem::take(&mut self.groups).into_values() {
            for member in group.members.into_values() {
                reply_join_error(&member, error, effects);
                if let Some(token) = member.syncing {
                    effects.push(reply_sync(token, SyncReply::failed(error)));
                }
            }
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            effects.extend(pending.into_asked().map(|asked| asked.answer(Err(error))));
        }
        self.offsets.clear();
        self.loaded_late.clear();
        self.late.clear();
        self.awaited = Awaited::default();
        self.next_sweep = Monotonic::NEVER;
    }

    /// What is here may not be what the log says: everybody who waits is told to ask again, and the
    /// partition is to be loaded anew.
    pub fn give_up(&mut self, effects: &mut Vec<Effect>) {
        self.unload(effects);
        effects.push(Effect::Reload);
    }

    /// The group's state as a record.
    fn group_record(
        &self,
        group: &Group,
        assignments: &BTreeMap<String, bytes::Bytes>,
    ) -> GroupRecord {
        let protocol = group.protocol_name.clone().unwrap_or_default();
        let members = group.members.values().map(|m| MemberSnapshot {
            member_id: m.id.clone(),
            group_instance_id: m.group_instance_id.clone(),
            client_id: m.client_id.clone(),
            client_host: m.client_host.clone(),
            rebalance_timeout_ms: m.rebalance_timeout.as_millis().min(i32::MAX as u128) as i32,
            session_timeout_ms: m.session_timeout.as_millis().min(i32::MAX as u128) as i32,
            subscription: Protocol { name: protocol.clone(), metadata: m.metadata(&protocol) },
            assignment: assignments.get(&m.id).cloned().unwrap_or_default(),
        });
        GroupRecord::Group {
            group_id: group.id.clone(),
            value: Some(GroupSnapshot {
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                generation: group.generation,
                protocol_name: group.protocol_name.clone(),
                leader: group.leader.clone(),
                state_timestamp: self.wall,
                members: members.collect(),
            }),
        }
    }
}

fn reply_join(token: Token, reply: JoinReply) -> Effect {
    Effect::Reply { token, reply: Reply::Join(reply) }
}

fn reply_sync(token: Token, reply: SyncReply) -> Effect {
    Effect::Reply { token, reply: Reply::Sync(reply) }
}

fn reply_join_error(member: &Member, error: ErrorCode, effects: &mut Vec<Effect>) {
    if let Some(token) = member.joining {
        effects.push(reply_join(token, JoinReply::failed(error, &member.id)));
    }
}
