//! Helpers: one place that knows how a log is opened and batches are made.

use bytes::Bytes;
use env::disk::MemDisk;
use env::{Disk, Rng};
use log::{LogConfig, OpenFiles, OpenLog, OpenLogError, PartitionLog, Recovered, RecoveryPoints};
use records::{Batch, BatchBuilder, BatchOptions, NewRecord, ProducedBatch, batches};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId,
    TopicPartition, Uuid,
};

pub const DIR: &str = "/logs";

/// A recovery point that survives crashes, as the checkpoint file does.
#[derive(Default)]
pub struct Point(pub Mutex<Offset>);

impl RecoveryPoints for Point {
    fn lower(&self, _partition: &TopicPartition, offset: Offset) -> io::Result<()> {
        let mut point = self.0.lock().unwrap();
        *point = (*point).min(offset);
        Ok(())
    }

    fn durable(&self, _partition: &TopicPartition) -> Offset {
        *self.0.lock().unwrap()
    }
}

/// A disk with one partition on it.
pub struct World {
    pub disk: MemDisk,
    pub point: Arc<Point>,
    pub config: LogConfig,
    pub start_offset: Offset,
    pub files: OpenFiles,
}

pub fn partition() -> TopicPartition {
    TopicPartition { topic: "events".into(), partition: PartitionIndex(0) }
}

pub fn partition_path() -> PathBuf {
    Path::new(DIR).join("events-0")
}

/// Segments of 4 KiB with an index entry each 256 bytes: edges are common.
pub fn small() -> LogConfig {
    LogConfig { segment_bytes: 4096, index_interval_bytes: 256, ..LogConfig::default() }
}

impl World {
    pub fn new(config: LogConfig) -> World {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let (point, start_offset, files) = (Arc::default(), Offset::ZERO, OpenFiles::default());
        World { disk, point, config, start_offset, files }
    }

    pub fn how(&self, clean: bool) -> OpenLog {
        OpenLog {
            disk: Arc::new(self.disk.clone()),
            log_dir: DIR.into(),
            partition: partition(),
            config: self.config.clone(),
            now: Timestamp(1_000_000),
            clean,
            recovery_point: *self.point.0.lock().unwrap(),
            start_offset: self.start_offset,
            high_watermark: Offset::ZERO,
            recovery_points: self.point.clone(),
            files: self.files.clone(),
        }
    }

    pub fn create(&self) -> PartitionLog {
        self.how(false).create(TopicId::from_random(1)).unwrap()
    }

    pub fn open(&self, clean: bool) -> Result<(PartitionLog, Recovered), OpenLogError> {
        self.how(clean).open()
    }

    pub fn reopen(&self) -> PartitionLog {
        self.open(false).unwrap().0
    }

    /// As the checkpoint task does.
    pub fn checkpoint(&self, log: &PartitionLog) {
        *self.point.0.lock().unwrap() = log.recovery_point();
    }

    pub fn file(&self, name: &str) -> Bytes {
        env::disk::read_file(&self.disk, &partition_path().join(name)).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&partition_path()).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }
}

/// A batch with one record for each timestamp.
pub fn batch_at(timestamps: &[i64], value_bytes: usize) -> ProducedBatch {
    with_options(BatchOptions::default(), timestamps, value_bytes)
}

pub fn with_options(
    options: BatchOptions,
    timestamps: &[i64],
    value_bytes: usize,
) -> ProducedBatch {
    let mut builder = BatchBuilder::new(options);
    for (index, timestamp) in timestamps.iter().enumerate() {
        builder.push(&NewRecord {
            timestamp: Timestamp(*timestamp),
            key: Some(format!("k{index}").into()),
            value: Some(vec![b'v'; value_bytes].into()),
            headers: Vec::new(),
        });
    }
    ProducedBatch::from_own(builder.build())
}

/// An idempotent producer's batch.
pub fn produced(id: i64, epoch: i16, sequence: i32, count: usize) -> ProducedBatch {
    let options = BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    with_options(options, &vec![1000; count], 10)
}

/// Appends `count` records in one batch, as leader of epoch 0.
pub fn append(log: &mut PartitionLog, count: usize) -> Offset {
    let batch = batch_at(&vec![1000; count], 50);
    log.append_as_leader(&batch, LeaderEpoch(0), Timestamp(1000)).unwrap().base_offset
}

/// Every batch from the start offset to the end, read as a follower reads.
pub fn read_all(log: &PartitionLog) -> Vec<Batch> {
    let mut all: Vec<Batch> = Vec::new();
    let mut from = log.start_offset();
    while from < log.end_offset() {
        let plan = log.read_plan(from, log.end_offset(), 1000, true).unwrap();
        let bytes = plan.read().unwrap();
        assert_eq!(bytes.len(), plan.len());
        if bytes.is_empty() {
            break;
        }
        for batch in batches(&bytes) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            assert!(batch.header.end_offset() > from);
            from = batch.header.end_offset();
            all.push(batch);
        }
    }
    all
}

/// Base offsets of what `read_all` gives.
pub fn bases(log: &PartitionLog) -> Vec<i64> {
    read_all(log).iter().map(|batch| batch.header.base_offset.0).collect()
}

/// Ids from a counter.
pub struct Counter(pub std::sync::atomic::AtomicU64);

impl Rng for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

pub fn topic_id(n: u128) -> TopicId {
    Uuid::from_random(n)
}
