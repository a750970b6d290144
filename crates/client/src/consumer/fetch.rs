//! One fetch at one broker, and the records in its answer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use records::{Batch, TimestampType, batches};
use types::{LeaderEpoch, Monotonic, Offset, PartitionIndex, ProducerId, TopicPartition};
use wire::fetch::{AbortedTransaction, FetchPartition, FetchRequest, FetchTopic, PartitionData};

use super::{ConsumedRecord, ConsumerOptions, Isolation, Topics};
use crate::client::Client;
use crate::error::{ClientError, check};
use types::NodeId;

/// Most bytes that one batch may decompress to.
const BATCH_OUTPUT_BYTES_MAX: usize = 256 << 20;

/// A fetch to do.
pub(super) struct Fetch {
    pub(super) client: Client,
    pub(super) options: ConsumerOptions,
    pub(super) leader: NodeId,
    /// What is asked for, and the epoch in which the broker is believed to lead.
    pub(super) partitions: Vec<(TopicPartition, Offset, LeaderEpoch)>,
    pub(super) assignment_epoch: u64,
}

/// What came of a fetch.
pub(super) struct FetchDone {
    pub(super) leader: NodeId,
    pub(super) assignment_epoch: u64,
    pub(super) asked: Vec<TopicPartition>,
    /// When the fetch began and ended.
    pub(super) span: (Monotonic, Monotonic),
    pub(super) result: Result<Vec<FetchedPartition>, ClientError>,
}

/// One partition of an answer.
pub(super) struct FetchedPartition {
    pub(super) of: TopicPartition,
    /// The offset that was asked for.
    pub(super) asked: Offset,
    pub(super) result: Result<Fetched, ClientError>,
}

pub(super) struct Fetched {
    pub(super) records: Vec<ConsumedRecord>,
    /// Where the next fetch goes on; past records that are not for the consumer.
    pub(super) next_offset: Offset,
    /// The leader epoch of what lies before it, if something came.
    pub(super) last_epoch: Option<LeaderEpoch>,
    pub(super) high_watermark: Offset,
    pub(super) log_start: Offset,
}

impl Fetch {
    pub(super) async fn run(self) -> FetchDone {
        let asked = self.partitions.iter().map(|(of, ..)| of.clone()).collect();
        let began = self.client.env().clock.now();
        let result = self.fetch().await;
        let span = (began, self.client.env().clock.now());
        let (leader, assignment_epoch) = (self.leader, self.assignment_epoch);
        FetchDone { leader, assignment_epoch, asked, span, result }
    }

    async fn fetch(&self) -> Result<Vec<FetchedPartition>, ClientError> {
        let connection = self.client.broker(self.leader).await?;
        let by_id = connection.version_of::<FetchRequest>()? >= 13;
        let (request, topics) = self.request(by_id).await?;
        let time = self.client.options().request_timeout + self.options.fetch_wait_max;
        let response = connection.call_within(&request, time).await?;
        check(response.error_code, None)?;
        let asked: BTreeMap<_, _> =
            self.partitions.iter().map(|(of, offset, _)| (of.clone(), *offset)).collect();
        let mut fetched = Vec::new();
        for topic in response.responses {
            let name = match topics.get(&topic.topic_id) {
                Some(known) if by_id => known.name.clone(),
                Some(_) | None => topic.topic.to_string(),
            };
            for data in topic.partitions {
                let partition = PartitionIndex(data.partition_index);
                let of = TopicPartition { topic: name.clone(), partition };
                let Some(offset) = asked.get(&of).copied() else { continue };
                let result = self.read(&of, offset, data);
                fetched.push(FetchedPartition { of, asked: offset, result });
            }
        }
        Ok(fetched)
    }

    async fn request(&self, by_id: bool) -> Result<(FetchRequest, Topics), ClientError> {
        let mut topics = Topics::new();
        let mut by_topic: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for (of, offset, epoch) in &self.partitions {
            by_topic.entry(&of.topic).or_default().push(FetchPartition {
                partition: of.partition.0,
                current_leader_epoch: epoch.0,
                fetch_offset: offset.0,
                partition_max_bytes: self.options.partition_bytes_max,
                ..Default::default()
            });
        }
        let mut wanted = Vec::new();
        for (name, partitions) in by_topic {
            let mut topic = FetchTopic { partitions, ..Default::default() };
            if by_id {
                let known = self.client.topic(name, false).await?;
                topic.topic_id = known.id;
                topics.insert(known.id, known);
            } else {
                topic.topic = name.into();
            }
            wanted.push(topic);
        }
        let request = FetchRequest {
            max_wait_ms: crate::admin::millis(self.options.fetch_wait_max),
            min_bytes: self.options.fetch_bytes_min,
            max_bytes: self.options.fetch_bytes_max,
            isolation_level: self.options.isolation as i8,
            // No fetch session: every request names all its partitions.
            session_id: 0,
            session_epoch: -1,
            topics: wanted,
            rack_id: self.options.rack.as_str().into(),
            ..Default::default()
        };
        Ok((request, topics))
    }

    /// The records of one partition from the asked offset on.
    fn read(
        &self,
        of: &TopicPartition,
        asked: Offset,
        data: PartitionData,
    ) -> Result<Fetched, ClientError> {
        check(data.error_code, None)?;
        let mut fetched = Fetched {
            records: Vec::new(),
            next_offset: asked,
            last_epoch: None,
            high_watermark: Offset(data.high_watermark),
            log_start: Offset(data.log_start_offset),
        };
        let aborted = match self.options.isolation {
            Isolation::ReadCommitted => data.aborted_transactions.unwrap_or_default(),
            Isolation::ReadUncommitted => Vec::new(),
        };
        let mut aborted = Aborted::new(aborted);
        let bytes = data.records.map_or_else(Bytes::new, |records| records.to_bytes());
        for batch in batches(&bytes) {
            let batch = match batch {
                Ok(batch) => batch,
                // The answer ends where the broker's limit cut it.
                Err(records::BatchError::Truncated { .. }) => break,
                Err(error) => return Err(corrupt(of, fetched.next_offset, &error)),
            };
            if batch.header.last_offset() < asked {
                continue;
            }
            self.read_batch(of, asked, &batch, &mut aborted, &mut fetched)?;
        }
        Ok(fetched)
    }

    fn read_batch(
        &self,
        of: &TopicPartition,
        asked: Offset,
        batch: &Batch,
        aborted: &mut Aborted,
        fetched: &mut Fetched,
    ) -> Result<(), ClientError> {
        let header = &batch.header;
        let fault = |error: records::BatchError| corrupt(of, header.base_offset, &error);
        if self.options.check_crcs {
            batch.check_crc().map_err(fault)?;
        }
        if !aborted.skips(batch)? {
            for record in batch.records(BATCH_OUTPUT_BYTES_MAX).map_err(fault)? {
                let record = record.map_err(fault)?;
                if record.offset < asked {
                    continue;
                }
                fetched.records.push(ConsumedRecord {
                    partition: of.clone(),
                    offset: record.offset,
                    timestamp: record.timestamp,
                    is_append_time: header.attributes.timestamp_type()
                        == TimestampType::LogAppendTime,
                    leader_epoch: header.leader_epoch,
                    key: record.key,
                    value: record.value,
                    headers: record.headers,
                });
            }
        }
        fetched.next_offset = header.end_offset();
        fetched.last_epoch = Some(header.leader_epoch);
        Ok(())
    }
}

fn corrupt(of: &TopicPartition, offset: Offset, error: &records::BatchError) -> ClientError {
    ClientError::Corrupt { partition: of.to_string(), offset: offset.0, reason: error.to_string() }
}

/// Which producers' transactions are being skipped at the point reached.
struct Aborted {
    /// By first offset, ascending.
    to_come: std::collections::VecDeque<AbortedTransaction>,
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    fn new(mut list: Vec<AbortedTransaction>) -> Aborted {
        list.sort_by_key(|transaction| transaction.first_offset);
        Aborted { to_come: list.into(), open: BTreeSet::new() }
    }

    /// Whether a batch holds nothing for the consumer: a marker, or part of an aborted transaction.
    fn skips(&mut self, batch: &Batch) -> Result<bool, ClientError> {
        let header = &batch.header;
        while let Some(next) = self.to_come.front() {
            if next.first_offset > header.last_offset().0 {
                break;
            }
            self.open.insert(ProducerId(next.producer_id));
            self.to_come.pop_front();
        }
        if header.attributes.is_control() {
            // A marker, commit or abort, ends the producer's transaction.
            self.open.remove(&header.producer_id);
            return Ok(true);
        }
        Ok(header.attributes.is_transactional() && self.open.contains(&header.producer_id))
    }
}
