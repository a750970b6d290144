//! Produce: append record batches, answer when the replicas have them as asked.
//!
//! A batch is looked at once: by its header and CRC, and by its records where that needs no
//! unpacking or the topic asks for it ([`super::produce_records`]). Its bytes go to the log as they
//! came unless the topic wants another codec.
//!
//! A request whose batches need no unpacking is appended while it is read. Any other is appended by
//! [`Begun::first`], which the connection awaits before it reads the next request: the order of a
//! producer's batches is that of its requests.

use super::leaders::{LeaderHints, PRODUCE_HINTS};
use super::produce_records::{self, Refusal};
use super::{Begun, Outcome, RequestContext};
use crate::replica::{AppendTicket, Partition};
use futures::FutureExt;
use metadata::Image;
use records::{ProduceLimits, ProducedBatch, RecordRules};
use replication::Acks;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use types::{ErrorCode, TopicId};
use wire::StrBytes;
use wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};

/// The version from which topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The version that brought zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// Most batches of one request that are looked into on the spot: about 10 ms at worst.
const ON_THE_SPOT_BATCHES_MAX: usize = 32;
/// The client id that Kafka's own tools use to write internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Where one partition of a request stands.
enum Progress {
    Appended { index: i32, ticket: AppendTicket, hint: Hint },
    Refused(PartitionProduceResponse),
}

type Hint = (Arc<Partition>, LeaderHints);

/// A batch whose header is sound, on its way to its partition.
struct Admitted {
    index: i32,
    partition: Arc<Partition>,
    batch: ProducedBatch,
    rules: RecordRules,
    /// As the client sent it.
    request_bytes: usize,
}

/// One topic of a request: each partition is admitted, or refused.
struct Topic<P> {
    name: StrBytes,
    topic_id: TopicId,
    partitions: Vec<P>,
}

type AdmittedTopics = Vec<Topic<Result<Admitted, PartitionProduceResponse>>>;

/// How an append is to be acknowledged.
#[derive(Clone, Copy)]
struct Terms {
    acks: i16,
    timeout: Duration,
}

/// Appends, at once where it can; the answer waits for the replicas.
pub fn begin(ctx: &RequestContext, request: ProduceRequest) -> Begun<Outcome<ProduceResponse>> {
    let image = ctx.broker.image.load();
    let hints = LeaderHints::new(ctx, PRODUCE_HINTS);
    let timeout = Duration::from_millis(request.timeout_ms.max(0) as u64);
    let terms = Terms { acks: request.acks, timeout };
    let topics = check_small(admit(ctx, &image, request, &hints));
    let mut admitted = topics.iter().flat_map(|topic| &topic.partitions).flatten();
    if !admitted.any(|one| one.batch.must_unpack(&one.rules)) {
        return Begun::at_once(settle(append(topics, terms, &hints), terms, hints).boxed());
    }
    let (sender, receiver) = oneshot::channel();
    let (ctx, first_hints) = (ctx.clone(), hints.clone());
    let first = async move {
        let topics = unpack(&ctx, topics).await;
        // The connection may be gone; the records are in the log none the less.
        let _ = sender.send(append(topics, terms, &first_hints));
    };
    let pending = async move {
        match receiver.await {
            Ok(topics) => settle(topics, terms, hints).await,
            // Not begun: the connection is closing.
            Err(_) => Outcome::Close,
        }
    };
    Begun { first: Some(first.boxed()), pending: pending.boxed() }
}

fn admit(
    ctx: &RequestContext,
    image: &Image,
    request: ProduceRequest,
    hints: &LeaderHints,
) -> AdmittedTopics {
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let batch = TopicBatch {
            ctx,
            image,
            name: &topic.name,
            topic_id: topic.topic_id,
            acks: request.acks,
            is_transactional: request.transactional_id.is_some(),
        };
        let partitions =
            topic.partition_data.into_iter().map(|data| batch.admit(data, hints)).collect();
        // A slice of the name would keep the whole frame in memory until the replicas have it.
        topics.push(Topic { name: topic.name.detach(), topic_id: topic.topic_id, partitions });
    }
    topics
}

/// Conforms those batches that must be unpacked and are small.
fn check_small(mut topics: AdmittedTopics) -> AdmittedTopics {
    let mut left = ON_THE_SPOT_BATCHES_MAX;
    for admitted in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let Ok(one) = admitted else { continue };
        if !one.batch.must_unpack(&one.rules) || left == 0 {
            continue;
        }
        left -= 1;
        match produce_records::on_the_spot(&one.batch, &one.rules) {
            Some(Ok(batch)) => {
                one.batch = batch;
                one.rules = one.rules.once_conformed();
            }
            Some(Err(refusal)) => *admitted = Err(refuse(one.index, refusal, Some(&one.partition))),
            None => {}
        }
    }
    topics
}

/// Conforms those batches that must still be unpacked, one after the other.
async fn unpack(ctx: &RequestContext, topics: AdmittedTopics) -> AdmittedTopics {
    let mut unpacked = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for one in topic.partitions {
            partitions.push(match one {
                Ok(one) if one.batch.must_unpack(&one.rules) => {
                    let conformed = ctx.broker.packing.conform(one.batch.clone(), one.rules).await;
                    let rules = one.rules.once_conformed();
                    match conformed {
                        Ok(batch) => Ok(Admitted { batch, rules, ..one }),
                        Err(refusal) => Err(refuse(one.index, refusal, Some(&one.partition))),
                    }
                }
                other => other,
            });
        }
        unpacked.push(Topic { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    unpacked
}

fn append(topics: AdmittedTopics, terms: Terms, hints: &LeaderHints) -> Vec<Topic<Progress>> {
    let append = |one: Result<Admitted, PartitionProduceResponse>| match one {
        Ok(admitted) => admitted.append(terms, hints),
        Err(refused) => Progress::Refused(refused),
    };
    let append_all = |topic: Topic<_>| Topic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(append).collect(),
    };
    topics.into_iter().map(append_all).collect()
}

async fn settle(
    topics: Vec<Topic<Progress>>,
    terms: Terms,
    hints: LeaderHints,
) -> Outcome<ProduceResponse> {
    if terms.acks != 0 {
        return finish(topics, hints).await;
    }
    let mut all = topics.iter().flat_map(|topic| &topic.partitions);
    match all.any(|progress| matches!(progress, Progress::Refused(_))) {
        true => Outcome::Close,
        false => Outcome::Silent,
    }
}

async fn finish(topics: Vec<Topic<Progress>>, hints: LeaderHints) -> Outcome<ProduceResponse> {
    let mut response = ProduceResponse::default();
    for topic in topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for one in topic.partitions {
            partitions.push(match one {
                Progress::Refused(refused) => refused,
                Progress::Appended { index, ticket, hint } => answer(index, ticket, hint).await,
            });
        }
        response.responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: partitions,
        });
    }
    let moved = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .filter(|p| p.current_leader.leader_id >= 0)
        .map(|p| p.current_leader.leader_id);
    response.node_endpoints = hints.produce_endpoints(moved);
    Outcome::Reply(response)
}

async fn answer(index: i32, ticket: AppendTicket, hint: Hint) -> PartitionProduceResponse {
    let (appended, committed) = ticket.finish().await;
    // Also where the replicas did not have it in time: it is in the log here.
    let answer = PartitionProduceResponse {
        index,
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time.0,
        log_start_offset: appended.log_start_offset.0,
        ..Default::default()
    };
    match committed {
        Ok(()) => answer,
        Err(code) => {
            let (partition, hints) = hint;
            let refused = PartitionProduceResponse { error_code: code.into(), ..answer };
            with_leader(refused, &hints, &partition.id)
        }
    }
}

fn refuse(index: i32, refusal: Refusal, partition: Option<&Partition>) -> PartitionProduceResponse {
    let start = partition.filter(|_| refusal.tells_log_start);
    PartitionProduceResponse {
        index,
        error_code: refusal.code.into(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: start.map_or(-1, |partition| partition.log().lock().start_offset().0),
        record_errors: refusal.record_errors,
        error_message: refusal.message.map(StrBytes::from),
        ..Default::default()
    }
}

/// Says who leads, to a client that came to the wrong broker.
fn with_leader(
    mut refused: PartitionProduceResponse,
    hints: &LeaderHints,
    id: &types::TopicIdPartition,
) -> PartitionProduceResponse {
    let (leader_id, leader_epoch) = hints.current(id, refused.error_code);
    refused.current_leader.leader_id = leader_id;
    refused.current_leader.leader_epoch = leader_epoch;
    refused
}

impl Admitted {
    fn append(self, terms: Terms, hints: &LeaderHints) -> Progress {
        let (index, partition, request_bytes) =
            (self.index, self.partition.clone(), self.request_bytes);
        match self.try_append(terms) {
            Ok((ticket, count)) => {
                partition.topic_metrics.produced(request_bytes as u64, count.max(0) as u64);
                Progress::Appended { index, ticket, hint: (partition, hints.clone()) }
            }
            Err(refusal) => {
                let refused = refuse(index, refusal, Some(&partition));
                Progress::Refused(with_leader(refused, hints, &partition.id))
            }
        }
    }

    fn try_append(self, terms: Terms) -> Result<(AppendTicket, i32), Refusal> {
        let acks = Acks::from_wire(terms.acks).ok_or(ErrorCode::InvalidRequiredAcks)?;
        let batch = self.batch.conform(&self.rules)?;
        let ticket =
            self.partition.append(&batch, acks, terms.timeout, None).map_err(Refusal::of_append)?;
        Ok((ticket, batch.header().records_count))
    }
}

/// What all partitions of one topic in a request share.
struct TopicBatch<'a> {
    ctx: &'a RequestContext,
    image: &'a Image,
    name: &'a StrBytes,
    topic_id: TopicId,
    acks: i16,
    is_transactional: bool,
}

impl TopicBatch<'_> {
    fn admit(
        &self,
        data: PartitionProduceData,
        hints: &LeaderHints,
    ) -> Result<Admitted, PartitionProduceResponse> {
        let index = data.index;
        let partition = self.find(index).map_err(|code| {
            let refused = refuse(index, code.into(), None);
            let Some(topic_id) = self.known_topic_id() else { return refused };
            let partition = types::PartitionIndex(index);
            with_leader(refused, hints, &types::TopicIdPartition { topic_id, partition })
        })?;
        match self.try_admit(data, &partition) {
            Ok(admitted) => Ok(admitted),
            Err(refusal) => Err(refuse(index, refusal, Some(&partition))),
        }
    }

    fn known_topic_id(&self) -> Option<TopicId> {
        match self.ctx.api_version >= TOPIC_IDS_FROM {
            true => Some(self.topic_id),
            false => self.image.topic_id(self.name),
        }
    }

    fn try_admit(
        &self,
        data: PartitionProduceData,
        partition: &Arc<Partition>,
    ) -> Result<Admitted, Refusal> {
        Acks::from_wire(self.acks).ok_or(ErrorCode::InvalidRequiredAcks)?;
        self.check_internal(partition)?;
        let records = data.records.unwrap_or_default().to_bytes();
        let rules = produce_records::rules(&partition.config(), self.ctx.broker.env.clock.wall());
        let limits = ProduceLimits {
            max_message_bytes: rules.max_message_bytes,
            allow_zstd: self.ctx.api_version >= ZSTD_FROM,
        };
        let batch = records::validate_produced(&records, &limits)?;
        if self.is_transactional || batch.header().attributes.is_transactional() {
            return Err(Refusal {
                message: Some("transactions are not supported by this version".to_owned()),
                ..ErrorCode::InvalidTxnState.into()
            });
        }
        let (index, request_bytes) = (data.index, records.len());
        Ok(Admitted { index, partition: partition.clone(), batch, rules, request_bytes })
    }

    fn find(&self, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let replicas = &self.ctx.broker.replicas;
        if self.ctx.api_version < TOPIC_IDS_FROM {
            return replicas.find(self.image, self.name, index);
        }
        if self.image.topic(self.topic_id).is_none() {
            return Err(ErrorCode::UnknownTopicId);
        }
        replicas.find_by_id(self.image, self.topic_id, index)
    }

    fn check_internal(&self, partition: &Partition) -> Result<(), Refusal> {
        let is_admin = self.ctx.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
        if is_admin || !types::is_internal_topic(&partition.name.topic) {
            return Ok(());
        }
        let message = format!("topic {} is internal", partition.name.topic);
        Err(Refusal { message: Some(message), ..ErrorCode::InvalidTopicException.into() })
    }
}
