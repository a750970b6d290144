//! What clients ask of a partition besides its records: offsets, epochs, its start.

use super::partition::{Partition, Role};
use log::TimestampSearch;
use replication::check_leader_epoch;
use types::{EpochOffset, ErrorCode, LeaderEpoch, Offset, Timestamp};

/// A place in the log, as ListOffsets answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub leader_epoch: LeaderEpoch,
}

impl FoundOffset {
    /// "There is none."
    pub const NONE: FoundOffset = FoundOffset {
        offset: Offset::NONE,
        timestamp: Timestamp::NONE,
        leader_epoch: LeaderEpoch::NONE,
    };
}

impl Partition {
    /// The offsets between which a client may read here: start, and the high watermark or the last
    /// stable offset. Only the leader answers.
    fn bounds(
        &self,
        current: Option<LeaderEpoch>,
        read_committed: bool,
    ) -> Result<(Offset, Offset, bool), ErrorCode> {
        let state = self.lock();
        let Role::Leading(leader) = &state.role else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        check_leader_epoch(current, leader.leader_epoch())
            .map_err(|refusal| refusal.code().unwrap_or(ErrorCode::NotLeaderOrFollower))?;
        let log = self.log.lock();
        let high_watermark = leader.high_watermark();
        let end = match read_committed {
            true => log.first_unstable_offset().min(high_watermark),
            false => high_watermark,
        };
        Ok((log.start_offset(), end, leader.is_latest_offset_known()))
    }

    /// The end of what can be read. `OffsetNotAvailable` right after an election, while the answer
    /// could seem to go back (KIP-207).
    pub fn latest_offset(
        &self,
        current: Option<LeaderEpoch>,
        read_committed: bool,
    ) -> Result<FoundOffset, ErrorCode> {
        let (_, end, is_known) = self.bounds(current, read_committed)?;
        if !is_known {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        let leader_epoch = self.log.lock().latest_epoch();
        Ok(FoundOffset { offset: end, timestamp: Timestamp::NONE, leader_epoch })
    }

    /// The first readable offset.
    pub fn earliest_offset(&self, current: Option<LeaderEpoch>) -> Result<FoundOffset, ErrorCode> {
        let (start, _, _) = self.bounds(current, false)?;
        let leader_epoch = self.log.lock().epoch_at(start).unwrap_or(LeaderEpoch::NONE);
        Ok(FoundOffset { offset: start, timestamp: Timestamp::NONE, leader_epoch })
    }

    /// A search for a timestamp (`None`: the largest one), and the end of what may be answered.
    pub fn timestamp_search(
        &self,
        current: Option<LeaderEpoch>,
        read_committed: bool,
        timestamp: Option<Timestamp>,
    ) -> Result<(TimestampSearch, Offset), ErrorCode> {
        let (_, end, is_known) = self.bounds(current, read_committed)?;
        if !is_known {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        let mut log = self.log.lock();
        let search = match timestamp {
            Some(timestamp) => log.offset_for_timestamp(timestamp),
            None => log.max_timestamp_offset(),
        };
        Ok((search.map_err(|error| error.code())?, end))
    }

    /// The largest leader epoch at or below `epoch`, and where it ends.
    pub fn end_of_epoch(
        &self,
        current: Option<LeaderEpoch>,
        epoch: LeaderEpoch,
    ) -> Result<EpochOffset, ErrorCode> {
        self.bounds(current, false)?;
        Ok(self.log.lock().end_offset_for_epoch(epoch))
    }

    /// Makes everything below `offset` (`None`: the high watermark) unreadable; returns the new
    /// start.
    pub fn delete_records(&self, offset: Option<Offset>) -> Result<Offset, ErrorCode> {
        let mut state = self.lock();
        let state = &mut *state;
        let Role::Leading(leader) = &mut state.role else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        let high_watermark = leader.high_watermark();
        let offset = offset.unwrap_or(high_watermark);
        if offset > high_watermark || offset < Offset::ZERO {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let start = self.log.lock().advance_start_offset(offset);
        leader.log_start_moved(start);
        for subscription in state.subscriptions.values() {
            subscription.session.mark_dirty(self.id);
        }
        Ok(start)
    }

    /// The smallest log start of the live replicas.
    pub fn low_watermark(&self) -> Result<Offset, ErrorCode> {
        match &self.lock().role {
            Role::Leading(leader) => Ok(leader.low_watermark()),
            Role::Following(..) | Role::Idle => Err(ErrorCode::NotLeaderOrFollower),
        }
    }
}
