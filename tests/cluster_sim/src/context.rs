//! What belongs to the thread of a simulation: whose turn it is, how long disks take, panics.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;

thread_local! {
    static HOST: Cell<usize> = const { Cell::new(usize::MAX) };
    static NOW_US: Cell<u64> = const { Cell::new(0) };
    static IS_SIMULATION: Cell<bool> = const { Cell::new(false) };
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How long blocking work takes at most on each host, in microseconds.
pub struct DiskTimes {
    pub max_us: Vec<Cell<u64>>,
    rng: RefCell<SmallRng>,
}

impl DiskTimes {
    /// Makes them those of this thread.
    pub fn install(hosts: usize, max_us: u64, seed: u64) -> Rc<DiskTimes> {
        let times = Rc::new(DiskTimes {
            max_us: (0..hosts).map(|_| Cell::new(max_us)).collect(),
            rng: RefCell::new(SmallRng::seed_from_u64(seed)),
        });
        let own = times.clone();
        env::tasks::simulate_blocking(Some(Rc::new(move || own.draw())));
        times
    }

    fn draw(&self) -> (Duration, Duration) {
        let max = self.max_us.get(HOST.get()).map_or(0, Cell::get);
        let mut rng = self.rng.borrow_mut();
        let mut one = || Duration::from_micros(rng.random_range(0..=max / 2));
        (one(), one())
    }
}

/// From now on, this is the thread of a simulation: its panics are kept.
pub fn enter() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_SIMULATION.get() {
                return before(info);
            }
            let place = format!("n{} at {:.3} s: {info}", HOST.get() + 1, now_us() as f64 / 1e6);
            let _ = PANICS.try_with(|panics| panics.borrow_mut().push(place));
            if std::env::var_os("RUST_BACKTRACE").is_some() {
                before(info);
            }
        }));
    });
    IS_SIMULATION.set(true);
}

/// The next panic of a program, if there was one.
pub fn take_panic() -> Option<String> {
    PANICS.with(|panics| panics.borrow_mut().pop())
}

pub fn set_turn(host: usize, now_us: u64) {
    HOST.set(host);
    NOW_US.set(now_us);
    crate::entropy::set_now(now_us);
}

pub fn now_us() -> u64 {
    NOW_US.get()
}

pub fn host() -> usize {
    HOST.get()
}
