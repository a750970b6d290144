//! Positions after a change of leader: does the new leader's log hold what was read?
//!
//! A position is the end of records of some leader epoch. The new leader tells where that epoch ends
//! in its log: below the position, what was read is not there (KIP-320).

use types::{EpochOffset, LeaderEpoch, Offset, TopicPartition};

use super::{Consumer, OffsetReset};
use crate::error::ClientError;

/// What the leader's answer says of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The log holds what was read.
    Whole,
    /// It parts from what was read at this offset, or at one that it cannot tell.
    Truncated(Option<Offset>),
}

/// `end` is the end of the largest epoch at or below the position's that the leader knows.
fn judge(position: Offset, end: EpochOffset) -> Verdict {
    if end.offset < Offset::ZERO || end.epoch < LeaderEpoch(0) {
        return Verdict::Truncated(None);
    }
    if end.offset < position { Verdict::Truncated(Some(end.offset)) } else { Verdict::Whole }
}

impl Consumer {
    /// Looks at the positions in partitions that are led in a newer epoch.
    pub(super) async fn check_positions(&mut self) -> Result<(), ClientError> {
        let now = self.client.env().clock.now();
        let due = self.positions.iter().filter(|(_, it)| it.fetch.is_some() && it.retry_at <= now);
        let due: Vec<TopicPartition> = due.map(|(of, _)| of.clone()).collect();
        let mut unsure = Vec::new();
        for of in due {
            // A missing leader is found out by the fetch.
            let Ok((_, epoch)) = self.client.leadership(&of).await else { continue };
            let Some(position) = self.positions.get_mut(&of) else { continue };
            if epoch > position.seen_in && position.last_epoch >= LeaderEpoch(0) {
                unsure.push((of, position.last_epoch, epoch));
            } else if epoch > position.seen_in {
                position.seen_in = epoch;
            }
        }
        if unsure.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = unsure.iter().map(|(of, last, _)| (of.clone(), *last)).collect();
        let mut ends = self.client.epoch_ends(&wanted).await;
        for (of, _, epoch) in unsure {
            match ends.remove(&of) {
                Some(Ok(end)) => self.compare(&of, epoch, end)?,
                // A cluster that cannot tell.
                Some(Err(ClientError::Unsupported { .. })) => self.has_seen(&of, epoch),
                Some(Err(error)) if !error.is_retriable() => return Err(error),
                Some(Err(_)) | None => self.postpone(&of),
            }
        }
        Ok(())
    }

    fn has_seen(&mut self, of: &TopicPartition, epoch: LeaderEpoch) {
        if let Some(position) = self.positions.get_mut(of) {
            position.seen_in = epoch;
        }
    }

    fn compare(
        &mut self,
        of: &TopicPartition,
        epoch: LeaderEpoch,
        end: EpochOffset,
    ) -> Result<(), ClientError> {
        let Some(at) = self.positions.get(of).and_then(|position| position.fetch) else {
            return Ok(());
        };
        match judge(at, end) {
            Verdict::Whole => {
                self.has_seen(of, epoch);
                Ok(())
            }
            Verdict::Truncated(parts_at) => self.truncated(of, at, (epoch, end, parts_at)),
        }
    }

    /// What was read is gone: goes on where the logs part, or tells who wants to be told.
    fn truncated(
        &mut self,
        of: &TopicPartition,
        at: Offset,
        (epoch, end, parts_at): (LeaderEpoch, EpochOffset, Option<Offset>),
    ) -> Result<(), ClientError> {
        if self.options.reset == OffsetReset::None {
            let (partition, at) = (of.to_string(), at.0);
            let parts_at = parts_at.map(|offset| offset.0);
            return Err(ClientError::Truncated { partition, at, parts_at });
        }
        tracing::warn!(partition = %of, %at, ?parts_at, "records that were read are gone");
        self.ready.retain(|record| {
            record.partition != *of || parts_at.is_some_and(|offset| record.offset < offset)
        });
        let Some(parts_at) = parts_at else { return self.reset(of) };
        if let Some(position) = self.positions.get_mut(of) {
            position.fetch = Some(parts_at);
            position.taken = position.taken.map(|taken| taken.min(parts_at));
            (position.last_epoch, position.seen_in) = (end.epoch, epoch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(epoch: i32, offset: i64) -> EpochOffset {
        EpochOffset { epoch: LeaderEpoch(epoch), offset: Offset(offset) }
    }

    #[test]
    fn a_position_within_the_epoch_is_whole() {
        assert_eq!(judge(Offset(10), end(3, 10)), Verdict::Whole);
        assert_eq!(judge(Offset(10), end(3, 12)), Verdict::Whole);
    }

    #[test]
    fn a_position_beyond_the_epochs_end_was_truncated_there() {
        assert_eq!(judge(Offset(10), end(3, 8)), Verdict::Truncated(Some(Offset(8))));
        assert_eq!(judge(Offset(10), end(1, 8)), Verdict::Truncated(Some(Offset(8))));
    }

    #[test]
    fn a_leader_that_does_not_know_the_epoch_has_other_records() {
        assert_eq!(judge(Offset(10), end(-1, -1)), Verdict::Truncated(None));
    }
}
