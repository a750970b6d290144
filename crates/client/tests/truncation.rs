//! A consumer and a leader whose log lost what was read: a broker of a few lines plays the leader.

#![allow(clippy::disallowed_methods, reason = "a test listens on a port of its own")]

use bytes::BytesMut;
use client::admin::OffsetSpec;
use client::{Client, ClientError, ClientOptions, Consumer, ConsumerOptions, OffsetReset};
use records::{BatchBuilder, BatchOptions, NewRecord};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use types::{LeaderEpoch, Offset, PartitionIndex, TopicPartition};
use wire::api_versions::{ApiVersion, ApiVersionsResponse};
use wire::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use wire::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use wire::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderTopicResult,
};
use wire::{ApiKey, Bytes, Message, Records};

const TOPIC: &str = "t";
const VERSIONS: [(ApiKey, i16); 5] = [
    (ApiKey::ApiVersions, 0),
    (ApiKey::Metadata, 8),
    (ApiKey::ListOffsets, 5),
    (ApiKey::Fetch, 11),
    (ApiKey::OffsetForLeaderEpoch, 3),
];

/// The leader: in which epoch it leads, and where its log and each epoch end.
#[derive(Default)]
struct Leader {
    epoch: i32,
    /// One record each; the index is the offset, the value the leader epoch.
    log: Vec<i32>,
    /// The epochs that fetches and lookups named.
    named: Vec<i32>,
    /// Questions after ends of epochs.
    asked: Vec<i32>,
}

impl Leader {
    fn refuses(&mut self, epoch: i32) -> i16 {
        self.named.push(epoch);
        if epoch == self.epoch { 0 } else { 74 }
    }

    fn fetch(&mut self, request: &FetchRequest) -> FetchResponse {
        let wanted = &request.topics[0].partitions[0];
        let error_code = self.refuses(wanted.current_leader_epoch);
        let at = wanted.fetch_offset as usize;
        let is_there = error_code == 0 && at < self.log.len();
        let records = is_there.then(|| Records::new(batch(at as i64, self.log[at])));
        let data = PartitionData {
            error_code,
            high_watermark: self.log.len() as i64,
            records,
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: TOPIC.into(),
            partitions: vec![data],
            ..Default::default()
        };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }

    fn list(&mut self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let error_code = self.refuses(request.topics[0].partitions[0].current_leader_epoch);
        let partition =
            ListOffsetsPartitionResponse { error_code, offset: 0, ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: TOPIC.into(), partitions: vec![partition] };
        ListOffsetsResponse { topics: vec![topic], ..Default::default() }
    }

    fn end(&mut self, request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let wanted = &request.topics[0].partitions[0];
        let error_code = self.refuses(wanted.current_leader_epoch);
        self.asked.push(wanted.leader_epoch);
        let end = self.log.iter().filter(|epoch| **epoch <= wanted.leader_epoch).count();
        let leader_epoch = end.checked_sub(1).map_or(0, |last| self.log[last]);
        let partition =
            EpochEndOffset { error_code, partition: 0, leader_epoch, end_offset: end as i64 };
        let topic = OffsetForLeaderTopicResult { topic: TOPIC.into(), partitions: vec![partition] };
        OffsetForLeaderEpochResponse { topics: vec![topic], ..Default::default() }
    }

    fn metadata(&self, port: i32) -> MetadataResponse {
        let broker =
            MetadataResponseBroker { node_id: 1, host: "127.0.0.1".into(), port, rack: None };
        let partition = MetadataResponsePartition {
            leader_id: 1,
            leader_epoch: self.epoch,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topic = MetadataResponseTopic {
            name: Some(TOPIC.into()),
            partitions: vec![partition],
            ..Default::default()
        };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..Default::default() }
    }
}

/// A batch of one record, as a leader of this epoch appends it.
fn batch(offset: i64, epoch: i32) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = Some(Bytes::from(format!("{offset} of epoch {epoch}")));
    builder.push(&NewRecord { value, timestamp: types::Timestamp(1), ..Default::default() });
    let mut bytes = BytesMut::from(&builder.build().bytes[..]);
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&epoch.to_be_bytes());
    bytes.freeze()
}

fn answer<M: Message>(version: i16, id: i32, response: &M) -> Bytes {
    wire::frame::encode_response(version, id, response).expect("encodes").into_bytes()
}

async fn serve(mut stream: TcpStream, leader: Arc<Mutex<Leader>>, port: i32) {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = wire::frame::split(&mut buffer, 1 << 20).expect("a frame") {
            let (header, mut reader) = wire::frame::open_request(frame).expect("a request");
            let (key, version, id) = (header.api_key, header.api_version, header.correlation_id);
            let bytes = {
                let mut leader = leader.lock().unwrap();
                match key {
                    ApiKey::ApiVersions => {
                        let api = |(key, max): &(ApiKey, i16)| ApiVersion {
                            api_key: *key as i16,
                            min_version: if *key == ApiKey::ApiVersions { 0 } else { *max },
                            max_version: *max,
                        };
                        let api_keys = VERSIONS.iter().map(api).collect();
                        let error_code = if version > 0 { 35 } else { 0 };
                        let response =
                            ApiVersionsResponse { error_code, api_keys, ..Default::default() };
                        answer(0, id, &response)
                    }
                    ApiKey::Metadata => answer(version, id, &leader.metadata(port)),
                    ApiKey::ListOffsets => {
                        let asked = ListOffsetsRequest::decode(&mut reader, version).unwrap();
                        answer(version, id, &leader.list(&asked))
                    }
                    ApiKey::Fetch => {
                        let asked = FetchRequest::decode(&mut reader, version).unwrap();
                        answer(version, id, &leader.fetch(&asked))
                    }
                    ApiKey::OffsetForLeaderEpoch => {
                        let asked =
                            OffsetForLeaderEpochRequest::decode(&mut reader, version).unwrap();
                        answer(version, id, &leader.end(&asked))
                    }
                    other => panic!("asked {other:?}"),
                }
            };
            stream.write_all(&bytes).await.expect("written");
        }
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

async fn consumer(reset: OffsetReset, log: Vec<i32>) -> (Consumer, Arc<Mutex<Leader>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let epoch = log.last().copied().unwrap_or(0);
    let leader = Arc::new(Mutex::new(Leader { epoch, log, ..Leader::default() }));
    let serving = leader.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(stream, serving.clone(), i32::from(address.port())));
        }
    });
    let options = ClientOptions::new(vec![address.to_string()]);
    let client = Client::new(env::Env::real(), options).expect("a client");
    let options = ConsumerOptions {
        reset,
        fetch_wait_max: Duration::from_millis(10),
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::new(client, options);
    let of = TopicPartition { topic: TOPIC.to_owned(), partition: PartitionIndex(0) };
    consumer.assign(&[(of, OffsetSpec::Earliest)]);
    (consumer, leader)
}

/// Reads this many records: the offset and the leader epoch of each.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<(Offset, LeaderEpoch)> {
    let mut records = Vec::new();
    while records.len() < count {
        let polled = consumer.poll(Duration::from_secs(10)).await.expect("records");
        records.extend(polled.iter().map(|record| (record.offset, record.leader_epoch)));
    }
    records
}

fn at(offset: i64, epoch: i32) -> (Offset, LeaderEpoch) {
    (Offset(offset), LeaderEpoch(epoch))
}

#[tokio::test]
async fn a_consumer_goes_back_to_where_the_new_leaders_log_parts() {
    let (mut consumer, leader) = consumer(OffsetReset::Latest, vec![0, 0, 0, 0]).await;
    assert_eq!(read(&mut consumer, 4).await.len(), 4);
    // An unclean election: the new leader never had the last two, and wrote others.
    *leader.lock().unwrap() = Leader { epoch: 1, log: vec![0, 0, 1, 1], ..Leader::default() };
    assert_eq!(read(&mut consumer, 2).await, [at(2, 1), at(3, 1)]);
    let leader = leader.lock().unwrap();
    assert_eq!(leader.asked, [0], "it asks where the epoch of what it read ends");
    assert!(
        leader.named.contains(&1),
        "it names the epoch that it believes in: {:?}",
        leader.named
    );
}

#[tokio::test]
async fn a_consumer_without_a_reset_policy_is_told() {
    let (mut consumer, leader) = consumer(OffsetReset::None, vec![0, 0, 0]).await;
    assert_eq!(read(&mut consumer, 3).await.len(), 3);
    *leader.lock().unwrap() = Leader { epoch: 2, log: vec![0, 2, 2, 2], ..Leader::default() };
    let error = loop {
        match consumer.poll(Duration::from_secs(10)).await {
            Ok(records) => assert!(records.is_empty(), "it reads over the gap: {records:?}"),
            Err(error) => break error,
        }
    };
    let parts_at = Some(1);
    assert_eq!(error, ClientError::Truncated { partition: "t-0".to_owned(), at: 3, parts_at });
}

#[tokio::test]
async fn a_leader_that_holds_what_was_read_is_read_on_from() {
    let (mut consumer, leader) = consumer(OffsetReset::None, vec![0, 0, 0]).await;
    assert_eq!(read(&mut consumer, 3).await.len(), 3);
    *leader.lock().unwrap() = Leader { epoch: 1, log: vec![0, 0, 0, 1], ..Leader::default() };
    assert_eq!(read(&mut consumer, 1).await, [at(3, 1)]);
}
