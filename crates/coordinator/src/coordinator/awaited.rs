//! Members that were given an id by MEMBER_ID_REQUIRED and have not come back with it.
//!
//! An id costs its asker one request, which may name any group, and is waited for as long as the
//! asker says. So their bytes are bounded: the oldest is forgotten for the newest. An honest member
//! comes back at once; one that was forgotten is told that it is unknown, and begins anew.

use super::{Coordinator, Effect};
use crate::group::Group;
use std::collections::VecDeque;
use types::Monotonic;

/// Most bytes that ids which are waited for may take, in one coordinator.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// What an id takes besides its texts, with a group that only it has made.
pub(super) const OVERHEAD_BYTES: usize = 512;

/// Ids in the order in which they were given. Some have come back meanwhile.
#[derive(Default)]
pub(super) struct Awaited {
    /// Group and member.
    ids: VecDeque<(String, String)>,
    bytes: usize,
}

impl Awaited {
    fn push(&mut self, group_id: &str, member_id: &str) {
        self.bytes += cost(group_id, member_id);
        self.ids.push_back((group_id.to_owned(), member_id.to_owned()));
    }

    fn pop(&mut self) -> Option<(String, String)> {
        let (group_id, member_id) = self.ids.pop_front()?;
        self.bytes -= cost(&group_id, &member_id);
        Some((group_id, member_id))
    }
}

/// A group's id is kept thrice, here, as its key and in it; a member's twice.
fn cost(group_id: &str, member_id: &str) -> usize {
    3 * group_id.len() + 2 * member_id.len() + OVERHEAD_BYTES
}

impl Coordinator {
    /// Waits for a member until `until`.
    pub(super) fn await_member(
        &mut self,
        now: Monotonic,
        until: Monotonic,
        (group_id, member_id): (&str, &str),
        effects: &mut Vec<Effect>,
    ) {
        let group = self.groups.get_mut(group_id).expect("checked by the caller");
        group.pending_members.insert(member_id.to_owned(), until);
        self.awaited.push(group_id, member_id);
        while let Some((group_id, member_id)) = self.awaited.ids.front() {
            let is_pending = |group: &Group| group.pending_members.contains_key(member_id);
            let is_awaited = self.groups.get(group_id).is_some_and(is_pending);
            if is_awaited && self.awaited.bytes <= BYTES_MAX {
                return;
            }
            let Some((group_id, member_id)) = self.awaited.pop() else { return };
            if is_awaited {
                self.forget_awaited(now, &group_id, &member_id, effects);
            }
        }
    }

    /// Waits for a member no longer; false if it was not waited for.
    pub(super) fn forget_awaited(
        &mut self,
        now: Monotonic,
        group_id: &str,
        member_id: &str,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(group) = self.groups.get_mut(group_id) else { return false };
        if group.pending_members.remove(member_id).is_none() {
            return false;
        }
        self.complete_if_all_joined(now, group_id, effects);
        self.forget_unused(group_id);
        true
    }

    /// A group that nobody has ever been in leaves no trace.
    pub(super) fn forget_unused(&mut self, group_id: &str) {
        let is_unused = |group: &Group| group.generation == 0 && group.is_idle();
        if self.groups.get(group_id).is_some_and(is_unused) {
            self.groups.remove(group_id);
        }
    }
}
