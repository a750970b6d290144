//! Reading a coordinator's state back from its partition's log.

use crate::replica::Partition;
use coordinator::{Coordinator, CoordinatorConfig, GroupRecord};
use env::{Mutant, mutant};
use log::{Damage, LogDirError, LogHandle, ReadError};
use records::{Batch, BatchError};
use types::{LeaderEpoch, Monotonic, Offset};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// Most bytes that one batch of this topic may unpack to.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// Why a coordinator could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the log: {0}")]
    Read(#[from] ReadError),
    #[error("cannot read the log: {0}")]
    Io(#[from] std::io::Error),
    #[error("cannot read the log: {0}")]
    Directory(#[from] LogDirError),
    /// The log knows of it now, and the replica's repair goes on from there.
    #[error("the log is {0}")]
    Damaged(Damage),
    /// A batch was wrong when it was read, and is not when it is looked at again.
    #[error("the batch at offset {offset} was read wrong: {error}")]
    Misread { offset: Offset, error: BatchError },
    #[error("the log was cut at offset {0} while it was read")]
    Cut(Offset),
}

/// What was read.
pub struct Loaded {
    pub coordinator: Coordinator,
    /// Where the log ended.
    pub end: Offset,
}

/// What this broker has appended in the leadership that goes on, and nobody knows to be committed.
struct Late {
    epoch: LeaderEpoch,
    from: Offset,
}

impl Late {
    fn has(&self, batch: &Batch) -> bool {
        batch.header.leader_epoch == self.epoch && batch.header.end_offset() > self.from
    }
}

/// Applies every record of the partition's log, from its start to its end, each batch checked. Blocks.
/// A record that is not understood is told and skipped: one bad record must not take its neighbours'
/// groups away. Where bytes are not those that were appended, nothing is loaded: what they said, and
/// about which group, cannot be told, and other replicas know it.
///
/// `led`: the epoch, if this broker has coordinated in it before. What it appended since is committed
/// up to its high watermark, and was acknowledged no further. Of what former leaders wrote all is taken
/// for committed: what they acknowledged may lie above a high watermark that is not known here yet.
pub fn load(
    partition: &Partition,
    config: CoordinatorConfig,
    now: Monotonic,
    led: Option<LeaderEpoch>,
) -> Result<Loaded, LoadError> {
    let mut coordinator = Coordinator::new(config);
    let late = led.map(|epoch| Late { epoch, from: partition.view().high_watermark });
    let log = partition.log();
    let (mut at, end) = {
        let log = log.lock();
        (log.start_offset(), log.end_offset())
    };
    while at < end {
        let plan = log.lock().read_plan(at, end, READ_BYTES, true)?;
        if plan.is_empty() {
            // Nothing is left of what stood there before compaction, or it is damaged.
            break;
        }
        let bytes = plan.read().inspect_err(|error| partition.read_failed(error))?;
        if bytes.is_empty() {
            return Err(LoadError::Cut(at));
        }
        for batch in records::batches(&bytes) {
            let batch = checked(log, at, batch)?;
            at = batch.header.end_offset();
            let is_late = late.as_ref().is_some_and(|late| late.has(&batch));
            apply(partition, &batch, |record| match is_late {
                true => coordinator.load_late(now, record),
                false => coordinator.load(now, record),
            });
        }
    }
    if let Some(damage) = log.damages().into_iter().next() {
        return Err(LoadError::Damaged(damage));
    }
    coordinator.loaded(now);
    Ok(Loaded { coordinator, end })
}

/// A batch that is to hold the record at `at`, if it is what was appended. Else the log is told.
fn checked(
    log: &LogHandle,
    at: Offset,
    batch: Result<Batch, BatchError>,
) -> Result<Batch, LoadError> {
    let sound = batch.and_then(|batch| {
        if !mutant::is(Mutant::GroupLogUnchecked) {
            batch.check_crc()?;
        }
        // Its place is outside of the CRC.
        match batch.header.last_offset() < at {
            true => Err(BatchError::BadRecord("the batch does not follow the one before it")),
            false => Ok(batch),
        }
    });
    sound.map_err(|error| match log.examine(at) {
        Ok(Some(damage)) => LoadError::Damaged(damage),
        Ok(None) => LoadError::Misread { offset: at, error },
        Err(error) => LoadError::Directory(error),
    })
}

/// What cannot be read although the CRC is right stands there on every replica.
fn apply(partition: &Partition, batch: &Batch, mut load: impl FnMut(GroupRecord)) {
    if batch.header.attributes.is_control() {
        return;
    }
    let skipped = |offset: Offset, error: &dyn std::fmt::Display| {
        tracing::warn!(
            partition = %partition.name, %offset, %error,
            "skipped a group record"
        );
    };
    let records = match batch.records(UNPACKED_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return skipped(batch.header.base_offset, &error),
    };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return skipped(batch.header.base_offset, &error),
        };
        let Some(key) = record.key else { continue };
        match GroupRecord::decode(&key, record.value.as_ref()) {
            Ok(Some(record)) => load(record),
            Ok(None) => {}
            Err(error) => skipped(record.offset, &error),
        }
    }
}
