//! I13: what waits is bounded: tasks of a program, open segment files, entries of Raft's log.
//!
//! What one connection may hold (requests and bytes) has its own tests beside the listener; here it
//! shows as tasks.

use super::Invariant;
use crate::counters::Counters;
use crate::look::{Look, NodeLook};
use crate::plan::Plan;

/// Tasks of one program: connections, each with a few, and those of the node.
const TASKS_MAX: usize = 2_000;
/// Files that are written and not yet synced stay open beyond the bound: all segments, each with its
/// indexes, that were filled since the last sync, which may be seconds ago; and there are small ones.
const FILES_BESIDE_MAX: u64 = 20_000;
/// Entries that Raft keeps behind a snapshot, as the controller has it.
const ENTRIES_KEPT: u64 = 2_000;

pub struct QueuesBounded {
    files_max: u64,
    entries_max: u64,
}

impl QueuesBounded {
    pub fn new(plan: &Plan) -> QueuesBounded {
        let snapshots = u64::from(plan.snapshot_entries);
        QueuesBounded {
            files_max: u64::from(plan.open_files_max) + FILES_BESIDE_MAX,
            // A snapshot may be under way, or its follower: two and the one that is filled.
            entries_max: ENTRIES_KEPT + 4 * snapshots.max(256),
        }
    }

    fn problem(&self, node: &NodeLook) -> Option<String> {
        let entries = node.raft.as_ref().map_or(0..0, controller::Inspection::entry_range);
        let entries = entries.end - entries.start;
        let held = [
            (node.tasks as u64, TASKS_MAX as u64, "tasks"),
            (node.open_files, self.files_max, "open files"),
            (entries, self.entries_max, "entries of the Raft log"),
        ];
        let over = held.into_iter().find(|(count, max, _)| count > max);
        over.map(|(count, max, what)| format!("{count} {what}, above {max} (I13)"))
    }
}

impl Invariant for QueuesBounded {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            counters.at_least("tasks of one program at most", node.tasks as u64);
            counters.at_least("files open on one disk at most", node.open_files);
            if let Some(text) = self.problem(node) {
                return Err(format!("{}: {text}", node.name()));
            }
        }
        Ok(())
    }
}
