//! Damage: bytes of a log that are not what the log put there.
//!
//! A log learns of it where bytes are looked at anyway: from recovery, from the headers that a read
//! walks over, from compaction and from the scrubber ([`crate::LogHandle::scrub`]), which alone looks
//! at everything. What others suspect (a batch whose CRC is wrong in a client's or a follower's
//! hands) is made sure of by [`crate::LogHandle::examine`].
//!
//! Promises: a log that knows of damage never serves it: reads end before it, and refuse to start in
//! it. Nothing is cut, written or removed because of it; [`crate::LogManager::quarantine`] sets the
//! whole replica aside when its caller knows that others hold the records.

use records::BatchError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use types::Offset;

/// Damaged places that a log remembers. More make no difference to anybody.
pub(crate) const PLACES_MAX: usize = 64;

/// A stretch of a log that cannot be served.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("damaged at offset {offset}, {} at position {position}: {error}", .file.display())]
pub struct Damage {
    /// The first offset that is not there.
    pub offset: Offset,
    /// Where sound batches begin again, or may (exclusive). Where that cannot be told, it is the end
    /// of the segment.
    pub end_offset: Offset,
    /// The segment file.
    pub file: PathBuf,
    /// Where in it the damage starts, in bytes.
    pub position: u64,
    pub error: BatchError,
}

impl Damage {
    fn touches(&self, offset: Offset) -> bool {
        self.offset <= offset && offset < self.end_offset
    }
}

#[derive(Default)]
struct Known {
    /// Lets every read of a sound log pass without the lock.
    any: AtomicBool,
    places: Mutex<Vec<Damage>>,
}

/// What a log knows of its damage, by rising offset; clones are the same list.
#[derive(Clone, Default)]
pub(crate) struct Damages(Arc<Known>);

impl Damages {
    fn places(&self) -> MutexGuard<'_, Vec<Damage>> {
        self.0.places.lock().expect("no thread panicked with a list of damage")
    }

    pub fn is_empty(&self) -> bool {
        !self.0.any.load(Ordering::Acquire)
    }

    pub fn list(&self) -> Vec<Damage> {
        if self.is_empty() {
            return Vec::new();
        }
        self.places().clone()
    }

    /// True if it was not known.
    pub fn note(&self, damage: Damage) -> bool {
        let mut places = self.places();
        if places.iter().any(|known| known.touches(damage.offset)) || places.len() == PLACES_MAX {
            return false;
        }
        let at = places.partition_point(|known| known.offset < damage.offset);
        places.insert(at, damage);
        self.0.any.store(true, Ordering::Release);
        true
    }

    /// The first damage that reaches above `offset`.
    pub fn first_from(&self, offset: Offset) -> Option<Damage> {
        if self.is_empty() {
            return None;
        }
        self.places().iter().find(|known| known.end_offset > offset).cloned()
    }

    /// Forgets what lies outside of the log, which was cut.
    pub fn keep_within(&self, start: Offset, end: Offset) {
        if self.is_empty() {
            return;
        }
        let mut places = self.places();
        places.retain(|known| known.end_offset > start && known.offset < end);
        self.0.any.store(!places.is_empty(), Ordering::Release);
    }
}
