//! Rebuilding the state from the coordinator's log when its partition gets a new leader.

use super::Coordinator;
use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::records::{GroupRecord, GroupSnapshot};
use std::time::Duration;
use types::Monotonic;

impl Coordinator {
    /// Applies one record of the log, in order.
    pub fn load(&mut self, now: Monotonic, record: GroupRecord) {
        match record {
            GroupRecord::Offset { group_id, partition, value } => {
                self.set_offset(group_id, partition, value);
            }
            GroupRecord::Group { group_id, value: Some(value) } => {
                let group = restore(now, &group_id, value);
                self.groups.insert(group_id, group);
            }
            GroupRecord::Group { group_id, value: None } => {
                self.groups.remove(&group_id);
            }
        }
    }

    /// The same for a record that is in the log and not known to be committed: an offset is told once
    /// it is. A group is what its record says from now on, as if it had been changed here.
    pub fn load_late(&mut self, now: Monotonic, record: GroupRecord) {
        match record {
            GroupRecord::Offset { group_id, partition, value } => {
                self.loaded_late.insert((group_id, partition), value);
            }
            record @ GroupRecord::Group { .. } => self.load(now, record),
        }
    }

    /// Whether offsets were loaded that are not known to be committed.
    pub fn has_loaded_late(&self) -> bool {
        !self.loaded_late.is_empty()
    }

    /// All that was loaded is committed.
    pub fn settle_loaded(&mut self) {
        for ((group_id, partition), value) in std::mem::take(&mut self.loaded_late) {
            self.set_offset(group_id, partition, value);
        }
    }

    /// Everything is applied: members get a whole session from now to be heard of.
    pub fn loaded(&mut self, now: Monotonic) {
        for group in self.groups.values_mut() {
            for member in group.members.values_mut() {
                member.heard(now);
            }
        }
        self.next_sweep = now + self.config.sweep_interval;
    }
}

fn restore(now: Monotonic, group_id: &str, value: GroupSnapshot) -> Group {
    let mut group = Group::new(group_id);
    group.generation = value.generation;
    group.protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
    group.protocol_name = value.protocol_name;
    group.state = if value.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
    for member in value.members {
        let session_timeout = millis(member.session_timeout_ms);
        group.add(Member {
            id: member.member_id,
            group_instance_id: member.group_instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            session_timeout,
            rebalance_timeout: millis(member.rebalance_timeout_ms),
            protocols: vec![member.subscription],
            assignment: member.assignment,
            joining: None,
            syncing: None,
            expires_at: now + session_timeout,
        });
    }
    group.leader = value.leader;
    group
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}
