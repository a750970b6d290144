//! Readers: from the start, without a step back and without a hole.

use super::{PAUSE, Phase, Workload};
use crate::history::{History, Value};
use client::admin::OffsetSpec;
use client::{ConsumedRecord, Consumer, ConsumerOptions, OffsetReset};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Offset, TopicPartition};

/// Takes note of a record that was read, where `next` was expected if anything was.
pub(super) fn take(history: &mut History, record: &ConsumedRecord, next: Option<Offset>) {
    let (of, offset) = (&record.partition, record.offset);
    history.reads += 1;
    if let Some(next) = next.filter(|next| *next != offset) {
        history.note_gap(of, next, offset);
        let may_jump = history.partitions.get(of).is_some_and(|one| offset <= one.deleted_to);
        if offset < next || !may_jump {
            history.violate(format!("{of}: read {offset} and not {next} (I25, I28)"));
        }
    }
    match record.value.as_deref().and_then(Value::decode) {
        Some(value) => history.note_place(of, offset, value, false),
        None => history.violate(format!("{of}: the record at {offset} is damaged (I34)")),
    }
}

struct Reader {
    load: Workload,
    consumer: Consumer,
    next: BTreeMap<TopicPartition, Offset>,
}

impl Reader {
    fn new(load: &Workload) -> Reader {
        let options =
            ConsumerOptions { reset: OffsetReset::Earliest, ..ConsumerOptions::default() };
        let mut consumer = Consumer::new(load.client(), options);
        let all: Vec<(TopicPartition, OffsetSpec)> =
            load.partitions().map(|of| (of, OffsetSpec::Earliest)).collect();
        consumer.assign(&all);
        let next = all.into_iter().map(|(of, _)| (of, Offset::ZERO)).collect();
        Reader { load: load.clone(), consumer, next }
    }

    fn take(&mut self, record: &ConsumedRecord) {
        let next = self.next.insert(record.partition.clone(), record.offset.plus(1));
        take(&mut self.load.history(), record, next);
    }

    /// Reads for a moment; false if that failed.
    async fn step(&mut self) -> bool {
        match self.consumer.poll(Duration::from_millis(500)).await {
            Ok(records) => {
                records.iter().for_each(|record| self.take(record));
                true
            }
            Err(error) => {
                tracing::debug!(%error, "not read");
                false
            }
        }
    }

    /// Whether everything that was acknowledged has been read.
    fn is_through(&self) -> bool {
        let history = self.load.history();
        self.next.iter().all(|(of, next)| history.end_of(of) <= *next)
    }
}

/// Reads along with the load, again from the start now and then.
pub(super) async fn follow(load: Workload) {
    while load.phase() != Phase::Prove {
        let mut reader = Reader::new(&load);
        for _ in 0..load.env.rng.below(200) + 5 {
            if !reader.step().await {
                tokio::time::sleep(PAUSE).await;
                break;
            }
        }
        let client = reader.consumer.client().clone();
        drop(reader);
        client.close().await;
    }
}

/// Reads everything from the start, by a new client.
pub(super) async fn prove(load: &Workload) {
    let mut reader = Reader::new(load);
    while !reader.is_through() {
        if !reader.step().await {
            tokio::time::sleep(PAUSE).await;
            reader = Reader::new(load);
        }
    }
}
