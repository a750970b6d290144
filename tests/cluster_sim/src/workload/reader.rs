//! Readers: from the start, without a step back and without a hole.

use super::{PAUSE, Phase, Workload};
use crate::history::Value;
use client::admin::OffsetSpec;
use client::{ConsumedRecord, Consumer, ConsumerOptions, OffsetReset};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Offset, TopicPartition};

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
        let of = &record.partition;
        let next = self.next.insert(of.clone(), record.offset.plus(1)).unwrap_or(Offset::ZERO);
        let mut history = self.load.history();
        history.reads += 1;
        if record.offset > next {
            history.note_gap(of, next, record.offset);
        }
        if record.offset != next {
            let text = format!("{of}: read {} and not {next} (I25, I28)", record.offset);
            history.violation.get_or_insert(text);
        }
        match record.value.as_deref().and_then(Value::decode) {
            Some(value) => history.note_place(of, record.offset, value, false),
            None => {
                let text = format!("{of}: the record at {} is damaged (I34)", record.offset);
                history.violation.get_or_insert(text);
            }
        }
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
        self.next.iter().all(|(of, next)| {
            let partition = history.partitions.get(of);
            let last = partition.and_then(|one| one.known.last_key_value());
            last.is_none_or(|(last, _)| last < next)
        })
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
