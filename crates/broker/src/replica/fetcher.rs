//! The follower's side of replica streams: one stream to each broker that leads something which
//! this broker follows.
//!
//! Promises: a stream that breaks is opened again after a short pause, to the address that the
//! newest image gives; positions of many partitions travel together; the leader gets new credit as
//! its records are appended, so that what is on the way is bounded.

use super::ReplicaManager;
use super::partition::Partition;
use super::session::partition_id;
use super::settings::replica_address;
use crate::context::BrokerCore;
use rpc::replica::replica_client::ReplicaClient;
use rpc::replica::{FollowRequest, FollowResponse, Hello, Position};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use types::{BrokerEpoch, Monotonic, NodeId, TopicIdPartition};

/// Bytes of records that one leader may have on the way to this broker.
const CREDIT_BYTES: u64 = 8 << 20;
/// Before a stream that broke is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// The stream to one leader broker, as partitions see it.
pub struct FollowLink {
    pub leader: NodeId,
    partitions: Mutex<BTreeMap<TopicIdPartition, Arc<Partition>>>,
    outbox: Mutex<Vec<Position>>,
    news: Notify,
    is_open: AtomicBool,
    is_stopped: AtomicBool,
    /// When the stream that was open broke, in microseconds; 0 while it is open or never was.
    broken_at: AtomicU64,
}

impl FollowLink {
    pub fn new(leader: NodeId) -> Arc<FollowLink> {
        Arc::new(FollowLink {
            leader,
            partitions: Mutex::default(),
            outbox: Mutex::default(),
            news: Notify::new(),
            is_open: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            broken_at: AtomicU64::new(0),
        })
    }

    /// Whether the stream is open now: a partition that joins says where it stands at once.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Whether the stream of partitions followed over it broke within the last `time`.
    pub fn has_just_broken(&self, now: Monotonic, time: Duration) -> bool {
        let broken_at = self.broken_at.load(Ordering::Acquire);
        let is_fresh = broken_at != 0 && now.since(Monotonic(broken_at)) < time;
        is_fresh && !self.partitions().is_empty()
    }

    /// Queues a position; sent with the others that wait.
    pub fn send(&self, position: Position) {
        if self.is_open() {
            self.outbox.lock().expect("no thread panicked while it held the outbox").push(position);
            self.news.notify_one();
        }
    }

    pub fn add(&self, partition: &Arc<Partition>) {
        self.partitions().insert(partition.id, partition.clone());
    }

    pub fn remove(&self, id: &TopicIdPartition) {
        self.partitions().remove(id);
    }

    /// The image changed: a stream of an older registration of this broker looks at it and ends.
    pub fn look_again(&self) {
        self.news.notify_one();
    }

    /// Ends the stream for good.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.news.notify_one();
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<TopicIdPartition, Arc<Partition>>> {
        self.partitions.lock().expect("no thread panicked while it held the partitions")
    }

    fn take_outbox(&self) -> Vec<Position> {
        std::mem::take(
            &mut self.outbox.lock().expect("no thread panicked while it held the outbox"),
        )
    }

    fn each(&self, tell: impl Fn(&Arc<Partition>)) {
        let partitions: Vec<Arc<Partition>> = self.partitions().values().cloned().collect();
        partitions.iter().for_each(tell);
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("its address is not known")]
    NoAddress,
    #[error("cannot connect: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("{0}")]
    Status(Box<tonic::Status>),
    #[error("closed by the leader")]
    Closed,
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> StreamError {
        StreamError::Status(Box::new(status))
    }
}

/// Keeps one link's stream until it is stopped.
pub async fn run(link: Arc<FollowLink>, core: Arc<BrokerCore>, manager: Weak<ReplicaManager>) {
    let mut is_logged = false;
    while !link.is_stopped() {
        let Some(running) = manager.upgrade() else { return };
        let ended = follow(&link, &core, &running, &mut is_logged).await;
        drop(running);
        if link.is_open.swap(false, Ordering::AcqRel) {
            link.broken_at.store(core.env.clock.now().0, Ordering::Release);
        }
        link.each(|partition| partition.stream_broken(link.leader));
        link.take_outbox();
        if let Err(error) = ended
            && !std::mem::replace(&mut is_logged, true)
        {
            tracing::info!(leader = %link.leader, %error, "replica stream ended; trying again");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn follow(
    link: &Arc<FollowLink>,
    core: &BrokerCore,
    manager: &Arc<ReplicaManager>,
    is_logged: &mut bool,
) -> Result<(), StreamError> {
    let epoch = core.broker_epoch.get();
    if epoch == BrokerEpoch::NONE {
        return Err(StreamError::NoAddress);
    }
    let image = core.image.load();
    let address =
        replica_address(&image, link.leader, &core.config).ok_or(StreamError::NoAddress)?;
    let channel = crate::channel::channel(&core.env.net, &address)?;
    let mut client = ReplicaClient::new(channel)
        .max_decoding_message_size(crate::channel::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(crate::channel::MESSAGE_BYTES_MAX);
    let (requests, receiver) = mpsc::channel(4);
    let hello = Hello {
        follower_id: core.node_id.0,
        broker_epoch: epoch.0,
        incarnation_id: bytes::Bytes::copy_from_slice(&core.incarnation_id.0),
    };
    let first = FollowRequest {
        hello: Some(hello),
        credit_bytes: CREDIT_BYTES,
        ..FollowRequest::default()
    };
    // A new stream's channel holds four messages and has none.
    let _ = requests.try_send(first);
    let mut responses = client.follow(ReceiverStream::new(receiver)).await?.into_inner();
    tracing::info!(leader = %link.leader, "replica stream open");
    *is_logged = false;
    link.is_open.store(true, Ordering::Release);
    link.broken_at.store(0, Ordering::Release);
    link.each(|partition| partition.stream_opened(link.leader));
    let mut used: u64 = 0;
    loop {
        tokio::select! {
            biased;
            response = responses.message() => {
                let response = response?.ok_or(StreamError::Closed)?;
                used += take_response(link, manager, response);
            }
            () = link.news.notified() => {}
        }
        if link.is_stopped() || core.broker_epoch.get() != epoch {
            return Ok(());
        }
        let positions = link.take_outbox();
        if positions.is_empty() && used < CREDIT_BYTES / 4 {
            continue;
        }
        let credit_bytes = std::mem::take(&mut used);
        let request = FollowRequest { positions, credit_bytes, ..FollowRequest::default() };
        requests.send(request).await.map_err(|_| StreamError::Closed)?;
    }
}

/// Hands the chunks to their partitions; returns the bytes of records in them.
fn take_response(link: &FollowLink, manager: &ReplicaManager, response: FollowResponse) -> u64 {
    let mut used = 0;
    for chunk in response.chunks {
        used += chunk.records.len() as u64;
        if let Some(id) = partition_id(&chunk.topic_id, chunk.partition)
            && let Some(partition) = manager.partition(&id)
        {
            partition.chunk_received(link.leader, chunk);
        }
    }
    used
}
