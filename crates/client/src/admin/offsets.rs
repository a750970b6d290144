//! Offsets of partitions: look them up, delete records below them. Asked of the leaders.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{LeaderEpoch, Offset, TopicPartition};
use wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use crate::client::Client;
use crate::connection::Connection;
use crate::consumer::Isolation;
use crate::error::{ClientError, check};
use crate::metadata::error_of;

/// Which offset of a partition to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log's end (the high watermark; for read_committed the last stable offset).
    Latest,
    /// The log's start.
    Earliest,
    /// The offset of the record with the largest timestamp.
    MaxTimestamp,
    /// The start of what is kept on the broker's own disk.
    EarliestLocal,
    /// The end of what is in tiered storage.
    LatestTiered,
    /// The first offset that waits to be uploaded to tiered storage.
    EarliestPendingUpload,
    /// The first record at or after a time in milliseconds since 1970.
    Timestamp(i64),
}

/// An offset found. Absent (-1) when no record answers the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: Offset,
    pub timestamp: i64,
    pub leader_epoch: LeaderEpoch,
}

type PerPartition<T> = BTreeMap<TopicPartition, Result<T, ClientError>>;
type ByLeader<T> = BTreeMap<String, (Arc<Connection>, Vec<(TopicPartition, T)>)>;

impl OffsetSpec {
    /// The protocol's number.
    pub fn timestamp(self) -> i64 {
        match self {
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::EarliestLocal => -4,
            OffsetSpec::LatestTiered => -5,
            OffsetSpec::EarliestPendingUpload => -6,
            OffsetSpec::Timestamp(at) => at,
        }
    }
}

impl Client {
    /// Looks up one offset in each partition. Missing and moving leaders are tried again until
    /// `api_timeout`; what is still an error then is the partition's result.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Result<PerPartition<FoundOffset>, ClientError> {
        let mut results = BTreeMap::new();
        let mut open = wanted.to_vec();
        let mut attempts = self.attempts();
        while !open.is_empty() {
            let mut failed = Vec::new();
            for (connection, part) in self.by_leader(&open, &mut failed).await.into_values() {
                let request = list_offsets_request(&part, isolation, self.timeout_ms());
                match connection.call(&request).await {
                    Ok(response) => {
                        for (of, result) in found_offsets(response) {
                            results.insert(of, result);
                        }
                    }
                    Err(error) => {
                        failed.extend(part.into_iter().map(|(of, _)| (of, error.clone())))
                    }
                }
            }
            results.extend(failed.into_iter().map(|(of, error)| (of, Err(error))));
            open = self.to_retry(wanted, &results);
            if let Some((of, _)) = open.first() {
                let Some(Err(error)) = results.get(of) else { break };
                if attempts.pause(error.clone()).await.is_err() {
                    break;
                }
            }
        }
        Ok(results)
    }

    /// Moves the log start of partitions up to an offset (-1: the high watermark). The result is
    /// the new low watermark.
    pub async fn delete_records(
        &self,
        wanted: &[(TopicPartition, Offset)],
    ) -> Result<PerPartition<Offset>, ClientError> {
        let mut results = BTreeMap::new();
        let mut open = wanted.to_vec();
        let mut attempts = self.attempts();
        while !open.is_empty() {
            let mut failed = Vec::new();
            for (connection, part) in self.by_leader(&open, &mut failed).await.into_values() {
                match connection.call(&delete_records_request(&part, self.timeout_ms())).await {
                    Ok(response) => results.extend(low_watermarks(response)),
                    Err(error) => {
                        failed.extend(part.into_iter().map(|(of, _)| (of, error.clone())))
                    }
                }
            }
            results.extend(failed.into_iter().map(|(of, error)| (of, Err(error))));
            open = self.to_retry(wanted, &results);
            if let Some((of, _)) = open.first() {
                let Some(Err(error)) = results.get(of) else { break };
                if attempts.pause(error.clone()).await.is_err() {
                    break;
                }
            }
        }
        Ok(results)
    }

    /// The partitions whose error may pass, with their topics' metadata forgotten.
    fn to_retry<T: Clone, R>(
        &self,
        wanted: &[(TopicPartition, T)],
        results: &PerPartition<R>,
    ) -> Vec<(TopicPartition, T)> {
        let retriable = wanted.iter().filter(|(of, _)| match results.get(of) {
            Some(Err(error)) => error.is_retriable(),
            Some(Ok(_)) | None => false,
        });
        let open: Vec<_> = retriable.cloned().collect();
        for (of, _) in &open {
            self.forget_topic(&of.topic);
        }
        open
    }

    /// Sorts partitions by the leader's connection; those without one go to `failed`.
    async fn by_leader<T: Clone>(
        &self,
        wanted: &[(TopicPartition, T)],
        failed: &mut Vec<(TopicPartition, ClientError)>,
    ) -> ByLeader<T> {
        let mut sorted: ByLeader<T> = BTreeMap::new();
        for (of, what) in wanted {
            let connection = match self.leader(of).await {
                Ok(leader) => self.broker(leader).await,
                Err(error) => Err(error),
            };
            match connection {
                Ok(connection) => {
                    let addr = connection.addr().to_owned();
                    let entry = sorted.entry(addr).or_insert((connection, Vec::new()));
                    entry.1.push((of.clone(), what.clone()));
                }
                Err(error) => failed.push((of.clone(), error)),
            }
        }
        sorted
    }
}

fn list_offsets_request(
    part: &[(TopicPartition, OffsetSpec)],
    isolation: Isolation,
    timeout_ms: i32,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (of, spec) in part {
        topics.entry(&of.topic).or_default().push(ListOffsetsPartition {
            partition_index: of.partition.0,
            timestamp: spec.timestamp(),
            ..Default::default()
        });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| ListOffsetsTopic { name: name.into(), partitions });
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation as i8,
        topics: topics.collect(),
        timeout_ms,
    }
}

fn found_offsets(
    response: wire::list_offsets::ListOffsetsResponse,
) -> Vec<(TopicPartition, Result<FoundOffset, ClientError>)> {
    let mut found = Vec::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let of = TopicPartition {
                topic: topic.name.to_string(),
                partition: types::PartitionIndex(partition.partition_index),
            };
            let offset = FoundOffset {
                offset: Offset(partition.offset),
                timestamp: partition.timestamp,
                leader_epoch: LeaderEpoch(partition.leader_epoch),
            };
            found.push((of, check(partition.error_code, None).map(|()| offset)));
        }
    }
    found
}

fn delete_records_request(
    part: &[(TopicPartition, Offset)],
    timeout_ms: i32,
) -> DeleteRecordsRequest {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for (of, offset) in part {
        topics
            .entry(&of.topic)
            .or_default()
            .push(DeleteRecordsPartition { partition_index: of.partition.0, offset: offset.0 });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| DeleteRecordsTopic { name: name.into(), partitions });
    DeleteRecordsRequest { topics: topics.collect(), timeout_ms }
}

fn low_watermarks(
    response: wire::delete_records::DeleteRecordsResponse,
) -> Vec<(TopicPartition, Result<Offset, ClientError>)> {
    let mut found = Vec::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let of = TopicPartition {
                topic: topic.name.to_string(),
                partition: types::PartitionIndex(partition.partition_index),
            };
            let result = match error_of(partition.error_code) {
                Some(code) => Err(ClientError::refused(code, None)),
                None => Ok(Offset(partition.low_watermark)),
            };
            found.push((of, result));
        }
    }
    found
}
