//! A partition's files in memory, one of them replaced by what the fuzzer made: opened, used, closed
//! and opened again.

use bytes::Bytes;
use env::Disk;
use env::disk::{MemDisk, Open, read_file};
use log::{LogConfig, OpenLog, PartitionLog, RecoveryPoints};
use records::{
    BatchBuilder, BatchOptions, EndTransactionMarker, MarkerKind, NewRecord, ProducedBatch, batches,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicPartition, Uuid,
};

const DIR: &str = "/logs";
const NOW: Timestamp = Timestamp(1_000_000);

struct NoPoints;

impl RecoveryPoints for NoPoints {
    fn lower(&self, _: &TopicPartition, _: Offset) -> io::Result<()> {
        Ok(())
    }

    fn durable(&self, _: &TopicPartition) -> Offset {
        Offset::ZERO
    }
}

pub fn path() -> PathBuf {
    Path::new(DIR).join("events-0")
}

fn how(disk: &MemDisk, clean: bool) -> OpenLog {
    let config =
        LogConfig { segment_bytes: 1024, index_interval_bytes: 128, ..LogConfig::default() };
    OpenLog {
        disk: Arc::new(disk.clone()),
        log_dir: DIR.into(),
        partition: TopicPartition { topic: "events".into(), partition: PartitionIndex(0) },
        config,
        now: NOW,
        clean,
        recovery_point: Offset::ZERO,
        start_offset: Offset::ZERO,
        high_watermark: Offset::ZERO,
        recovery_points: Arc::new(NoPoints),
        files: log::OpenFiles::default(),
    }
}

fn batch(id: i64, sequence: i32, transactional: bool) -> ProducedBatch {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(if id < 0 { -1 } else { 0 }),
        base_sequence: if id < 0 { -1 } else { sequence },
        transactional,
        ..BatchOptions::default()
    });
    for n in 0..2 {
        builder.push(&NewRecord {
            timestamp: Timestamp(1000 + i64::from(sequence) + n),
            key: Some(format!("k{n}").into()),
            value: Some(vec![b'v'; 20].into()),
            headers: Vec::new(),
        });
    }
    ProducedBatch::from_own(builder.build())
}

fn append(log: &mut PartitionLog, batch: &ProducedBatch, epoch: i32) -> bool {
    log.append_as_leader(batch, LeaderEpoch(epoch), NOW).is_ok()
}

/// The files of a partition of several segments, epochs, producers and transactions, closed.
static FILES: LazyLock<Vec<(String, Bytes)>> = LazyLock::new(|| {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new(DIR)).expect("a directory");
    let mut log = how(&disk, false).create(Uuid::from_random(1)).expect("created");
    for round in 0..6 {
        assert!(append(&mut log, &batch(-1, round, false), round / 2));
        assert!(append(&mut log, &batch(7, round * 2, false), round / 2));
        assert!(append(&mut log, &batch(8, round * 2, true), round / 2));
        let kind = if round % 2 == 0 { MarkerKind::Abort } else { MarkerKind::Commit };
        let marker = EndTransactionMarker { kind, coordinator_epoch: 1 };
        let marker = marker.build((ProducerId(8), ProducerEpoch(0)), NOW);
        assert!(append(&mut log, &ProducedBatch::from_own(marker), round / 2));
    }
    log.close().expect("closed");
    let names = disk.list(&path()).expect("listed");
    let read = |name: String| {
        let content = read_file(&disk, &path().join(&name)).expect("read");
        (name, content)
    };
    names.into_iter().map(|entry| read(entry.name)).collect()
});

/// Names of the partition's files that end so.
fn names(suffixes: &[&str]) -> Vec<&'static str> {
    let names = FILES.iter().map(|(name, _)| name.as_str());
    names.filter(|name| suffixes.iter().any(|suffix| name.ends_with(suffix))).collect()
}

/// A snapshot with a true CRC, so that the fuzzer gets past it.
fn mended(content: &[u8]) -> Bytes {
    let mut bytes = content.to_vec();
    if bytes.len() >= 6 {
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.into()
}

/// Replaces one of the files with these suffixes, chosen by the first byte, by the rest.
pub fn fuzz(suffixes: &[&str], data: &[u8]) {
    let Some((control, content)) = data.split_first() else { return };
    let choices = names(suffixes);
    let (choice, clean) = (usize::from(control >> 2) % choices.len(), control & 1 == 1);
    let content = match control & 2 != 0 && choices[choice].ends_with(".snapshot") {
        true => mended(content),
        false => Bytes::copy_from_slice(content),
    };
    let disk = MemDisk::new();
    disk.create_dir_all(&path()).expect("a directory");
    for (name, bytes) in FILES.iter() {
        let file = disk.open(&path().join(name), Open::Create).expect("opened");
        let bytes = if *name == choices[choice] { &content } else { bytes };
        file.write_all_at(bytes, 0).expect("written");
    }
    let Ok((mut log, _)) = how(&disk, clean).open() else { return };
    use_it(&mut log, !clean);
    if log.close().is_ok() {
        let (mut log, _) = how(&disk, true).open().expect("what was closed opens");
        read_all(&log, false);
        let _ = log.close();
    }
    // What recovery has mended is sound, whatever a clean opening took on trust.
    if let Ok((log, _)) = how(&disk, false).open() {
        read_all(&log, true);
    }
}

fn use_it(log: &mut PartitionLog, is_recovered: bool) {
    read_all(log, is_recovered);
    for timestamp in [0, 1000, 1003, i64::MAX] {
        if let Ok(search) = log.offset_for_timestamp(Timestamp(timestamp)) {
            let _ = search.run();
        }
    }
    if let Ok(search) = log.max_timestamp_offset() {
        let _ = search.run();
    }
    let _ = log.producer(ProducerId(7));
    let _ = log.first_unstable_offset();
    for epoch in 0..5 {
        let _ = log.end_offset_for_epoch(LeaderEpoch(epoch));
    }
    let epoch = log.latest_epoch().0.max(0);
    append(log, &batch(-1, 50, false), epoch);
    append(log, &batch(7, 12, false), epoch);
    let end = log.end_offset();
    let _ = log.truncate_to(Offset((log.start_offset().0 + end.0) / 2));
    append(log, &batch(-1, 60, false), epoch);
}

fn read_all(log: &PartitionLog, is_recovered: bool) {
    let mut from = log.start_offset();
    while from < log.end_offset() {
        let Ok(plan) = log.read_plan(from, log.end_offset(), 500, true) else { break };
        let Ok(bytes) = plan.read() else { break };
        if !is_recovered {
            break;
        }
        if bytes.is_empty() {
            break;
        }
        for batch in batches(&bytes) {
            let batch = batch.expect("a recovered log holds whole batches");
            batch.check_crc().expect("a recovered log holds sound batches");
            assert!(batch.header.end_offset() > from, "offsets rise");
            from = batch.header.end_offset();
        }
    }
}
