//! A program's clocks: those of its runtime, which the world moves.

use env::Clock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::time::Instant;
use types::{Monotonic, Timestamp};

/// The clocks of one host. Outside of its runtime they show when it was last looked at inside.
pub struct HostClock {
    /// When the present program started, by its runtime and by the world (microseconds).
    start: Mutex<Option<(Instant, u64)>>,
    last: AtomicU64,
    wall_shift_ms: AtomicI64,
}

impl HostClock {
    pub fn new() -> HostClock {
        HostClock {
            start: Mutex::new(None),
            last: AtomicU64::new(0),
            wall_shift_ms: AtomicI64::new(0),
        }
    }

    /// A program starts.
    pub fn start(&self, origin: Instant, now: u64) {
        *self.start.lock().expect("one thread") = Some((origin, now));
        self.last.store(now, Ordering::Relaxed);
    }

    /// Sets the wall clock wrong by so much.
    pub fn shift_wall(&self, ms: i64) {
        self.wall_shift_ms.store(ms, Ordering::Relaxed);
    }

    #[allow(clippy::disallowed_methods, reason = "the runtime's clock stands behind this one")]
    fn us(&self) -> u64 {
        let start = *self.start.lock().expect("one thread");
        if let (Some((origin, started)), true) =
            (start, tokio::runtime::Handle::try_current().is_ok())
        {
            let us = started + Instant::now().saturating_duration_since(origin).as_micros() as u64;
            self.last.fetch_max(us, Ordering::Relaxed);
        }
        self.last.load(Ordering::Relaxed)
    }
}

impl Default for HostClock {
    fn default() -> HostClock {
        HostClock::new()
    }
}

impl Clock for HostClock {
    fn now(&self) -> Monotonic {
        Monotonic(self.us())
    }

    fn wall(&self) -> Timestamp {
        let start = crate::entropy::WALL_START_SECONDS as i64 * 1000;
        let shift = self.wall_shift_ms.load(Ordering::Relaxed);
        Timestamp(start + (self.us() / 1000) as i64 + shift)
    }
}
