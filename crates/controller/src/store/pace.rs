//! How long the disk has lately taken to write and sync, so that waiting for others' disks can be
//! as patient as this one is slow.

use env::Clock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use types::Monotonic;

/// Writes that are looked at.
const KEPT: usize = 8;
/// A write that ended longer ago says nothing of now.
const FRESH: Duration = Duration::from_secs(60);

/// The times of one journal's writes. Cheap to clone.
#[derive(Clone)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    times: Arc<Mutex<Times>>,
}

#[derive(Default)]
struct Times {
    /// Since when a write is under way.
    began: Option<Monotonic>,
    /// When a write ended, and how long it took.
    done: VecDeque<(Monotonic, Duration)>,
}

impl Pace {
    pub fn new(clock: Arc<dyn Clock>) -> Pace {
        Pace { clock, times: Arc::default() }
    }

    pub fn begin(&self) {
        self.times.lock().expect("pace lock").began = Some(self.clock.now());
    }

    pub fn end(&self) {
        let now = self.clock.now();
        let mut times = self.times.lock().expect("pace lock");
        let Some(began) = times.began.take() else { return };
        if times.done.len() == KEPT {
            times.done.pop_front();
        }
        times.done.push_back((now, now - began));
    }

    /// The longest of the last few writes, or of the one that is under way.
    pub fn slowest(&self) -> Duration {
        let now = self.clock.now();
        let times = self.times.lock().expect("pace lock");
        let fresh = times.done.iter().filter(|(ended, _)| now - *ended <= FRESH);
        let done = fresh.map(|(_, took)| *took).max().unwrap_or_default();
        done.max(times.began.map_or(Duration::ZERO, |began| now - began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::clock::ManualClock;
    use types::Timestamp;

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(Monotonic::ZERO, Timestamp(0)))
    }

    #[test]
    fn the_slowest_of_the_last_writes_counts_for_a_minute() {
        let clock = clock();
        let pace = Pace::new(clock.clone());
        let write = |ms: u64| {
            pace.begin();
            clock.advance(Duration::from_millis(ms));
            pace.end();
        };
        assert_eq!(pace.slowest(), Duration::ZERO);
        write(300);
        write(20);
        assert_eq!(pace.slowest(), Duration::from_millis(300));
        (0..8).for_each(|_| write(1));
        assert_eq!(pace.slowest(), Duration::from_millis(1), "the slow one is long ago");
        clock.advance(FRESH + Duration::from_secs(1));
        assert_eq!(pace.slowest(), Duration::ZERO);
    }

    #[test]
    fn a_write_that_does_not_come_back_counts() {
        let clock = clock();
        let pace = Pace::new(clock.clone());
        pace.begin();
        clock.advance(Duration::from_secs(5));
        assert_eq!(pace.slowest(), Duration::from_secs(5));
    }
}
