//! Reading a coordinator's state back from its partition's log.

use crate::replica::Partition;
use coordinator::{Coordinator, CoordinatorConfig, GroupRecord};
use log::ReadError;
use types::Monotonic;

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
    #[error("the log holds a damaged batch: {0}")]
    Batch(#[from] records::BatchError),
}

/// Applies every record of the partition's log, from its start to its end. Blocks. A record that
/// is not understood is told and skipped: one bad record must not take its neighbours' groups away.
pub fn load(
    partition: &Partition,
    config: CoordinatorConfig,
    now: Monotonic,
) -> Result<Coordinator, LoadError> {
    let mut coordinator = Coordinator::new(config);
    let (mut at, end) = {
        let log = partition.log().lock();
        (log.start_offset(), log.end_offset())
    };
    while at < end {
        let plan = partition.log().lock().read_plan(at, end, READ_BYTES, true)?;
        let bytes = plan.read()?;
        let before = at;
        for batch in records::batches(&bytes) {
            let batch = batch?;
            at = batch.header.end_offset();
            if batch.header.attributes.is_control() {
                continue;
            }
            for record in batch.records(UNPACKED_BYTES_MAX)? {
                let record = record?;
                let Some(key) = record.key else { continue };
                match GroupRecord::decode(&key, record.value.as_ref()) {
                    Ok(Some(record)) => coordinator.load(now, record),
                    Ok(None) => {}
                    Err(error) => tracing::warn!(
                        partition = %partition.name, offset = %record.offset, %error,
                        "skipped a group record"
                    ),
                }
            }
        }
        if at <= before {
            break;
        }
    }
    coordinator.loaded(now);
    Ok(coordinator)
}
