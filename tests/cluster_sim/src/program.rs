//! A program on a host: a runtime of its own, whose time goes only where the world moves it.
//!
//! Promises: nothing of it runs between two steps; dropping it is its sudden end.

use crate::clock::HostClock;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, RngSeed, Runtime};
use tokio::time::Instant;

pub struct Program {
    runtime: Runtime,
    /// The same moment, by the runtime's clock and by the world's.
    origin: Instant,
    started: u64,
    /// Until when it has run.
    ran_until: u64,
}

impl Program {
    pub fn start(clock: &Arc<HostClock>, now: u64, seed: u64) -> Program {
        let mut builder = Builder::new_current_thread();
        let seed = RngSeed::from_bytes(&seed.to_le_bytes());
        let runtime = builder.enable_time().start_paused(true).rng_seed(seed).build();
        let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
        #[allow(clippy::disallowed_methods, reason = "the origin of the program's own clock")]
        let origin = runtime.block_on(async { Instant::now() });
        clock.start(origin, now);
        Program { runtime, origin, started: now, ran_until: now }
    }

    pub fn spawn(&self, main: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(main));
    }

    /// How many tasks are alive.
    pub fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Runs everything that is due until `now`. After a pause, time jumps first.
    pub fn run_until(&mut self, now: u64, tick: u64) {
        let target = self.origin + Duration::from_micros(now - self.started);
        let jump = (now - self.ran_until).saturating_sub(tick);
        self.ran_until = now;
        self.runtime.block_on(async move {
            if jump > 0 {
                tokio::time::advance(Duration::from_micros(jump)).await;
            }
            tokio::time::sleep_until(target).await;
        });
    }
}
