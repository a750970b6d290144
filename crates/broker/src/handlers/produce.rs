//! Produce: append record batches, answer when the replicas have them as asked.
//!
//! A batch is looked at once, by its header and CRC; its bytes go to the log as they came.

use super::leaders::{LeaderHints, PRODUCE_HINTS};
use super::{Outcome, ProducePending, RequestContext};
use crate::replica::{AppendTicket, Partition};
use config::{TimestampType, TopicConfig};
use futures::FutureExt;
use metadata::Image;
use records::{BatchError, ProduceLimits, ProducedBatch, RecordRules, TimestampLimits};
use replication::Acks;
use std::sync::Arc;
use std::time::Duration;
use types::{ErrorCode, TopicId};
use wire::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest,
    ProduceResponse, TopicProduceResponse,
};
use wire::{Records, StrBytes};

/// The version from which topics are named by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The version that brought zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// Most bytes that one batch's records may unpack to, where they must be looked at one by one.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// The client id that Kafka's own tools use to write internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Where one partition of a request stands.
enum Progress {
    Appended { index: i32, ticket: AppendTicket, hint: Hint },
    Refused(PartitionProduceResponse),
}

type Hint = (Arc<Partition>, LeaderHints);

struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal { code, message: None, record_errors: Vec::new() }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Refusal {
        let message = Some(error.to_string());
        Refusal { code: error.code(), message, record_errors: Vec::new() }
    }
}

/// Appends at once; the future waits for the replicas.
pub fn begin(ctx: &RequestContext, request: ProduceRequest) -> ProducePending {
    let is_silent = request.acks == 0;
    let image = ctx.broker.image.load();
    let hints = LeaderHints::new(ctx, &image, PRODUCE_HINTS);
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let batch = TopicBatch {
            ctx,
            image: &image,
            name: &topic.name,
            topic_id: topic.topic_id,
            acks: request.acks,
            timeout: Duration::from_millis(request.timeout_ms.max(0) as u64),
            is_transactional: request.transactional_id.is_some(),
        };
        let progress: Vec<Progress> =
            topic.partition_data.into_iter().map(|data| batch.append(data, &hints)).collect();
        // A slice of the name would keep the whole frame in memory until the replicas have it.
        topics.push((topic.name.detach(), topic.topic_id, progress));
    }
    if is_silent {
        let has_failed = topics
            .iter()
            .flat_map(|(_, _, progress)| progress)
            .any(|progress| matches!(progress, Progress::Refused(_)));
        let outcome = if has_failed { Outcome::Close } else { Outcome::Silent };
        return std::future::ready(outcome).boxed();
    }
    finish(topics, hints).boxed()
}

async fn finish(
    topics: Vec<(StrBytes, TopicId, Vec<Progress>)>,
    hints: LeaderHints,
) -> Outcome<ProduceResponse> {
    let mut response = ProduceResponse::default();
    for (name, topic_id, progress) in topics {
        let mut partitions = Vec::with_capacity(progress.len());
        for one in progress {
            partitions.push(match one {
                Progress::Refused(refused) => refused,
                Progress::Appended { index, ticket, hint } => answer(index, ticket, hint).await,
            });
        }
        response.responses.push(TopicProduceResponse {
            name,
            topic_id,
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
    match committed {
        Ok(()) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset.0,
            log_append_time_ms: appended.log_append_time.0,
            log_start_offset: appended.log_start_offset.0,
            ..Default::default()
        },
        Err(code) => {
            let (partition, hints) = hint;
            let mut refused = refuse(index, code.into());
            if code == ErrorCode::NotLeaderOrFollower {
                let (leader_id, leader_epoch) = hints.current(&partition.id);
                refused.current_leader.leader_id = leader_id;
                refused.current_leader.leader_epoch = leader_epoch;
            }
            refused
        }
    }
}

fn refuse(index: i32, refusal: Refusal) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: refusal.code.into(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: refusal.record_errors,
        error_message: refusal.message.map(StrBytes::from),
        ..Default::default()
    }
}

/// What all partitions of one topic in a request share.
struct TopicBatch<'a> {
    ctx: &'a RequestContext,
    image: &'a Image,
    name: &'a StrBytes,
    topic_id: TopicId,
    acks: i16,
    timeout: Duration,
    is_transactional: bool,
}

impl TopicBatch<'_> {
    fn append(&self, data: PartitionProduceData, hints: &LeaderHints) -> Progress {
        let index = data.index;
        match self.try_append(data) {
            Ok((partition, ticket)) => {
                Progress::Appended { index, ticket, hint: (partition, hints.clone()) }
            }
            Err(refusal) => {
                let code = refusal.code;
                let mut refused = refuse(index, refusal);
                if code == ErrorCode::NotLeaderOrFollower
                    && let Some(topic_id) = self.known_topic_id()
                {
                    let partition = types::PartitionIndex(index);
                    let id = types::TopicIdPartition { topic_id, partition };
                    let (leader_id, leader_epoch) = hints.current(&id);
                    refused.current_leader.leader_id = leader_id;
                    refused.current_leader.leader_epoch = leader_epoch;
                }
                Progress::Refused(refused)
            }
        }
    }

    fn known_topic_id(&self) -> Option<TopicId> {
        match self.ctx.api_version >= TOPIC_IDS_FROM {
            true => Some(self.topic_id),
            false => self.image.topic_id(self.name),
        }
    }

    fn try_append(
        &self,
        data: PartitionProduceData,
    ) -> Result<(Arc<Partition>, AppendTicket), Refusal> {
        let acks = Acks::from_wire(self.acks).ok_or(ErrorCode::InvalidRequiredAcks)?;
        let partition = self.find(data.index)?;
        self.check_internal(&partition)?;
        let records = data.records.unwrap_or_else(Records::default).to_bytes();
        let config = partition.config();
        let limits = self.limits(&config);
        let batch = records::validate_produced(&records, &limits)?;
        if self.is_transactional || batch.header().attributes.is_transactional() {
            return Err(Refusal {
                message: Some("transactions are not supported by this version".to_owned()),
                ..ErrorCode::InvalidTxnState.into()
            });
        }
        check_each(&batch, &config, limits.timestamps)?;
        let count = batch.header().records_count;
        let ticket = partition.append(&batch, acks, self.timeout, None)?;
        partition.topic_metrics.produced(records.len() as u64, count.max(0) as u64);
        Ok((partition, ticket))
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

    fn limits(&self, config: &TopicConfig) -> ProduceLimits {
        let message = &config.message;
        let timestamps = match message.timestamp_type {
            TimestampType::LogAppendTime => None,
            TimestampType::CreateTime => Some(TimestampLimits {
                now: self.ctx.broker.env.clock.wall(),
                before_max_ms: message.timestamp_before_max_ms.unwrap_or(i64::MAX),
                after_max_ms: message.timestamp_after_max_ms.unwrap_or(i64::MAX),
            }),
        };
        ProduceLimits {
            max_message_bytes: message.max_message_bytes as usize,
            allow_zstd: self.ctx.api_version >= ZSTD_FROM,
            timestamps,
        }
    }
}

/// Looks at each record where the topic asks for it: compacted topics need keys.
fn check_each(
    batch: &ProducedBatch,
    config: &TopicConfig,
    timestamps: Option<TimestampLimits>,
) -> Result<(), Refusal> {
    if !config.cleanup_policy.compact {
        return Ok(());
    }
    let rules = RecordRules { needs_key: true, timestamps, output_bytes_max: UNPACKED_BYTES_MAX };
    records::check_records(batch.batch(), &rules).map_err(|errors| {
        let record_errors = errors
            .iter()
            .map(|error| BatchIndexAndErrorMessage {
                batch_index: error.index,
                batch_index_error_message: Some(StrBytes::from(error.error.to_string())),
            })
            .collect();
        let code = errors.first().map_or(ErrorCode::InvalidRecord, |error| error.error.code());
        let message = Some("one or more records have been rejected".to_owned());
        Refusal { code, message, record_errors }
    })
}
