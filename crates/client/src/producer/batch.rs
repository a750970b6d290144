//! A batch of one partition, from its first record to its outcome.

use bytes::Bytes;
use records::{BatchBuilder, BatchOptions, Compression, NewRecord};
use types::{Monotonic, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};

use super::{Pending, RecordMetadata};
use crate::error::ClientError;

/// The identity of an idempotent producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// Records that are written together or not at all. Never empty once it is in a queue.
pub(super) struct Batch {
    pub(super) records: Vec<Pending>,
    /// Uncompressed size so far.
    pub(super) bytes: usize,
    pub(super) opened_at: Monotonic,
    /// Set by the first send. A retry sends the same bytes under the same identity.
    pub(super) sealed: Option<Sealed>,
    /// The last retriable error, for the message when time runs out.
    pub(super) last_error: Option<ClientError>,
}

pub(super) struct Sealed {
    pub(super) bytes: Bytes,
    pub(super) identity: Option<Identity>,
}

impl Batch {
    pub(super) fn open(now: Monotonic) -> Batch {
        Batch { records: Vec::new(), bytes: 0, opened_at: now, sealed: None, last_error: None }
    }

    pub(super) fn push(&mut self, pending: Pending) {
        self.bytes += pending.bytes;
        self.records.push(pending);
    }

    /// Builds the bytes to send, once.
    pub(super) fn seal(
        &mut self,
        compression: Compression,
        identity: Option<Identity>,
        base_sequence: i32,
    ) -> Bytes {
        if let Some(sealed) = &self.sealed {
            return sealed.bytes.clone();
        }
        let mut options = BatchOptions { compression, ..Default::default() };
        if let Some(identity) = identity {
            options.producer_id = identity.id;
            options.producer_epoch = identity.epoch;
            options.base_sequence = base_sequence;
        }
        let mut builder = BatchBuilder::new(options);
        for pending in &self.records {
            builder.push(&NewRecord {
                timestamp: pending.timestamp,
                key: pending.record.key.clone(),
                value: pending.record.value.clone(),
                headers: pending.record.headers.clone(),
            });
        }
        let bytes = builder.build().bytes;
        self.sealed = Some(Sealed { bytes: bytes.clone(), identity });
        bytes
    }

    /// Cuts a batch that the broker found too large into two, to be sent anew.
    pub(super) fn split(mut self) -> (Batch, Batch) {
        let mut rest = Batch::open(self.opened_at);
        for pending in self.records.split_off(self.records.len() / 2) {
            rest.push(pending);
        }
        self.bytes = self.records.iter().map(|pending| pending.bytes).sum();
        self.sealed = None;
        (self, rest)
    }

    /// Tells every record that it was written. `append_time` is the broker's, where it decides.
    pub(super) fn succeed(
        self,
        partition: &TopicPartition,
        base_offset: Offset,
        append_time: Option<Timestamp>,
    ) {
        for (index, pending) in self.records.into_iter().enumerate() {
            let known = base_offset >= Offset::ZERO;
            let offset = if known { base_offset.plus(index as i64) } else { Offset::NONE };
            let timestamp = append_time.unwrap_or(pending.timestamp);
            let metadata = RecordMetadata { partition: partition.clone(), offset, timestamp };
            // A caller that dropped its delivery does not need the news.
            let _ = pending.outcome.send(Ok(metadata));
        }
    }

    /// Tells every record that it failed.
    pub(super) fn fail(self, error: &ClientError) {
        for pending in self.records {
            let _ = pending.outcome.send(Err(error.clone()));
        }
    }
}
