//! What Raft holds on this member, for tests that look inside.
//!
//! Promises: reads only what is in memory or in the journal's files; changes nothing.
//! Does not: follow changes; whoever looks looks again.

use super::report::leads;
use super::types::MemberId;
use super::{LogStore, Raft};
use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// How far a member's Raft is, as it says itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RaftFacts {
    pub member: MemberId,
    pub term: u64,
    /// Whether this member leads in `term`, confirmed or not.
    pub is_leader: bool,
    pub last_index: Option<u64>,
    pub committed_index: Option<u64>,
    pub applied_index: Option<u64>,
    pub snapshot_index: Option<u64>,
    pub purged_index: Option<u64>,
    /// By the newest committed membership; of two voter sets, all.
    pub voters: BTreeSet<MemberId>,
    /// The voters are being changed.
    pub is_joint: bool,
    /// It has stopped: its journal, or what is applied, could not be written.
    pub has_failed: bool,
}

/// An entry of a member's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryFacts {
    pub index: u64,
    pub term: u64,
    /// Who led in `term` when it was written.
    pub leader: MemberId,
    /// As it is in the journal.
    pub bytes: Bytes,
}

/// Looks into one member. Cheap to clone.
#[derive(Clone)]
pub struct Inspection(Arc<(Raft, LogStore)>);

impl Inspection {
    pub(super) fn new(raft: Raft, log: LogStore) -> Inspection {
        Inspection(Arc::new((raft, log)))
    }

    pub fn facts(&self) -> RaftFacts {
        let metrics = self.0.0.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.committed_membership_config.membership();
        let newest = metrics.membership_config.membership();
        RaftFacts {
            member: metrics.id,
            term: metrics.current_term,
            is_leader: leads(&metrics),
            last_index: metrics.last_log_index,
            committed_index: metrics.local_committed.map(|id| id.index),
            applied_index: metrics.last_applied.map(|id| id.index),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            purged_index: metrics.purged.map(|id| id.index),
            voters: membership.voter_ids().collect(),
            is_joint: membership != newest || newest.get_joint_config().len() > 1,
            has_failed: metrics.running_state.is_err(),
        }
    }

    /// The indexes of the entries that are in the journal.
    pub fn entry_range(&self) -> Range<u64> {
        self.0.1.range()
    }

    /// The entries of a range that are in the journal.
    pub fn entries(&self, range: Range<u64>) -> io::Result<Vec<EntryFacts>> {
        self.0.1.entries(range)
    }
}
