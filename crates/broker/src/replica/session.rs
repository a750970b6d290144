//! The leader's side of a replica stream: what one follower broker is to be sent.
//!
//! Promises: records go out only within the follower's credit; a partition with news is sent soon,
//! a mere move of its high watermark within [`WATERMARK_DELAY`]; no partition starves another, as
//! each gives at most one chunk per response, and they take turns over responses.
//! Does not: decide what a follower may have; [`super::Partition`] and its machine do.

use super::ReplicaManager;
use super::partition::OutgoingChunk;
use crate::broker::spawn;
use env::Tasks;
use rpc::replica::{Chunk, EpochEnd, FollowRequest, FollowResponse, Hello, Position};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tonic::Status;
use types::{BrokerEpoch, Monotonic, NodeId, PartitionIndex, TopicIdPartition, Uuid};

/// Most bytes of records in one response: more only delays its first chunk.
const RESPONSE_BYTES_MAX: usize = 2 << 20;
/// How long a move of the high watermark may wait for records to travel with.
const WATERMARK_DELAY: Duration = Duration::from_millis(10);
/// Responses made ahead of the network.
pub const RESPONSES_AHEAD: usize = 2;

/// Streams so far; only their order matters.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// One follower broker's stream, as partitions see it.
pub struct Session {
    /// Later streams have higher numbers. What is left of a broken stream may be read after the
    /// next one is open; it must not undo what that one said.
    pub number: u64,
    pub follower: NodeId,
    pub broker_epoch: BrokerEpoch,
    queue: Mutex<Queue>,
    news: Notify,
    credit_bytes: AtomicI64,
    /// When a position last came, of whatever partition, in microseconds.
    heard_at: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Partitions that have something to send now.
    dirty: BTreeSet<TopicIdPartition>,
    /// Partitions whose watermark moved, and nothing else.
    moved: BTreeSet<TopicIdPartition>,
    /// Answers that are made already: refusals and divergences.
    ready: Vec<Chunk>,
    /// The partition that was served last.
    last: Option<TopicIdPartition>,
}

impl Session {
    pub fn new(hello: &Hello) -> Arc<Session> {
        Arc::new(Session {
            number: SESSIONS.fetch_add(1, Ordering::Relaxed),
            follower: NodeId(hello.follower_id),
            broker_epoch: BrokerEpoch(hello.broker_epoch),
            queue: Mutex::default(),
            news: Notify::new(),
            credit_bytes: AtomicI64::new(0),
            heard_at: AtomicU64::new(0),
        })
    }

    /// The partition has records (or a first answer) for the follower.
    pub fn mark_dirty(&self, id: TopicIdPartition) {
        if self.lock().dirty.insert(id) {
            self.news.notify_one();
        }
    }

    /// The partition's high watermark moved.
    pub fn mark_moved(&self, id: TopicIdPartition) {
        let mut queue = self.lock();
        if !queue.dirty.contains(&id) && queue.moved.insert(id) {
            drop(queue);
            self.news.notify_one();
        }
    }

    /// An answer that needs no reading.
    pub fn push(&self, chunk: Chunk) {
        self.lock().ready.push(chunk);
        self.news.notify_one();
    }

    /// When the follower last said where it stands, with any partition.
    pub fn heard_at(&self) -> Monotonic {
        Monotonic(self.heard_at.load(Ordering::Acquire))
    }

    fn add_credit(&self, bytes: u64) {
        self.credit_bytes.fetch_add(bytes as i64, Ordering::AcqRel);
        self.news.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no thread panicked while it held the session")
    }

    /// Waits until something is to be sent; merges watermark moves that have waited enough.
    async fn wait(&self) {
        loop {
            let (is_due, has_moved) = {
                let queue = self.lock();
                let has_credit = self.credit_bytes.load(Ordering::Acquire) > 0;
                let has_dirty = has_credit && !queue.dirty.is_empty();
                let has_moved = has_credit && !queue.moved.is_empty();
                (has_dirty || !queue.ready.is_empty(), has_moved)
            };
            if is_due {
                return;
            }
            if has_moved {
                // New records, or the end of the delay: both send the watermark.
                let _ = tokio::time::timeout(WATERMARK_DELAY, self.news.notified()).await;
                let mut queue = self.lock();
                let moved = std::mem::take(&mut queue.moved);
                queue.dirty.extend(moved);
                return;
            }
            self.news.notified().await;
        }
    }

    /// The next response: ready answers, then a chunk for each partition with news, while the
    /// credit lasts.
    fn collect(&self, manager: &ReplicaManager) -> FollowResponse {
        let (mut chunks, mut dirty, mut last) = {
            let mut queue = self.lock();
            (std::mem::take(&mut queue.ready), std::mem::take(&mut queue.dirty), queue.last)
        };
        let limits = &manager.core().config.replication;
        let chunk_max = limits.fetch_max_bytes as usize;
        let mut budget = RESPONSE_BYTES_MAX.min(limits.fetch_response_max_bytes as usize);
        while budget > 0 && self.credit_bytes.load(Ordering::Acquire) > 0 {
            let Some(id) = take_turn(&mut dirty, &mut last) else { break };
            let Some(partition) = manager.partition(&id) else { continue };
            let Some(chunk) = partition.next_chunk(self, chunk_max.min(budget)) else {
                continue;
            };
            budget = budget.saturating_sub(chunk.records.len());
            self.credit_bytes.fetch_sub(chunk.records.len() as i64, Ordering::AcqRel);
            if chunk.has_more {
                self.lock().dirty.insert(id);
            }
            chunks.push(into_wire(&id, chunk));
        }
        let mut queue = self.lock();
        queue.dirty.append(&mut dirty);
        queue.last = last;
        FollowResponse { chunks }
    }
}

/// Takes the next partition in turn, the one after that which was served last: where all have more
/// than goes into a response, the first ones would starve the others.
fn take_turn(
    dirty: &mut BTreeSet<TopicIdPartition>,
    last: &mut Option<TopicIdPartition>,
) -> Option<TopicIdPartition> {
    let after = |last| dirty.range((Bound::Excluded(last), Bound::Unbounded)).next().copied();
    let id = last.and_then(after).or_else(|| dirty.first().copied())?;
    dirty.remove(&id);
    *last = Some(id);
    Some(id)
}

/// Runs one stream until either side ends it.
pub fn serve(
    tasks: &Tasks,
    manager: Arc<ReplicaManager>,
    hello: Hello,
    first: FollowRequest,
    mut requests: tonic::Streaming<FollowRequest>,
) -> mpsc::Receiver<Result<FollowResponse, Status>> {
    let (responses, receiver) = mpsc::channel(RESPONSES_AHEAD);
    let session = Session::new(&hello);
    let reading = (session.clone(), manager.clone());
    let closed = responses.clone();
    spawn(tasks, async move {
        let (session, manager) = reading;
        take_request(&session, &manager, first);
        loop {
            tokio::select! {
                biased;
                () = closed.closed() => break,
                request = requests.message() => match request {
                    Ok(Some(request)) => take_request(&session, &manager, request),
                    // The follower went away or its connection broke: it will be back.
                    Ok(None) | Err(_) => break,
                },
            }
        }
        manager.end_session(&session);
    });
    spawn(tasks, async move {
        loop {
            tokio::select! {
                biased;
                () = responses.closed() => break,
                () = session.wait() => {
                    let response = session.collect(&manager);
                    if !response.chunks.is_empty() && responses.send(Ok(response)).await.is_err() {
                        break;
                    }
                }
            }
        }
    });
    receiver
}

fn take_request(session: &Arc<Session>, manager: &ReplicaManager, request: FollowRequest) {
    for removed in request.removed {
        if let Some(id) = partition_id(&removed.topic_id, removed.partition)
            && let Some(partition) = manager.partition(&id)
        {
            partition.unsubscribe(session);
        }
    }
    if !request.positions.is_empty() {
        session.heard_at.store(manager.core().env.clock.now().0, Ordering::Release);
    }
    for position in request.positions {
        take_position(session, manager, &position);
    }
    if request.credit_bytes > 0 {
        session.add_credit(request.credit_bytes);
    }
}

fn take_position(session: &Arc<Session>, manager: &ReplicaManager, position: &Position) {
    let Some(id) = partition_id(&position.topic_id, position.partition) else { return };
    match manager.partition(&id) {
        Some(partition) => partition.follower_position(session, position),
        None if manager.keep_early(&id, session, position) => {}
        None => session.push(Chunk {
            topic_id: position.topic_id.clone(),
            partition: position.partition,
            leader_epoch: position.leader_epoch,
            position: position.offset,
            error_code: i32::from(i16::from(types::ErrorCode::UnknownTopicOrPartition)),
            ..Chunk::default()
        }),
    }
}

/// The id on the wire; `None` for bytes that are no id (they come from a broken peer).
pub fn partition_id(topic_id: &[u8], partition: i32) -> Option<TopicIdPartition> {
    let topic_id = Uuid(topic_id.try_into().ok()?);
    Some(TopicIdPartition { topic_id, partition: PartitionIndex(partition) })
}

fn into_wire(id: &TopicIdPartition, chunk: OutgoingChunk) -> Chunk {
    Chunk {
        topic_id: bytes::Bytes::copy_from_slice(&id.topic_id.0),
        partition: id.partition.0,
        leader_epoch: chunk.leader_epoch.0,
        position: chunk.position.0,
        records: chunk.records,
        high_watermark: chunk.high_watermark.0,
        log_start_offset: chunk.log_start_offset.0,
        error_code: 0,
        diverging: None,
    }
}

/// A divergence as the stream says it.
pub fn epoch_end(end: types::EpochOffset) -> EpochEnd {
    EpochEnd { epoch: end.epoch.0, end_offset: end.offset.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_always_have_more_take_turns() {
        let id = |number: u8| TopicIdPartition {
            topic_id: Uuid([number; 16]),
            partition: PartitionIndex(0),
        };
        let (mut dirty, mut last) = (BTreeSet::from([id(1), id(2), id(3)]), None);
        let mut served = Vec::new();
        for _ in 0..7 {
            // One fits into each response, and has more.
            let next = take_turn(&mut dirty, &mut last).expect("one of three");
            dirty.insert(next);
            served.push(next.topic_id.0[0]);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 3, 1]);
    }
}
