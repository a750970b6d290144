//! Where two logs part, told by leader epochs (KIP-101, KIP-279, KIP-320).
//!
//! ```text
//! leader     | e1 e1 e1 | e3 e3
//! follower   | e1 e1 e1 e1 e1 | e2        last epoch 2, end 6
//!            0          3     5  6
//! ```
//! The leader's largest epoch at or below 2 is 1 and ends at 3: the logs diverge, answer (1, 3).
//! The follower's own epoch 1 ends at 5: it truncates to min(5, 3) = 3 and reports again.

use types::{EpochOffset, LeaderEpoch, Offset};

/// Whether a follower that stands at `offset` after a record of `last_epoch` has left the leader's
/// log. `epoch_end` is what the leader's epoch cache answers for `last_epoch`: its largest epoch at
/// or below it and that epoch's end. `last_epoch` below zero (an empty log) diverges nowhere.
pub fn diverges(
    last_epoch: LeaderEpoch,
    offset: Offset,
    epoch_end: Option<EpochOffset>,
) -> Option<EpochOffset> {
    if last_epoch < LeaderEpoch(0) {
        return None;
    }
    epoch_end.filter(|end| end.epoch < last_epoch || end.offset < offset)
}

/// Where a follower cuts its log after a divergence. `leader` is the leader's answer, `own` what
/// the follower's epoch cache answers for `leader.epoch`, `own_end` its log end.
///
/// Never above `own_end`. If the follower does not know the leader's epoch it cuts at the end of
/// its own next lower one, which may need another round (KIP-279).
pub fn truncation_point(leader: EpochOffset, own: Option<EpochOffset>, own_end: Offset) -> Offset {
    let point = match own {
        Some(own) if own.epoch == leader.epoch => own.offset.min(leader.offset),
        Some(own) => own.offset,
        None => leader.offset,
    };
    point.min(own_end)
}

/// How many of a chunk's batches, given by their leader epochs in order, a follower of
/// `leader_epoch` may append: those before the first of a higher epoch. Such a batch was written
/// by a later leadership of the same broker and raced a truncation (KAFKA-18723).
pub fn epoch_batches_to_append(
    leader_epoch: LeaderEpoch,
    batch_epochs: impl IntoIterator<Item = LeaderEpoch>,
) -> usize {
    batch_epochs.into_iter().take_while(|epoch| *epoch <= leader_epoch).count()
}
