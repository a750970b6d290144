//! Batches of idempotent producers that were refused for the moment: what follows one of them is
//! refused like it, until it comes again.
//!
//! A client has several requests under way, and the second may come when the reason for which the
//! first was refused is over (the first follower is back, the leadership has begun). To Kafka that is
//! OUT_OF_ORDER_SEQUENCE_NUMBER, and librdkafka begins a new producer epoch then, in which it sends
//! again whatever it has no answer to: in other partitions that may be in the log already, and is
//! doubled. Seen where all nodes lost their power with records under way.
//!
//! Soft state: what is forgotten here is answered as Kafka does.

use records::BatchHeader;
use std::collections::{BTreeMap, VecDeque};
use types::{ErrorCode, ProducerEpoch, ProducerId};

/// Requests that a producer may have under way (`max.in.flight.requests.per.connection`).
const BATCHES_MAX: usize = 5;
/// Producers that are remembered for one partition.
const PRODUCERS_MAX: usize = 1_000;

#[derive(Clone, Copy)]
struct Refused {
    epoch: ProducerEpoch,
    base_sequence: i32,
    code: ErrorCode,
}

impl Refused {
    fn is_of(&self, header: &BatchHeader, base_sequence: i32) -> bool {
        (self.epoch, self.base_sequence) == (header.producer_epoch, base_sequence)
    }
}

#[derive(Default)]
pub(super) struct RefusedBatches {
    by_producer: BTreeMap<ProducerId, VecDeque<Refused>>,
}

impl RefusedBatches {
    /// A batch was not appended, and its client will send it again.
    pub fn note(&mut self, header: &BatchHeader, code: ErrorCode) {
        let is_for_now = matches!(
            code,
            ErrorCode::NotLeaderOrFollower
                | ErrorCode::NotEnoughReplicas
                | ErrorCode::KafkaStorageError
        );
        if !is_for_now || !header.has_producer() {
            return;
        }
        if self.by_producer.len() >= PRODUCERS_MAX {
            self.by_producer.clear();
        }
        let batches = self.by_producer.entry(header.producer_id).or_default();
        batches.retain(|one| !one.is_of(header, header.base_sequence));
        if batches.len() == BATCHES_MAX {
            batches.pop_front();
        }
        let (epoch, base_sequence) = (header.producer_epoch, header.base_sequence);
        batches.push_back(Refused { epoch, base_sequence, code });
    }

    /// How the batch that has to come before this one, from `expected` on, was refused.
    pub fn like(&self, header: &BatchHeader, expected: i32) -> Option<ErrorCode> {
        let batches = self.by_producer.get(&header.producer_id)?;
        batches.iter().find(|one| one.is_of(header, expected)).map(|one| one.code)
    }

    /// A batch is in the log.
    pub fn appended(&mut self, header: &BatchHeader) {
        let Some(batches) = self.by_producer.get_mut(&header.producer_id) else { return };
        batches.retain(|one| !one.is_of(header, header.base_sequence));
        if batches.is_empty() {
            self.by_producer.remove(&header.producer_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(producer: i64, epoch: i16, base_sequence: i32) -> BatchHeader {
        let options = records::BatchOptions {
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(epoch),
            base_sequence,
            ..records::BatchOptions::default()
        };
        let mut builder = records::BatchBuilder::new(options);
        builder.push(&records::NewRecord::default());
        builder.build().header
    }

    #[test]
    fn what_follows_a_refused_batch_is_refused_like_it_until_that_is_appended() {
        let mut refused = RefusedBatches::default();
        let code = ErrorCode::NotEnoughReplicas;
        refused.note(&header(1, 0, 7), code);
        assert_eq!(refused.like(&header(1, 0, 8), 7), Some(code));
        assert_eq!(refused.like(&header(1, 0, 8), 6), None, "another one is missing");
        assert_eq!(refused.like(&header(1, 1, 8), 7), None, "another epoch");
        assert_eq!(refused.like(&header(2, 0, 8), 7), None, "another producer");
        refused.note(&header(1, 0, 8), code);
        refused.appended(&header(1, 0, 7));
        assert_eq!(refused.like(&header(1, 0, 8), 7), None);
        assert_eq!(refused.like(&header(1, 0, 9), 8), Some(code));
        refused.appended(&header(1, 0, 8));
        assert!(refused.by_producer.is_empty());
    }

    #[test]
    fn only_what_comes_again_is_remembered_and_not_too_much_of_it() {
        let mut refused = RefusedBatches::default();
        refused.note(&header(1, 0, 0), ErrorCode::CorruptMessage);
        refused.note(&header(-1, -1, -1), ErrorCode::NotLeaderOrFollower);
        assert!(refused.by_producer.is_empty());
        for sequence in 0..20 {
            refused.note(&header(1, 0, sequence), ErrorCode::NotLeaderOrFollower);
        }
        assert_eq!(refused.by_producer[&ProducerId(1)].len(), BATCHES_MAX);
        for producer in 0..3 * PRODUCERS_MAX as i64 {
            refused.note(&header(producer, 0, 0), ErrorCode::NotLeaderOrFollower);
            assert!(refused.by_producer.len() <= PRODUCERS_MAX);
        }
    }
}
