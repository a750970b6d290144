//! Producers: idempotent, acks=all, several records under way.

use super::{PAUSE, Phase, TOPIC, Workload};
use crate::history::Value;
use bytes::Bytes;
use client::{Delivery, Producer, ProducerOptions, ProducerRecord};
use std::collections::VecDeque;
use std::time::Duration;
use types::{Offset, PartitionIndex, TopicPartition};

/// One instance of a producer: its records are in order among themselves.
struct Instance {
    load: Workload,
    client: client::Client,
    producer: Producer,
    id: u32,
    next: u64,
    under_way: VecDeque<(Value, Delivery)>,
}

impl Instance {
    fn new(load: &Workload) -> Instance {
        let client = load.client();
        let options = ProducerOptions {
            delivery_timeout: Duration::from_secs(12),
            request_timeout: Duration::from_secs(3),
            block_max: Duration::from_secs(12),
            batch_bytes: 2_000,
            ..ProducerOptions::default()
        };
        let producer = Producer::start(client.clone(), options).expect("valid options");
        let (id, load) = (load.new_producer(), load.clone());
        Instance { load, client, producer, id, next: 0, under_way: VecDeque::new() }
    }

    /// Sends one record; false if that failed.
    async fn send(&mut self, partition: i32) -> bool {
        let rng = &self.load.env.rng;
        let padding = rng.below(self.load.plan.value_bytes_max as u64 + 1) as usize;
        let value = Value { producer: self.id, number: self.next };
        self.next += 1;
        let partition = PartitionIndex(partition);
        let of = TopicPartition { topic: TOPIC.into(), partition };
        self.load.history().note_sent(value, &of);
        let record = ProducerRecord {
            topic: TOPIC.to_owned(),
            partition: Some(partition),
            value: Some(Bytes::from(value.encode(padding))),
            ..ProducerRecord::default()
        };
        match self.producer.send(record).await {
            Ok(delivery) => {
                self.under_way.push_back((value, delivery));
                true
            }
            Err(error) => {
                tracing::debug!(%error, "not sent");
                self.load.history().failed += 1;
                false
            }
        }
    }

    /// Waits for acks until at most so many records are under way; false if one failed.
    async fn collect(&mut self, under_way_max: usize) -> bool {
        while self.under_way.len() > under_way_max {
            let Some((value, delivery)) = self.under_way.pop_front() else { break };
            match delivery.await {
                Ok(place) => {
                    if place.offset != Offset::NONE {
                        self.load.note_place(&place.partition, place.offset, value, true);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, ?value, "not delivered");
                    self.load.history().failed += 1;
                    return false;
                }
            }
        }
        true
    }

    async fn end(mut self) {
        while !self.under_way.is_empty() {
            self.collect(0).await;
        }
        self.client.close().await;
    }
}

/// Sends until the load is over. After a failure, a new instance goes on.
pub(super) async fn run(load: Workload) {
    let mut instance = Instance::new(&load);
    while load.phase() == Phase::Load {
        let partition = load.env.rng.below(load.plan.partitions as u64) as i32;
        let pause = load.env.rng.below(load.plan.send_pause_us);
        let outstanding = load.plan.outstanding - 1;
        let is_fine = instance.send(partition).await && instance.collect(outstanding).await;
        if !is_fine {
            instance.end().await;
            tokio::time::sleep(PAUSE).await;
            instance = Instance::new(&load);
        }
        tokio::time::sleep(Duration::from_micros(pause)).await;
    }
    instance.end().await;
    load.progress().producers_left -= 1;
}

/// Every partition takes a record again.
pub(super) async fn prove(load: &Workload) {
    for partition in 0..load.plan.partitions {
        loop {
            let mut instance = Instance::new(load);
            let is_fine = instance.send(partition).await && instance.collect(0).await;
            instance.end().await;
            if is_fine {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
