//! Fetch: record batches for consumers, with a long poll.
//!
//! Fetch sessions are declined (session id 0 in every response), which the protocol allows. Records
//! are never parsed: a few of them, in memory, come with the response; the rest stay in their files
//! until the connection sends them. Replicas do not fetch here: a request that names a replica is
//! refused.

use super::leaders::{FETCH_HINTS, LeaderHints};
use super::{FetchSource, RequestContext};
use crate::replica::{ConsumerRead, FetchWait, Partition, PlannedRead};
use log::{Behind, ReadPlan};
use metadata::Image;
use std::sync::Arc;
use std::time::Duration;
use types::{ErrorCode, LeaderEpoch, Offset};
use wire::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use wire::{Elsewhere, Records};

/// The version from which topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The version from which a follower may answer (KIP-392).
const FOLLOWERS_FROM: i16 = 11;
/// A consumer's replica id, and that of a debugging consumer, which sees the same.
const CONSUMERS: [i32; 2] = [-1, -2];
/// The session epochs of a request that names all of its partitions (KIP-227): 0 asks for a
/// session, -1 wants none or ends one. Any other goes on with a session, whatever its id.
const WHOLE_FETCH_EPOCHS: [i32; 2] = [0, -1];
/// The longest wait for records, whatever was asked for: a parked request keeps its memory. Kafka's
/// clients ask for half a second.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// Up to this size, a partition's records are read at once: one write then carries them with the
/// response around them.
const SMALL_BYTES: usize = 64 * 1024;
/// Bytes that one response may read at once: what waits for its turn to be sent stays small.
const READ_BYTES_MAX: usize = 256 * 1024;

/// One partition of the request.
struct Wanted {
    index: i32,
    target: Result<Arc<Partition>, ErrorCode>,
    read: ConsumerRead,
}

struct WantedTopic {
    name: wire::StrBytes,
    topic_id: types::TopicId,
    partitions: Vec<Wanted>,
}

type Planned = Vec<Vec<Result<PlannedRead, ErrorCode>>>;

/// The response, and where those of its records are that it does not hold itself.
pub async fn handle(
    ctx: &RequestContext,
    request: FetchRequest,
) -> (FetchResponse, Vec<FetchSource>) {
    if let Err(code) = check(ctx, &request) {
        let response = FetchResponse { error_code: code.into(), ..FetchResponse::default() };
        return (response, Vec::new());
    }
    let image = ctx.broker.image.load();
    let wait_max = wait_max(request.max_wait_ms);
    let bytes_max = request.max_bytes.max(0) as usize;
    let bytes_max = bytes_max.min(ctx.broker.config.requests.fetch_max_bytes as usize);
    // More than may be sent is not waited for.
    let bytes_min = (request.min_bytes.max(0) as usize).min(bytes_max);
    let topics = wanted(ctx, &image, request);
    let planned = poll(&topics, bytes_min, bytes_max, wait_max).await;
    respond(ctx, &image, topics, planned)
}

fn check(ctx: &RequestContext, request: &FetchRequest) -> Result<(), ErrorCode> {
    let replica_id =
        if ctx.api_version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    if !CONSUMERS.contains(&replica_id) {
        return Err(ErrorCode::InvalidRequest);
    }
    // No session was ever given, so no session can go on.
    if !WHOLE_FETCH_EPOCHS.contains(&request.session_epoch) {
        return Err(ErrorCode::FetchSessionIdNotFound);
    }
    Ok(())
}

fn wait_max(asked_ms: i32) -> Duration {
    Duration::from_millis(asked_ms.max(0) as u64).min(WAIT_MAX)
}

fn wanted(ctx: &RequestContext, image: &Image, request: FetchRequest) -> Vec<WantedTopic> {
    let read_committed = request.isolation_level == 1;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| Wanted {
            index: asked.partition,
            target: find(ctx, image, &topic.topic, topic.topic_id, asked.partition),
            read: read_of(ctx, asked, read_committed),
        });
        let partitions = partitions.collect();
        WantedTopic { name: topic.topic, topic_id: topic.topic_id, partitions }
    });
    topics.collect()
}

fn find(
    ctx: &RequestContext,
    image: &Image,
    name: &str,
    topic_id: types::TopicId,
    index: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    if ctx.api_version < TOPIC_IDS_FROM {
        return ctx.broker.replicas.find(image, name, index);
    }
    if image.topic(topic_id).is_none() {
        return Err(ErrorCode::UnknownTopicId);
    }
    ctx.broker.replicas.find_by_id(image, topic_id, index)
}

fn read_of(ctx: &RequestContext, asked: &FetchPartition, read_committed: bool) -> ConsumerRead {
    let epoch = |value: i32| Some(LeaderEpoch(value)).filter(|epoch| epoch.0 >= 0);
    ConsumerRead {
        offset: Offset(asked.fetch_offset),
        max_bytes: asked.partition_max_bytes.max(0) as usize,
        min_one_batch: false,
        current_leader_epoch: epoch(asked.current_leader_epoch),
        last_fetched_epoch: epoch(asked.last_fetched_epoch),
        read_committed,
        from_follower: ctx.api_version >= FOLLOWERS_FROM,
    }
}

/// Forgets a parked fetch wherever it was registered, also when the client goes away.
struct Parked<'a> {
    wait: Arc<FetchWait>,
    topics: &'a [WantedTopic],
}

impl<'a> Parked<'a> {
    fn new(topics: &'a [WantedTopic]) -> Parked<'a> {
        let parked = Parked { wait: FetchWait::new(), topics };
        parked.each(|partition| partition.add_wait(&parked.wait));
        parked
    }

    fn each(&self, tell: impl Fn(&Partition)) {
        let wanted = self.topics.iter().flat_map(|topic| &topic.partitions);
        wanted.filter_map(|wanted| wanted.target.as_deref().ok()).for_each(tell);
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.each(|partition| partition.forget_wait(&self.wait));
    }
}

/// Plans until there is enough to answer with, or the wait is over.
async fn poll(
    topics: &[WantedTopic],
    bytes_min: usize,
    bytes_max: usize,
    wait_max: Duration,
) -> Planned {
    let (planned, is_enough) = plan(topics, bytes_min, bytes_max);
    if is_enough || wait_max.is_zero() {
        return planned;
    }
    let parked = Parked::new(topics);
    let watch = async {
        loop {
            // Also right after parking: what came before it would wake nobody.
            let (planned, is_enough) = plan(topics, bytes_min, bytes_max);
            if is_enough {
                return planned;
            }
            parked.wait.woken().await;
        }
    };
    match tokio::time::timeout(wait_max, watch).await {
        Ok(planned) => planned,
        Err(_) => plan(topics, bytes_min, bytes_max).0,
    }
}

fn plan(topics: &[WantedTopic], bytes_min: usize, bytes_max: usize) -> (Planned, bool) {
    let mut left = bytes_max;
    let mut total = 0;
    let mut ready = 0;
    let mut is_urgent = false;
    let mut plan_one = |wanted: &Wanted| {
        let partition = wanted.target.as_ref().map_err(|code| *code)?;
        let read = ConsumerRead {
            max_bytes: wanted.read.max_bytes.min(left),
            // The first batch of a response goes whatever its size (KIP-74), also where no byte is
            // allowed.
            min_one_batch: total == 0,
            ..wanted.read
        };
        let planned = partition.plan_read(&read)?;
        let len = planned.plan.as_ref().map_or(0, |plan| plan.len());
        total += len;
        left = left.saturating_sub(len);
        // What cannot get any fuller is not waited for: batches stay whole, and a read ends with its
        // segment.
        ready += match planned.plan.as_ref().map(ReadPlan::behind) {
            Some(Behind::Batch) => len.max(read.max_bytes),
            Some(Behind::Segment) => len.max(bytes_min),
            Some(Behind::Nothing) | None => len,
        };
        Ok(planned)
    };
    let mut all = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut planned = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let one: Result<PlannedRead, ErrorCode> = plan_one(wanted);
            is_urgent |= one.as_ref().map_or(true, |planned| planned.diverging.is_some());
            planned.push(one);
        }
        all.push(planned);
    }
    let is_enough = is_urgent || ready >= bytes_min || topics.is_empty();
    (all, is_enough)
}

fn respond(
    ctx: &RequestContext,
    image: &Arc<Image>,
    topics: Vec<WantedTopic>,
    planned: Planned,
) -> (FetchResponse, Vec<FetchSource>) {
    let mut answer = Answer::default();
    let hints = LeaderHints::new(ctx, FETCH_HINTS);
    let mut response = FetchResponse::default();
    let mut moved = Vec::new();
    for (topic, planned) in topics.into_iter().zip(planned) {
        let mut partitions = Vec::with_capacity(planned.len());
        for (wanted, planned) in topic.partitions.iter().zip(planned) {
            let mut data = match planned.and_then(|planned| answer.partition(wanted, planned)) {
                Ok(data) => data,
                Err(code) => failed(wanted.index, code),
            };
            if data.error_code != 0 {
                let topic_id = match ctx.api_version >= TOPIC_IDS_FROM {
                    true => Some(topic.topic_id),
                    false => image.topic_id(&topic.name),
                };
                if let Some(topic_id) = topic_id {
                    let partition = types::PartitionIndex(wanted.index);
                    let id = types::TopicIdPartition { topic_id, partition };
                    let current = hints.current(&id, data.error_code);
                    (data.current_leader.leader_id, data.current_leader.leader_epoch) = current;
                    moved.extend(Some(current.0).filter(|id| *id >= 0));
                }
            }
            partitions.push(data);
        }
        response.responses.push(FetchableTopicResponse {
            topic: topic.name,
            topic_id: topic.topic_id,
            partitions,
        });
    }
    response.node_endpoints = hints.fetch_endpoints(moved.into_iter());
    (response, answer.sources)
}

/// The records of a response that is being made.
#[derive(Default)]
struct Answer {
    sources: Vec<FetchSource>,
    read_bytes: usize,
}

impl Answer {
    fn partition(
        &mut self,
        wanted: &Wanted,
        planned: PlannedRead,
    ) -> Result<PartitionData, ErrorCode> {
        let partition = wanted.target.as_ref().map_err(|code| *code)?;
        let records = self.records(partition, planned.plan)?;
        partition.topic_metrics.fetched(records.len() as u64);
        let mut data = PartitionData {
            partition_index: wanted.index,
            high_watermark: planned.high_watermark.0,
            last_stable_offset: planned.last_stable_offset.0,
            log_start_offset: planned.log_start_offset.0,
            preferred_read_replica: -1,
            aborted_transactions: wanted.read.read_committed.then(Vec::new),
            records: Some(records),
            ..PartitionData::default()
        };
        if let Some(end) = planned.diverging {
            data.diverging_epoch.epoch = end.epoch.0;
            data.diverging_epoch.end_offset = end.offset.0;
        }
        Ok(data)
    }

    fn records(
        &mut self,
        partition: &Arc<Partition>,
        plan: Option<ReadPlan>,
    ) -> Result<Records, ErrorCode> {
        let Some(plan) = plan.filter(|plan| !plan.is_empty()) else {
            return Ok(Records::default());
        };
        let len = plan.len();
        if len <= SMALL_BYTES && self.read_bytes + len <= READ_BYTES_MAX {
            let read = plan.read_now().map_err(|error| {
                tracing::error!(partition = %partition.name, %error, "cannot read");
                partition.read_failed(&error);
                ErrorCode::KafkaStorageError
            })?;
            if let Some(bytes) = read {
                self.read_bytes += len;
                return Ok(Records::new(bytes));
            }
        }
        let source = self.sources.len();
        self.sources.push(FetchSource::new(partition.clone(), plan));
        Ok(Records::from_elsewhere(Elsewhere { len, source }))
    }
}

fn failed(index: i32, code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: code.into(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        aborted_transactions: None,
        records: Some(Records::default()),
        ..PartitionData::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_kept_waiting_for_longer_than_the_longest_wait() {
        let waits = [-1, 0, 500, i32::MAX].map(wait_max);
        assert_eq!(waits, [Duration::ZERO, Duration::ZERO, Duration::from_millis(500), WAIT_MAX]);
    }
}
