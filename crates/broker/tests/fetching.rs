//! Records on their way from a broker's files to its clients.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use env::disk::{DirEntry, MemDisk, Open};
use env::{Disk, Env, File};
use records::{BatchBuilder, BatchOptions, NewRecord};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::Node;
use support::kafka::Connection;
use types::Offset;
use wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use wire::{Bytes, Records};

const TOPIC: &str = "t";
const TRANSFERS: [&str; 2] = ["sendfile", "pread"];
/// Where base offset and leader epoch stand in a batch, which the broker fills in.
const STAMPED: usize = 17;

async fn create(client: &mut Connection, partitions: i32) {
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

/// A batch of one record whose bytes are like no other's.
fn batch(number: usize, size: usize) -> Bytes {
    let value =
        (0..size).map(|at| ((at * 31) ^ (at >> 8) ^ (number * 7)) as u8).collect::<Vec<u8>>();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = Some(Bytes::from(value));
    builder.push(&NewRecord { value, timestamp: types::Timestamp(1), ..Default::default() });
    builder.build().bytes
}

fn produce(partition: i32, records: Bytes) -> ProduceRequest {
    let records = Some(Records::new(records));
    ProduceRequest {
        acks: -1,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: TOPIC.into(),
            partition_data: vec![PartitionProduceData { index: partition, records }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn append(client: &mut Connection, partition: i32, records: Bytes) {
    let response = client.call(9, &produce(partition, records)).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

fn fetch(partitions: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: max_bytes,
        ..Default::default()
    };
    FetchRequest {
        replica_id: -1,
        min_bytes: 1,
        max_bytes: i32::MAX,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The batches of each partition, without what the broker filled in.
fn unstamped(response: &FetchResponse) -> Vec<Vec<Bytes>> {
    let batches = |records: &Records| {
        let records = records.to_bytes();
        let batches = records::batches(&records).map(|batch| {
            let batch = batch.expect("a whole batch");
            batch.check_crc().expect("a sound batch");
            batch.bytes.slice(STAMPED..)
        });
        batches.collect::<Vec<_>>()
    };
    let partitions = response.responses[0].partitions.iter();
    partitions.map(|data| data.records.as_ref().map(batches).unwrap_or_default()).collect()
}

#[tokio::test]
async fn records_of_all_sizes_arrive_as_they_were_sent_by_each_way_of_moving_them() {
    let cold = ColdDisk::default();
    for (transfer, disk) in [
        ("sendfile", Env::real().disk),
        ("pread", Env::real().disk),
        ("sendfile", Arc::new(MemDisk::new())),
        ("sendfile", Arc::new(cold.clone())),
        ("pread", Arc::new(cold.clone())),
    ] {
        let env = Env { disk, ..Env::real() };
        let node = Node::start_with(env, &[("ottla.fetch.transfer", transfer)]).await;
        let mut client = node.connect().await;
        create(&mut client, 3).await;
        // Read at once; through one chunk; by sendfile with a small rest.
        let sizes = [vec![10, 2000], vec![70_000, 1], vec![900_000, 300_000, 800_000, 5]];
        let mut sent = Vec::new();
        for (partition, sizes) in sizes.iter().enumerate() {
            let batches = sizes.iter().enumerate();
            let batches: Vec<_> = batches.map(|(at, size)| batch(at + partition, *size)).collect();
            for batch in &batches {
                append(&mut client, partition as i32, batch.clone()).await;
            }
            sent.push(batches.iter().map(|batch| batch.slice(STAMPED..)).collect::<Vec<_>>());
        }
        // Several in a row, so that one is answered while another is on its way.
        for version in [4, 11, 12] {
            client.send(version, &fetch(3, 0, 8 << 20)).await;
        }
        for version in [4, 11, 12] {
            let response: FetchResponse = client.receive(version).await;
            assert_eq!(unstamped(&response), sent, "{transfer}, version {version}");
        }
        let later = client.call(12, &fetch(1, 1, 8 << 20)).await;
        assert_eq!(unstamped(&later)[0], sent[0][1..], "{transfer}");
    }
    assert!(cold.0.load(Ordering::Relaxed) > 0, "nobody asked what is in memory");
}

/// A disk with nothing in memory; counts how often it was asked for that.
#[derive(Clone, Default)]
struct ColdDisk(Arc<AtomicU64>);

struct ColdFile(Arc<dyn File>, Arc<AtomicU64>);

impl File for ColdFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(buf, position)
    }
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buf, position)
    }
    fn read_at_now(&self, _: &mut [u8], _: u64) -> io::Result<Option<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Disk for ColdDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let file = env::disk::RealDisk.open(path, how)?;
        Ok(Arc::new(ColdFile(file, self.0.clone())))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        env::disk::RealDisk.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        env::disk::RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        env::disk::RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        env::disk::RealDisk.remove_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        env::disk::RealDisk.list(path)
    }
    fn exists(&self, path: &Path) -> bool {
        env::disk::RealDisk.exists(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        env::disk::RealDisk.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        env::disk::RealDisk.lock(path)
    }
}

#[tokio::test]
async fn an_answer_whose_records_are_cut_off_ends_the_connection_before_other_bytes_go_out() {
    for transfer in TRANSFERS {
        let node = Node::start(&[("ottla.fetch.transfer", transfer)]).await;
        let mut client = node.connect().await;
        create(&mut client, 1).await;
        // More than the buffers of both sockets hold.
        let mut sent = Vec::new();
        for number in 0..40 {
            sent.push(batch(number, 1_000_000));
            append(&mut client, 0, sent[number].clone()).await;
        }
        client.send(12, &fetch(1, 0, 1 << 30)).await;
        let mut got = client.some_bytes(4).await.to_vec();
        let length = u32::from_be_bytes(got[..4].try_into().expect("a length")) as usize;
        assert!(length > 40_000_000, "{length} bytes");

        let context = node.broker.context();
        let partition = context.replicas.find(&context.image.load(), TOPIC, 0);
        let log = partition.map_err(|_| "unserved").expect("the partition").log().clone();
        log.lock().truncate_to(Offset(0)).expect("truncated");
        let now = types::Timestamp(1);
        log.lock().append_as_follower(&batch(77, 5_000_000), now).expect("appended");

        loop {
            let bytes = client.some_bytes(1 << 20).await;
            if bytes.is_empty() {
                break;
            }
            got.extend_from_slice(&bytes);
        }
        assert!(got.len() < length, "{transfer}: {} of {length} bytes came", got.len());
        let first = got.windows(100).position(|window| window == &sent[0][STAMPED..][..100]);
        let mut rest = &got[first.expect("the first batch")..];
        for batch in &sent {
            let expected = &batch[STAMPED..];
            let count = expected.len().min(rest.len());
            assert!(rest[..count] == expected[..count], "{transfer}: other bytes came");
            rest = rest.get(expected.len() + STAMPED..).unwrap_or_default();
        }
    }
}

#[tokio::test]
async fn a_client_that_has_closed_its_sending_half_gets_all_its_answers_and_then_an_end() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, 1).await;
    for number in 0..20 {
        client.send(9, &produce(0, batch(number, 1000))).await;
    }
    client.send(12, &fetch(1, 0, 1 << 20)).await;
    client.finish_sending().await;
    for offset in 0..20 {
        let response: ProduceResponse = client.receive(9).await;
        assert_eq!(response.responses[0].partition_responses[0].base_offset, offset);
    }
    let response: FetchResponse = client.receive(12).await;
    assert_eq!(unstamped(&response)[0].len(), 20);
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn parked_polls_that_hold_all_memory_for_requests_keep_no_small_request_waiting() {
    let node = Node::start(&[("queued.max.request.bytes", "1000")]).await;
    let mut client = node.connect().await;
    create(&mut client, 1).await;
    let poll = FetchRequest {
        max_wait_ms: i32::MAX,
        rack_id: "r".repeat(30_000).into(),
        ..fetch(1, 0, 1 << 20)
    };
    let mut parked = Vec::new();
    for _ in 0..2 {
        let mut connection = node.connect().await;
        connection.send(11, &poll).await;
        parked.push(connection);
    }
    // One goes beyond the limit, the other waits for it.
    while !node.metrics.render().contains("ottla_request_memory_waits_total 2") {
        tokio::task::yield_now().await;
    }
    append(&mut client, 0, batch(0, 100)).await;
    let response: FetchResponse = parked[0].receive(11).await;
    assert_eq!(unstamped(&response)[0].len(), 1);
    let response: FetchResponse = parked[1].receive(11).await;
    assert_eq!(unstamped(&response)[0].len(), 1, "its turn came");
}
