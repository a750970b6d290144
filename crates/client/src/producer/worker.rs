//! The task that owns a producer's queues.
//!
//! Per partition: a queue of batches, of which the first may be in flight. Per loop turn: take a
//! command, an answer or the passing of time, then send what is ready and expire what is late.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use types::{
    ErrorCode, Monotonic, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp,
    TopicPartition,
};
use wire::init_producer_id::InitProducerIdRequest;
use wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};

use super::batch::{Batch, Identity};
use super::{Acks, Pending, ProducerOptions};
use crate::client::{Client, leader_in};
use crate::error::{ClientError, check};
use crate::metadata::Topic;
use crate::partitioner::partition_of_key;

pub(super) enum Command {
    Send(Pending),
    Flush(oneshot::Sender<()>),
}

/// What came of something the worker waits for.
enum Event {
    Topic(String, Result<Arc<Topic>, ClientError>),
    Identity(Result<Identity, ClientError>),
    Produced(Vec<TopicPartition>, Result<Option<ProduceResponse>, ClientError>),
}

/// The outcome of one partition in a response.
struct Written {
    base_offset: Offset,
    append_time: Option<Timestamp>,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<Batch>,
    /// The first batch is on its way.
    in_flight: bool,
    next_sequence: i32,
    /// Not before this time, after an error.
    retry_at: Monotonic,
}

enum IdentityState {
    NotNeeded,
    Wanted,
    Asked,
    Known(Identity),
}

pub(super) struct Worker {
    client: Client,
    options: Arc<ProducerOptions>,
    queues: BTreeMap<TopicPartition, Queue>,
    /// Records whose topic is not known yet.
    unassigned: BTreeMap<String, VecDeque<Pending>>,
    topics: BTreeMap<String, Arc<Topic>>,
    /// The partition that records without key go to, until its batch is full.
    sticky: BTreeMap<String, PartitionIndex>,
    identity: IdentityState,
    flushes: Vec<oneshot::Sender<()>>,
    events: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl Worker {
    pub(super) fn new(client: Client, options: Arc<ProducerOptions>) -> Worker {
        let identity =
            if options.idempotence { IdentityState::Wanted } else { IdentityState::NotNeeded };
        Worker {
            client,
            options,
            queues: BTreeMap::new(),
            unassigned: BTreeMap::new(),
            topics: BTreeMap::new(),
            sticky: BTreeMap::new(),
            identity,
            flushes: Vec::new(),
            events: FuturesUnordered::new(),
        }
    }

    /// Runs until every handle is dropped and everything queued has its outcome.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut open = true;
        while open || !self.is_idle() {
            let now = self.now();
            self.expire(now);
            self.send_ready(now, !open);
            if self.is_idle() {
                for flush in self.flushes.drain(..) {
                    let _ = flush.send(());
                }
            }
            let pause = self.next_wake(now, !open).since(now);
            tokio::select! {
                command = commands.recv(), if open => match command {
                    Some(Command::Send(pending)) => self.accept(pending),
                    Some(Command::Flush(done)) => self.flushes.push(done),
                    None => open = false,
                },
                Some(event) = self.events.next(), if !self.events.is_empty() => self.handle(event),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn now(&self) -> Monotonic {
        self.client.env().clock.now()
    }

    fn is_idle(&self) -> bool {
        self.unassigned.is_empty() && self.queues.values().all(|queue| queue.batches.is_empty())
    }

    /// Takes a record: into its partition's queue, or aside until its topic is known.
    fn accept(&mut self, pending: Pending) {
        let name = pending.record.topic.clone();
        match self.topics.get(&name) {
            Some(topic) => {
                let topic = topic.clone();
                self.enqueue(&topic, pending);
            }
            None => {
                let waiting = self.unassigned.entry(name.clone()).or_default();
                waiting.push_back(pending);
                if waiting.len() == 1 {
                    self.ask_topic(name, self.options.block_max);
                }
            }
        }
    }

    fn ask_topic(&mut self, name: String, time: Duration) {
        let client = self.client.clone();
        self.events.push(Box::pin(async move {
            let result = client.topic_within(&name, true, time).await;
            Event::Topic(name, result)
        }));
    }

    fn enqueue(&mut self, topic: &Topic, pending: Pending) {
        let count = topic.partitions.len() as i32;
        let asked = pending.record.partition;
        if count == 0 || asked.is_some_and(|p| p.0 < 0 || p.0 >= count) {
            let error = ClientError::Invalid(format!(
                "topic {} has {count} partitions; partition {} does not exist",
                topic.name,
                asked.map_or(0, |p| p.0)
            ));
            let _ = pending.outcome.send(Err(error));
            return;
        }
        let partition = match (asked, &pending.record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => PartitionIndex(partition_of_key(key, count)),
            (None, None) => self.sticky_partition(topic, count, pending.bytes),
        };
        let now = self.now();
        let of = TopicPartition { topic: topic.name.clone(), partition };
        let batch_bytes = self.options.batch_bytes;
        let queue = self.queues.entry(of).or_default();
        let room = queue.batches.back().is_some_and(|batch| {
            batch.sealed.is_none() && batch.bytes + pending.bytes <= batch_bytes
        });
        if !room {
            queue.batches.push_back(Batch::open(now));
        }
        if let Some(batch) = queue.batches.back_mut() {
            batch.push(pending);
        }
    }

    /// Stays with a partition until its open batch has no room, then moves to a random other.
    fn sticky_partition(&mut self, topic: &Topic, count: i32, bytes: usize) -> PartitionIndex {
        if let Some(partition) = self.sticky.get(&topic.name) {
            let of = TopicPartition { topic: topic.name.clone(), partition: *partition };
            let open = self.queues.get(&of).and_then(|queue| queue.batches.back());
            let room = open.is_some_and(|batch| {
                batch.sealed.is_none() && batch.bytes + bytes <= self.options.batch_bytes
            });
            if room && partition.0 < count {
                return *partition;
            }
        }
        let led: Vec<PartitionIndex> =
            topic.partitions.values().filter(|p| p.leader.is_some()).map(|p| p.index).collect();
        let partition = if led.is_empty() {
            PartitionIndex(0)
        } else {
            led[self.client.env().rng.below(led.len() as u64) as usize]
        };
        self.sticky.insert(topic.name.clone(), partition);
        partition
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Topic(name, Ok(topic)) => {
                self.topics.insert(name.clone(), topic.clone());
                for pending in self.unassigned.remove(&name).unwrap_or_default() {
                    self.enqueue(&topic, pending);
                }
            }
            Event::Topic(name, Err(error)) => {
                for pending in self.unassigned.remove(&name).unwrap_or_default() {
                    let _ = pending.outcome.send(Err(error.clone()));
                }
                // Batches queued for it retry on their own clock and expire.
            }
            Event::Identity(Ok(identity)) => {
                self.identity = IdentityState::Known(identity);
                for queue in self.queues.values_mut() {
                    queue.next_sequence = 0;
                }
            }
            Event::Identity(Err(error)) => {
                self.identity = IdentityState::Wanted;
                if !error.is_retriable() {
                    self.fail_all(&error);
                }
            }
            Event::Produced(partitions, result) => self.produced(partitions, result),
        }
    }

    fn fail_all(&mut self, error: &ClientError) {
        for queue in self.queues.values_mut().filter(|queue| !queue.in_flight) {
            for batch in queue.batches.drain(..) {
                batch.fail(error);
            }
        }
    }

    /// Fails batches that have waited too long and are not in flight.
    fn expire(&mut self, now: Monotonic) {
        let timeout = self.options.delivery_timeout;
        let mut lost_sequence = false;
        for (of, queue) in &mut self.queues {
            while !queue.in_flight
                && queue.batches.front().is_some_and(|batch| now >= batch.opened_at + timeout)
            {
                let Some(batch) = queue.batches.pop_front() else { break };
                lost_sequence |= batch.sealed.is_some();
                let last = batch.last_error.as_ref().map_or("not sent".into(), |e| e.to_string());
                let ms = timeout.as_millis() as u64;
                batch.fail(&ClientError::DeliveryTimeout { partition: of.to_string(), ms, last });
            }
        }
        if lost_sequence {
            self.renew_identity();
        }
    }

    /// After a batch of unknown outcome the sequence may have a gap: start over under a new id.
    /// Batches sealed under the old id keep it and their sequence.
    fn renew_identity(&mut self) {
        if let IdentityState::Known(_) = self.identity {
            self.identity = IdentityState::Wanted;
        }
    }

    /// Sends every first batch that is ready, one request per leader.
    fn send_ready(&mut self, now: Monotonic, closing: bool) {
        let ready = self.ready(now, closing);
        if ready.is_empty() || !self.has_identity() {
            return;
        }
        let mut by_leader: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
        for of in ready {
            let topic = self.topics.get(&of.topic);
            match topic.map(|topic| leader_in(topic, of.partition)) {
                Some(Ok(leader)) => by_leader.entry(leader).or_default().push(of),
                Some(Err(error)) => self.retry_later(&of, error),
                None => self.retry_later(
                    &of,
                    ClientError::refused(ErrorCode::UnknownTopicOrPartition, None),
                ),
            }
        }
        for (leader, partitions) in by_leader {
            self.send_request(leader, partitions);
        }
    }

    fn ready(&self, now: Monotonic, closing: bool) -> Vec<TopicPartition> {
        let hurry = closing || !self.flushes.is_empty();
        let ready = self.queues.iter().filter(|(_, queue)| {
            if queue.in_flight || now < queue.retry_at {
                return false;
            }
            queue.batches.front().is_some_and(|batch| {
                hurry || queue.batches.len() > 1 || now >= self.ready_at(batch)
            })
        });
        ready.map(|(of, _)| of.clone()).collect()
    }

    fn ready_at(&self, batch: &Batch) -> Monotonic {
        let full = batch.sealed.is_some() || batch.bytes >= self.options.batch_bytes;
        if full { batch.opened_at } else { batch.opened_at + self.options.linger }
    }

    /// Whether batches may go out; asks for a producer id if one is needed.
    fn has_identity(&mut self) -> bool {
        match self.identity {
            IdentityState::NotNeeded | IdentityState::Known(_) => true,
            IdentityState::Asked => false,
            IdentityState::Wanted => {
                // Batches in flight under the old id must end first, or sequences would mix.
                if self.queues.values().any(|queue| queue.in_flight) {
                    return false;
                }
                self.identity = IdentityState::Asked;
                let client = self.client.clone();
                self.events.push(Box::pin(async move { Event::Identity(ask(&client).await) }));
                false
            }
        }
    }

    fn send_request(&mut self, leader: NodeId, partitions: Vec<TopicPartition>) {
        let identity = match self.identity {
            IdentityState::Known(identity) => Some(identity),
            IdentityState::NotNeeded | IdentityState::Wanted | IdentityState::Asked => None,
        };
        let mut topics: BTreeMap<String, Vec<PartitionProduceData>> = BTreeMap::new();
        for of in &partitions {
            let Some(queue) = self.queues.get_mut(of) else { continue };
            let Some(batch) = queue.batches.front_mut() else { continue };
            let new = batch.sealed.is_none();
            let bytes = batch.seal(self.options.compression, identity, queue.next_sequence);
            if new && identity.is_some() {
                // Sequences run from 0 to i32::MAX and wrap.
                let count = batch.records.len() as i32;
                queue.next_sequence = queue.next_sequence.wrapping_add(count) & i32::MAX;
            }
            queue.in_flight = true;
            let data = PartitionProduceData { index: of.partition.0, records: Some(bytes.into()) };
            topics.entry(of.topic.clone()).or_default().push(data);
        }
        let ids = self.topics.clone();
        let (client, acks) = (self.client.clone(), self.options.acks);
        let timeout = self.options.request_timeout;
        self.events.push(Box::pin(async move {
            let topic_data = topics.into_iter().map(|(name, partition_data)| TopicProduceData {
                topic_id: ids.get(&name).map_or_else(Default::default, |topic| topic.id),
                name: name.as_str().into(),
                partition_data,
            });
            let request = ProduceRequest {
                acks: acks as i16,
                timeout_ms: crate::admin::millis(timeout),
                topic_data: topic_data.collect(),
                ..Default::default()
            };
            Event::Produced(partitions, produce(&client, leader, request, acks).await)
        }));
    }

    fn produced(
        &mut self,
        partitions: Vec<TopicPartition>,
        result: Result<Option<ProduceResponse>, ClientError>,
    ) {
        let mut outcomes = match result {
            Err(error) => partitions.iter().map(|of| (of.clone(), Err(error.clone()))).collect(),
            Ok(None) => partitions.iter().map(|of| (of.clone(), Ok(unknown_offset()))).collect(),
            Ok(Some(response)) => self.outcomes(response),
        };
        for of in partitions {
            let missing = || Err(ClientError::Invalid(format!("no answer for {of}")));
            let outcome = outcomes.remove(&of).unwrap_or_else(missing);
            self.finish(&of, outcome);
        }
    }

    fn outcomes(
        &self,
        response: ProduceResponse,
    ) -> BTreeMap<TopicPartition, Result<Written, ClientError>> {
        let mut outcomes = BTreeMap::new();
        for topic in response.responses {
            // From version 13 topics are named by their ids.
            let name = match self
                .topics
                .values()
                .find(|known| topic.name.is_empty() && known.id == topic.topic_id)
            {
                Some(known) => known.name.clone(),
                None => topic.name.to_string(),
            };
            for partition in topic.partition_responses {
                let of = TopicPartition {
                    topic: name.clone(),
                    partition: PartitionIndex(partition.index),
                };
                let append_time = partition.log_append_time_ms;
                let written = Written {
                    base_offset: Offset(partition.base_offset),
                    append_time: (append_time >= 0).then_some(Timestamp(append_time)),
                };
                let message = partition.error_message.as_deref();
                outcomes.insert(of, check(partition.error_code, message).map(|()| written));
            }
        }
        outcomes
    }

    /// Ends or repeats the batch in flight of one partition.
    fn finish(&mut self, of: &TopicPartition, outcome: Result<Written, ClientError>) {
        let error = match outcome {
            Ok(written) => {
                if let Some(batch) = self.take_in_flight(of) {
                    batch.succeed(of, written.base_offset, written.append_time);
                }
                return;
            }
            Err(error) => error,
        };
        if error.is_retriable() {
            return self.retry_later(of, error);
        }
        match error.code() {
            // The broker has it already.
            Some(ErrorCode::DuplicateSequenceNumber) => {
                if let Some(batch) = self.take_in_flight(of) {
                    batch.succeed(of, Offset::NONE, None);
                }
            }
            Some(ErrorCode::MessageTooLarge) => self.split_or_fail(of, error),
            Some(_) | None => self.fail_first(of, error),
        }
    }

    fn take_in_flight(&mut self, of: &TopicPartition) -> Option<Batch> {
        let queue = self.queues.get_mut(of)?;
        queue.in_flight = false;
        queue.batches.pop_front()
    }

    /// Repeats the first batch after a pause, with fresh metadata.
    fn retry_later(&mut self, of: &TopicPartition, error: ClientError) {
        let at = self.now() + self.client.options().retry_backoff;
        tracing::debug!(partition = %of, %error, "batch goes again");
        if let Some(queue) = self.queues.get_mut(of) {
            queue.in_flight = false;
            queue.retry_at = at;
            if let Some(batch) = queue.batches.front_mut() {
                batch.last_error = Some(error);
            }
        }
        self.client.forget_topic(&of.topic);
        self.ask_topic(of.topic.clone(), self.client.options().request_timeout);
    }

    fn split_or_fail(&mut self, of: &TopicPartition, error: ClientError) {
        let Some(batch) = self.take_in_flight(of) else { return };
        if batch.records.len() < 2 {
            self.rewind_sequence(of, &batch);
            return batch.fail(&error);
        }
        self.rewind_sequence(of, &batch);
        let (first, rest) = batch.split();
        if let Some(queue) = self.queues.get_mut(of) {
            queue.batches.push_front(rest);
            queue.batches.push_front(first);
        }
    }

    /// A refused batch used no sequence numbers; none behind it was sent.
    fn rewind_sequence(&mut self, of: &TopicPartition, batch: &Batch) {
        let identity = batch.sealed.as_ref().and_then(|sealed| sealed.identity);
        let (Some(identity), IdentityState::Known(current)) = (identity, &self.identity) else {
            return;
        };
        if identity == *current
            && let Some(queue) = self.queues.get_mut(of)
        {
            let count = batch.records.len() as i32;
            queue.next_sequence = queue.next_sequence.wrapping_sub(count) & i32::MAX;
        }
    }

    fn fail_first(&mut self, of: &TopicPartition, error: ClientError) {
        let Some(batch) = self.take_in_flight(of) else { return };
        batch.fail(&error);
        self.renew_identity();
    }

    fn next_wake(&self, now: Monotonic, closing: bool) -> Monotonic {
        const IDLE: Duration = Duration::from_secs(60);
        let hurry = closing || !self.flushes.is_empty();
        // An event comes when the producer id is there, or may be asked for.
        let in_flight = self.queues.values().any(|queue| queue.in_flight);
        let waiting = match self.identity {
            IdentityState::NotNeeded | IdentityState::Known(_) => false,
            IdentityState::Asked => true,
            IdentityState::Wanted => in_flight,
        };
        let mut wake = now + IDLE;
        for queue in self.queues.values().filter(|queue| !queue.in_flight) {
            let Some(batch) = queue.batches.front() else { continue };
            wake = wake.min(batch.opened_at + self.options.delivery_timeout);
            if waiting {
                continue;
            }
            let ready = if hurry { now } else { self.ready_at(batch) };
            wake = wake.min(ready.max(queue.retry_at));
        }
        wake
    }
}

fn unknown_offset() -> Written {
    Written { base_offset: Offset::NONE, append_time: None }
}

/// Asks for a producer id.
async fn ask(client: &Client) -> Result<Identity, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let mut attempts = client.attempts();
    loop {
        let response = client.call_any(&request).await?;
        match check(response.error_code, None) {
            Ok(()) => {
                let (id, epoch) = (response.producer_id, response.producer_epoch);
                return Ok(Identity { id: ProducerId(id), epoch: ProducerEpoch(epoch) });
            }
            Err(error) => attempts.pause(error).await?,
        }
    }
}

/// Sends one request; `None` where no answer comes.
async fn produce(
    client: &Client,
    leader: NodeId,
    mut request: ProduceRequest,
    acks: Acks,
) -> Result<Option<ProduceResponse>, ClientError> {
    let connection = client.broker(leader).await?;
    // Topics go by id from version 13, by name before.
    let by_id = connection.version_of::<ProduceRequest>()? >= 13;
    for topic in &mut request.topic_data {
        if by_id {
            topic.name = Default::default();
        } else {
            topic.topic_id = Default::default();
        }
    }
    match acks {
        Acks::None => connection.send_only(&request).await.map(|()| None),
        Acks::All | Acks::Leader => connection.call(&request).await.map(Some),
    }
}
