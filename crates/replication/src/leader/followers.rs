//! What the leader knows of each follower.

use super::pace::Pace;
use std::time::Duration;
use types::{BrokerEpoch, EpochOffset, LeaderEpoch, Monotonic, NodeId, Offset, PartitionEpoch};

/// A follower's report of where it stands, as it came over its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerPosition {
    pub broker: NodeId,
    /// From the stream's hello.
    pub broker_epoch: BrokerEpoch,
    /// The leader epoch it follows.
    pub leader_epoch: LeaderEpoch,
    /// Its log end: everything below is appended there (for synced topics: synced).
    pub offset: Offset,
    /// Epoch of its last record; -1 for an empty log.
    pub last_epoch: LeaderEpoch,
    pub log_start_offset: Offset,
    /// The partition epoch that its metadata image has: what it says is not older than that.
    pub partition_epoch: PartitionEpoch,
    /// It asks to be sent from here, and does not merely report progress.
    pub restart: bool,
    /// What this leader's epoch cache answers for `last_epoch` (its largest epoch at or below it,
    /// and where that ends); `None` if it has no answer. The shell looks it up.
    pub epoch_end: Option<EpochOffset>,
}

/// A follower as the leader sees it, for metrics, admin calls and replica selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerView {
    pub broker: NodeId,
    /// -1 until it was heard in this leader epoch.
    pub end_offset: Offset,
    /// -1 until it was heard in this leader epoch.
    pub log_start_offset: Offset,
    pub in_isr: bool,
}

/// A follower's progress in this leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub broker: NodeId,
    /// -1 until heard; a real offset says that it was heard in this leader epoch.
    pub end_offset: Offset,
    pub log_start_offset: Offset,
    /// The registration that it was heard under.
    pub broker_epoch: BrokerEpoch,
    /// The latest time at which it is known to have held all that the leader held then.
    caught_up: Option<Monotonic>,
    /// What the leader held at a later time; reaching it moves `caught_up` there. Kept until it is
    /// reached: Kafka renews its mark at every fetch, but reports on a stream come faster than
    /// their round trip, and a mark renewed by each would run ahead of the follower for ever. The
    /// lag measured so is at most twice the real one.
    mark: Option<(Offset, Monotonic)>,
    /// What it says counts only if it knew of this partition epoch. An older word may be of a log
    /// that is gone, and may have been under way for as long as it likes.
    counts_from: PartitionEpoch,
    pub pace: Pace,
}

impl Progress {
    /// An ISR member counts as caught up from the start, so that it has the time to report.
    pub fn new(broker: NodeId, in_isr: bool, now: Monotonic) -> Progress {
        Progress {
            broker,
            end_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            broker_epoch: BrokerEpoch::NONE,
            caught_up: in_isr.then_some(now),
            mark: None,
            counts_from: PartitionEpoch(0),
            pace: Pace::new(now),
        }
    }

    pub fn is_heard(&self) -> bool {
        self.end_offset >= Offset::ZERO
    }

    /// The broker was registered anew: whatever its log held is no longer known.
    pub fn forget_log(&mut self) {
        self.end_offset = Offset::NONE;
        self.log_start_offset = Offset::NONE;
        self.mark = None;
        self.pace.forget();
    }

    /// The controller changed the partition, and left it out of the ISR: what it said before it
    /// knew of that says nothing any more.
    pub fn expel(&mut self, since: PartitionEpoch) {
        self.forget_log();
        self.caught_up = None;
        self.counts_from = since;
    }

    pub fn counts(&self, position: &FollowerPosition) -> bool {
        position.partition_epoch >= self.counts_from
    }

    pub fn report(&mut self, now: Monotonic, position: &FollowerPosition, leader_end: Offset) {
        if !self.is_heard() {
            self.pace.begin_anew(now);
        }
        let has_moved = self.is_heard() && position.offset > self.end_offset;
        self.pace.reported(now, has_moved, position.offset >= leader_end);
        self.end_offset = position.offset;
        self.log_start_offset = position.log_start_offset;
        self.broker_epoch = position.broker_epoch;
        if position.offset >= leader_end {
            self.caught_up_at(now);
            self.mark = None;
        } else if let Some((_, at)) = self.mark.filter(|(end, _)| position.offset >= *end) {
            self.caught_up_at(at);
            self.mark = Some((leader_end, now));
        } else if self.mark.is_none() {
            self.mark = Some((leader_end, now));
        }
    }

    /// The leader's log is about to grow: until now this follower may have held all of it.
    pub fn leader_grows(&mut self, now: Monotonic, old_end: Offset, new_end: Offset) {
        self.pace.leader_grows(now);
        if !self.is_heard() {
            return;
        }
        if self.end_offset >= old_end {
            self.caught_up_at(now);
        }
        if self.mark.is_none() {
            self.mark = Some((new_end, now));
        }
    }

    pub fn is_caught_up(&self, now: Monotonic, leader_end: Offset, lag_max: Duration) -> bool {
        self.end_offset == leader_end || self.caught_up.is_some_and(|at| now.since(at) <= lag_max)
    }

    fn caught_up_at(&mut self, at: Monotonic) {
        self.caught_up = self.caught_up.max(Some(at));
    }
}
