//! Time. Waiting is tokio's (`tokio::time::sleep`, `timeout`), which a paused runtime and the
//! simulator already control; reading the time goes through here.

use std::sync::Mutex;
use std::time::Duration;
use types::{Monotonic, Timestamp};

/// Reads time. `now` never goes back; `wall` may jump.
pub trait Clock: Send + Sync {
    fn now(&self) -> Monotonic;
    fn wall(&self) -> Timestamp;
}

/// The time until the clock's next multiple of `period`, never zero. What happens periodically and
/// waits so happens together: the thread wakes once for all of it, which is most of what an idle
/// process costs.
pub fn until_next(now: Monotonic, period: Duration) -> Duration {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(period - now.0 % period)
}

/// The machine's clocks.
pub struct RealClock {
    start: std::time::Instant,
}

impl RealClock {
    pub fn new() -> RealClock {
        RealClock { start: std::time::Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        RealClock::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed().as_micros() as u64)
    }

    fn wall(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| d.as_millis() as i64))
    }
}

/// A clock that a test sets by hand.
pub struct ManualClock {
    state: Mutex<(Monotonic, Timestamp)>,
}

impl ManualClock {
    pub fn new(now: Monotonic, wall: Timestamp) -> ManualClock {
        ManualClock { state: Mutex::new((now, wall)) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: std::time::Duration) {
        let mut state = self.state.lock().expect("clock lock");
        state.0 = state.0 + by;
        state.1 = Timestamp(state.1.0 + by.as_millis() as i64);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Monotonic {
        self.state.lock().expect("clock lock").0
    }

    fn wall(&self) -> Timestamp {
        self.state.lock().expect("clock lock").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_one_period_is_due_together_however_late_it_was_last_time() {
        let period = Duration::from_millis(50);
        for (now, wait) in [(0, 50_000), (1, 49_999), (49_999, 1), (50_000, 50_000)] {
            assert_eq!(until_next(Monotonic(now), period), Duration::from_micros(wait));
        }
        assert_eq!(until_next(Monotonic(7), Duration::ZERO), Duration::from_micros(1));
    }
}
