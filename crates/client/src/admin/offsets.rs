//! Offsets of partitions: look them up, delete records below them. Asked of the leaders.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{EpochOffset, LeaderEpoch, Offset, TopicPartition};
use wire::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use wire::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};

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
type ByLeader<T> = BTreeMap<String, (Arc<Connection>, Vec<Asked<T>>)>;

/// A question to the leader of a partition.
struct Asked<T> {
    of: TopicPartition,
    what: T,
    /// In which epoch it leads, as far as this client knows: a broker that leads in another one
    /// refuses to answer (KIP-320).
    epoch: LeaderEpoch,
}

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
                        failed.extend(part.into_iter().map(|asked| (asked.of, error.clone())))
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

    /// Where leader epochs end: the largest epoch at or below the one asked for that the leader
    /// knows, and its end; NONE if it knows none. One attempt.
    pub async fn epoch_ends(
        &self,
        wanted: &[(TopicPartition, LeaderEpoch)],
    ) -> PerPartition<EpochOffset> {
        let mut failed = Vec::new();
        let mut results = BTreeMap::new();
        for (connection, part) in self.by_leader(wanted, &mut failed).await.into_values() {
            match connection.call(&epoch_ends_request(&part)).await {
                Ok(response) => results.extend(epoch_ends_in(response)),
                Err(error) => {
                    failed.extend(part.into_iter().map(|asked| (asked.of, error.clone())));
                }
            }
        }
        results.extend(failed.into_iter().map(|(of, error)| (of, Err(error))));
        results
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
                        failed.extend(part.into_iter().map(|asked| (asked.of, error.clone())))
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
            let leadership = match self.leadership(of).await {
                Ok((leader, epoch)) => self.broker(leader).await.map(|broker| (broker, epoch)),
                Err(error) => Err(error),
            };
            match leadership {
                Ok((connection, epoch)) => {
                    let addr = connection.addr().to_owned();
                    let entry = sorted.entry(addr).or_insert((connection, Vec::new()));
                    entry.1.push(Asked { of: of.clone(), what: what.clone(), epoch });
                }
                Err(error) => failed.push((of.clone(), error)),
            }
        }
        sorted
    }
}

fn list_offsets_request(
    part: &[Asked<OffsetSpec>],
    isolation: Isolation,
    timeout_ms: i32,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for Asked { of, what, epoch } in part {
        topics.entry(&of.topic).or_default().push(ListOffsetsPartition {
            partition_index: of.partition.0,
            current_leader_epoch: epoch.0,
            timestamp: what.timestamp(),
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

fn epoch_ends_request(part: &[Asked<LeaderEpoch>]) -> OffsetForLeaderEpochRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
    for Asked { of, what, epoch } in part {
        topics.entry(&of.topic).or_default().push(OffsetForLeaderPartition {
            partition: of.partition.0,
            current_leader_epoch: epoch.0,
            leader_epoch: what.0,
        });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OffsetForLeaderTopic { topic: name.into(), partitions });
    OffsetForLeaderEpochRequest { replica_id: -1, topics: topics.collect() }
}

fn epoch_ends_in(
    response: OffsetForLeaderEpochResponse,
) -> Vec<(TopicPartition, Result<EpochOffset, ClientError>)> {
    let mut found = Vec::new();
    for topic in response.topics {
        for end in topic.partitions {
            let partition = types::PartitionIndex(end.partition);
            let of = TopicPartition { topic: topic.topic.to_string(), partition };
            let epoch = LeaderEpoch(end.leader_epoch);
            let end_of_epoch = EpochOffset { epoch, offset: Offset(end.end_offset) };
            found.push((of, check(end.error_code, None).map(|()| end_of_epoch)));
        }
    }
    found
}

fn delete_records_request(part: &[Asked<Offset>], timeout_ms: i32) -> DeleteRecordsRequest {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for Asked { of, what, .. } in part {
        topics
            .entry(&of.topic)
            .or_default()
            .push(DeleteRecordsPartition { partition_index: of.partition.0, offset: what.0 });
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
