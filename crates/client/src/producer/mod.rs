//! Sends records, batched per partition.
//!
//! Promises:
//! - Records of one partition are written in the order of their `send` calls. One batch of a
//!   partition is in flight at a time, so a retry cannot overtake.
//! - With idempotence every batch carries producer id, epoch and sequence, and a retry of it is
//!   the same bytes: a broker that has it already answers and does not append again.
//! - Every record's [`Delivery`] resolves: with its offset, or with an error after
//!   `delivery_timeout` at the latest.
//! - At most `buffer_bytes` of records wait; `send` waits for room.
//!
//! Does not: transactions.
//!
//! One worker task owns all state; this handle only sends it commands.

mod batch;
mod worker;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use records::{Compression, Header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use types::{Offset, PartitionIndex, Timestamp, TopicPartition};

use crate::client::Client;
use crate::error::ClientError;
use crate::options::{parse_bool, parse_ms, parse_number};
use worker::{Command, Worker};

/// Which replicas must have a batch before it counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Acks {
    /// Every in-sync replica, and at least `min.insync.replicas` of them.
    All = -1,
    /// Nobody is waited for; offsets are unknown.
    None = 0,
    Leader = 1,
}

/// How a producer behaves, under Kafka's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`; needs `acks=all`.
    pub idempotence: bool,
    /// `linger.ms`: the wait for more records before a batch that is not full goes out.
    pub linger: Duration,
    /// `batch.size`: uncompressed bytes.
    pub batch_bytes: usize,
    /// `buffer.memory`.
    pub buffer_bytes: usize,
    /// `max.request.size`: uncompressed bytes of one record, and of one batch.
    pub request_bytes_max: usize,
    /// `compression.type`.
    pub compression: Compression,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`: the broker's wait for the replicas.
    pub request_timeout: Duration,
    /// `max.block.ms`: the wait for a topic's metadata.
    pub block_max: Duration,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            idempotence: true,
            linger: Duration::from_millis(5),
            batch_bytes: 16 << 10,
            buffer_bytes: 32 << 20,
            request_bytes_max: 1 << 20,
            compression: Compression::None,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            block_max: Duration::from_secs(60),
        }
    }
}

impl ProducerOptions {
    /// Takes a producer property by Kafka's name. `Ok(false)`: not a property of this struct.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool, ClientError> {
        match key {
            "acks" => self.acks = Acks::parse(value)?,
            "enable.idempotence" => self.idempotence = parse_bool(key, value)?,
            "linger.ms" => self.linger = parse_ms(key, value)?,
            "batch.size" => self.batch_bytes = parse_number(key, value)?,
            "buffer.memory" => self.buffer_bytes = parse_number(key, value)?,
            "max.request.size" => self.request_bytes_max = parse_number(key, value)?,
            "compression.type" => {
                self.compression = Compression::from_name(value).ok_or_else(|| {
                    ClientError::Invalid(format!("compression.type is not known: {value}"))
                })?;
            }
            "delivery.timeout.ms" => self.delivery_timeout = parse_ms(key, value)?,
            "request.timeout.ms" => self.request_timeout = parse_ms(key, value)?,
            "max.block.ms" => self.block_max = parse_ms(key, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Acks {
    /// Reads `all`, `-1`, `0` or `1`.
    pub fn parse(text: &str) -> Result<Acks, ClientError> {
        match text.trim() {
            "all" | "-1" => Ok(Acks::All),
            "0" => Ok(Acks::None),
            "1" => Ok(Acks::Leader),
            _ => Err(ClientError::Invalid(format!("acks is none of all, -1, 0, 1: {text}"))),
        }
    }
}

/// A record to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    pub topic: String,
    /// Absent: by the key's hash, or, without a key, the current sticky partition.
    pub partition: Option<PartitionIndex>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Absent: now.
    pub timestamp: Option<Timestamp>,
}

/// Where a record was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    pub partition: TopicPartition,
    /// -1 where it is not known (acks=0, or a duplicate whose offset the broker forgot).
    pub offset: Offset,
    /// The broker's time where the topic uses LogAppendTime, else the record's.
    pub timestamp: Timestamp,
}

/// The outcome of one record, to come.
pub struct Delivery(oneshot::Receiver<Result<RecordMetadata, ClientError>>);

impl Future for Delivery {
    type Output = Result<RecordMetadata, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(ClientError::Closed)))
    }
}

/// A record on its way through the worker. Its share of the buffer is free again when it drops.
pub(crate) struct Pending {
    pub(crate) record: ProducerRecord,
    pub(crate) timestamp: Timestamp,
    pub(crate) bytes: usize,
    pub(crate) outcome: oneshot::Sender<Result<RecordMetadata, ClientError>>,
    pub(crate) _room: OwnedSemaphorePermit,
}

/// A producer's handle. Cheap to clone; records of one clone keep their order.
#[derive(Clone)]
pub struct Producer {
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    client: Client,
    options: Arc<ProducerOptions>,
}

/// Most commands between handle and worker.
const COMMANDS_MAX: usize = 1024;
/// Bytes that a record needs besides key, value and headers, at most.
const RECORD_OVERHEAD: usize = 64;

impl Producer {
    /// Starts the worker in the client's task group.
    pub fn start(client: Client, options: ProducerOptions) -> Result<Producer, ClientError> {
        let mut options = options;
        if options.acks != Acks::All {
            options.idempotence = false;
        }
        if options.buffer_bytes > u32::MAX as usize || options.buffer_bytes == 0 {
            return Err(ClientError::Invalid("buffer.memory is out of range".to_owned()));
        }
        let options = Arc::new(options);
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let worker = Worker::new(client.clone(), options.clone());
        client.tasks().spawn(worker.run(received));
        let room = Arc::new(Semaphore::new(options.buffer_bytes));
        Ok(Producer { commands, room, client, options })
    }

    /// Queues a record, waiting for room in the buffer. The outcome comes by the [`Delivery`].
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery, ClientError> {
        let headers: usize = record.headers.iter().map(header_bytes).sum();
        let payload = record.key.as_ref().map_or(0, Bytes::len)
            + record.value.as_ref().map_or(0, Bytes::len)
            + headers;
        let bytes = payload + RECORD_OVERHEAD;
        let limit = self.options.request_bytes_max.min(self.options.buffer_bytes);
        if bytes > limit {
            return Err(ClientError::RecordTooLarge { bytes, limit });
        }
        // Fits: `buffer_bytes` is at most u32::MAX.
        let room = self.room.clone().acquire_many_owned(bytes as u32).await;
        let room = room.map_err(|_| ClientError::Closed)?;
        let timestamp = record.timestamp.unwrap_or_else(|| self.client.env().clock.wall());
        let (outcome, delivery) = oneshot::channel();
        let pending = Pending { record, timestamp, bytes, outcome, _room: room };
        self.commands.send(Command::Send(pending)).await.map_err(|_| ClientError::Closed)?;
        Ok(Delivery(delivery))
    }

    /// Sends everything queued so far at once and waits until all of it has an outcome.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Flush(done)).await.map_err(|_| ClientError::Closed)?;
        wait.await.map_err(|_| ClientError::Closed)
    }
}

fn header_bytes(header: &Header) -> usize {
    header.key.len() + header.value.as_ref().map_or(0, Bytes::len) + 10
}
