//! A producer of the run: sends at a pace, and writes down what became of each record.
//!
//! Promises: at most [`IN_FLIGHT_MAX`] records of it are without an outcome; counters of a partition
//! grow by one with each send, in the order of the sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, ClientError, Delivery, Producer, ProducerRecord, RecordMetadata};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use types::ErrorCode;

use super::progress::Progress;
use super::shared::{Phase, Shared, key_of};
use crate::history::{At, ClientNumber, Event, Outcome, RecordName, Sent};

/// Most records of one producer without an outcome.
const IN_FLIGHT_MAX: usize = 20_000;
/// Most outcomes that are written down together.
const SETTLED_MAX: usize = 2_000;

/// When a producer sends what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many records a second, in turn over all partitions, a few at a time.
    Rate { per_second: u32 },
    /// A record to each of these partitions at each beat, sent at once.
    Beat { every: Duration, partitions: Vec<usize> },
}

/// The time between two looks at the clock.
const TICK: Duration = Duration::from_millis(5);
/// Records that go to the same partition in a row.
const BURST: u64 = 8;
/// A prober's patience with one broker: it measures the cluster's pauses, not its own.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Behind its pace by more than so many seconds, a producer gives up the difference.
const CATCH_UP_SECONDS: u64 = 1;

struct Settled {
    partition: usize,
    counter: u32,
    began: At,
    result: Result<RecordMetadata, ClientError>,
}

struct Sender {
    shared: Arc<Shared>,
    number: ClientNumber,
    producer: Producer,
    record_bytes: usize,
    /// The next counter of each partition.
    counters: Vec<u32>,
    in_flight: FuturesUnordered<BoxFuture<'static, Settled>>,
}

/// Sends while the phase is `Load`, and ends when everything sent has its outcome.
pub async fn run(shared: Arc<Shared>, number: ClientNumber, pace: Pace, record_bytes: usize) {
    let started = async {
        let mut options = shared.settings.producer.clone();
        let client = match pace {
            Pace::Rate { .. } => shared.client(number)?,
            Pace::Beat { .. } => {
                options.linger = Duration::ZERO;
                options.request_timeout = options.request_timeout.min(PROBE_TIMEOUT);
                let waits = shared.settings.client.request_timeout.min(PROBE_TIMEOUT);
                shared.client_that_waits(number, waits)?
            }
        };
        let producer = Producer::start(client.clone(), options)?;
        Ok::<(Client, Producer), ClientError>((client, producer))
    };
    let (client, producer) = match started.await {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(%error, producer = %number, "producer not started");
            return;
        }
    };
    let counters = vec![0; shared.partitions.len()];
    let in_flight = FuturesUnordered::new();
    let mut sender =
        Sender { shared: shared.clone(), number, producer, record_bytes, counters, in_flight };
    match pace {
        Pace::Rate { per_second } => sender.at_rate(per_second).await,
        Pace::Beat { every, partitions } => sender.at_beat(every, &partitions).await,
    }
    while let Some(settled) = sender.in_flight.next().await {
        sender.settled(settled).await;
    }
    drop(sender);
    client.close().await;
}

impl Sender {
    async fn at_rate(&mut self, per_second: u32) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut started = self.shared.now();
        let mut sent = 0;
        while self.until_tick(&mut ticks).await {
            let elapsed = self.shared.now().0 - started.0;
            let due = elapsed * u64::from(per_second) / 1_000_000;
            if due.saturating_sub(sent) > CATCH_UP_SECONDS * u64::from(per_second) {
                (started, sent) = (self.shared.now(), 0);
                continue;
            }
            while sent < due && self.shared.is_in(Phase::Load) {
                let turn = sent / BURST + u64::from(self.number.0);
                let partition = turn % self.shared.partitions.len() as u64;
                self.send(partition as usize).await;
                sent += 1;
            }
        }
    }

    async fn at_beat(&mut self, every: Duration, partitions: &[usize]) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while self.until_tick(&mut ticks).await {
            for partition in partitions {
                self.send(*partition).await;
            }
        }
    }

    /// Settles what has an outcome until the next tick. False when the load is over.
    async fn until_tick(&mut self, ticks: &mut tokio::time::Interval) -> bool {
        while self.shared.is_in(Phase::Load) && !self.shared.sink.is_closed() {
            tokio::select! {
                Some(settled) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.settled(settled).await;
                }
                _ = ticks.tick() => return true,
            }
        }
        false
    }

    async fn send(&mut self, partition: usize) {
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            let Some(settled) = self.in_flight.next().await else { break };
            self.settled(settled).await;
        }
        let counter = self.counters[partition];
        self.counters[partition] += 1;
        let name = RecordName { producer: self.number, counter };
        let of = &self.shared.partitions[partition];
        let record = ProducerRecord {
            topic: of.topic.clone(),
            partition: Some(of.partition),
            key: Some(Bytes::from(key_of(name))),
            value: Some(self.shared.values(partition).encode(name, self.record_bytes)),
            ..Default::default()
        };
        let began = self.shared.now();
        let producer = self.producer.clone();
        // The producer may wait for room; outcomes must be taken meanwhile.
        let mut sending = std::pin::pin!(producer.send(record));
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break sent,
                Some(settled) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.settled(settled).await;
                }
            }
        };
        self.in_flight.push(outcome(sent, partition, counter, began).boxed());
    }

    /// Writes down an outcome, and those that are there already with it.
    async fn settled(&mut self, first: Settled) {
        let mut all = vec![first];
        while all.len() < SETTLED_MAX {
            match self.in_flight.next().now_or_never() {
                Some(Some(settled)) => all.push(settled),
                Some(None) | None => break,
            }
        }
        let ended = self.shared.now();
        let mut by_partition: BTreeMap<usize, Vec<Settled>> = BTreeMap::new();
        for settled in all {
            by_partition.entry(settled.partition).or_default().push(settled);
        }
        for (partition, mut settled) in by_partition {
            settled.sort_by_key(|settled| settled.counter);
            for sent in self.events(partition, settled, ended) {
                let progress = &self.shared.progress;
                match sent.outcome {
                    Outcome::Ok => {
                        Progress::add(&progress.acknowledged, u64::from(sent.count));
                        progress.beat(&sent.partition, ended);
                    }
                    Outcome::Unknown => Progress::add(&progress.unknown, u64::from(sent.count)),
                    Outcome::Refused => {}
                }
                self.shared.sink.put(Event::Sent(sent)).await;
            }
        }
    }

    /// Outcomes of one partition as events, neighbours with the same fate together.
    fn events(&self, partition: usize, settled: Vec<Settled>, ended: At) -> Vec<Sent> {
        let mut events: Vec<Sent> = Vec::new();
        for Settled { counter, began, result, .. } in settled {
            let (outcome, offset, error) = judge(&result);
            if let Some(last) = events.last_mut()
                && last.counter + last.count == counter
                && last.outcome == outcome
                && last.error == error
                && last.offset.map(|first| first + i64::from(last.count)) == offset
            {
                last.count += 1;
                last.began = last.began.min(began);
                continue;
            }
            events.push(Sent {
                producer: self.number,
                partition: self.shared.partitions[partition].clone(),
                counter,
                count: 1,
                began,
                ended,
                outcome,
                offset,
                transaction: None,
                error,
            });
        }
        events
    }
}

async fn outcome(
    sent: Result<Delivery, ClientError>,
    partition: usize,
    counter: u32,
    began: At,
) -> Settled {
    let result = match sent {
        Ok(delivery) => delivery.await,
        Err(error) => Err(error),
    };
    Settled { partition, counter, began, result }
}

/// What an answer says of a record's fate.
fn judge(result: &Result<RecordMetadata, ClientError>) -> (Outcome, Option<i64>, Option<String>) {
    match result {
        Ok(metadata) => (Outcome::Ok, Some(metadata.offset.0).filter(|offset| *offset >= 0), None),
        Err(error) => {
            let outcome = if proves_absence(error) { Outcome::Refused } else { Outcome::Unknown };
            (outcome, None, Some(error.to_string()))
        }
    }
}

/// Whether an error proves that no attempt appended the record: those that depend on nothing but
/// the record itself.
fn proves_absence(error: &ClientError) -> bool {
    match error {
        ClientError::RecordTooLarge { .. } | ClientError::Encode(_) => true,
        ClientError::Refused { code, .. } => {
            matches!(code, ErrorCode::MessageTooLarge | ErrorCode::InvalidRecord)
        }
        ClientError::Connect { .. }
        | ClientError::Disconnected { .. }
        | ClientError::Timeout { .. }
        | ClientError::Unsupported { .. }
        | ClientError::Malformed { .. }
        | ClientError::UnknownCode(_)
        | ClientError::NoBroker(_)
        | ClientError::DeliveryTimeout { .. }
        | ClientError::Corrupt { .. }
        | ClientError::Truncated { .. }
        | ClientError::Invalid(_)
        | ClientError::Closed => false,
    }
}
