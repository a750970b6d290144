//! How many connections may be open, over all and from one address, and how fast new ones come.
//!
//! Promises: a place is given back when it is dropped; the table of addresses holds only those that
//! have a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::Monotonic;

/// The places of one or more listeners. A clone is the same places.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    max: u32,
    per_address_max: u32,
}

#[derive(Default)]
struct Taken {
    all: u32,
    by_address: BTreeMap<IpAddr, u32>,
}

/// A place for one connection.
pub struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub fn new(max: u32, per_address_max: u32) -> Places {
        Places { taken: Arc::default(), max, per_address_max }
    }

    /// A place for a connection from `address`; `None` when all are taken, or its share.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        self.take_within(address, self.per_address_max)
    }

    /// The same for an address that may have all places.
    pub fn take_unshared(&self, address: IpAddr) -> Option<Place> {
        self.take_within(address, self.max)
    }

    fn take_within(&self, address: IpAddr, most: u32) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= self.max || own >= most {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, own + 1);
        drop(taken);
        Some(Place { places: self.clone(), address })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no thread panicked with the places")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// How fast new connections are taken in. A clone is the same rate.
#[derive(Clone)]
pub struct Rate {
    interval: Duration,
    /// When the connections so far would all have come at that rate.
    settled: Arc<Mutex<Monotonic>>,
}

impl Rate {
    /// So many that come at once are let in without a wait: those of a second.
    const BURST: Duration = Duration::from_secs(1);

    pub fn new(per_second: u32) -> Rate {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Rate { interval, settled: Arc::new(Mutex::new(Monotonic::ZERO)) }
    }

    /// Counts a connection that has come; how long it and those after it have to wait.
    pub fn take(&self, now: Monotonic) -> Duration {
        let mut settled = self.settled.lock().expect("no thread panicked with the rate");
        *settled = (*settled).max(now) + self.interval;
        settled.since(now).saturating_sub(Self::BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_dropped_is_free_again_for_all_and_for_its_address() {
        let places = Places::new(3, 2);
        let [home, away]: [IpAddr; 2] = [[127, 0, 0, 1].into(), [10, 0, 0, 1].into()];
        let first = places.take(home).expect("the first");
        let second = places.take(home).expect("the second");
        assert!(places.take(home).is_none(), "more than its share");
        let third = places.take(away).expect("another address");
        assert!(places.take(away).is_none(), "all places are taken");
        drop((first, third));
        assert!(places.take(home).is_some());
        let all: Vec<Place> = (0..3).filter_map(|_| places.take_unshared(home)).collect();
        assert_eq!(all.len(), 2, "whatever its share is");
        drop(all);
        drop(second);
        assert!(places.taken().by_address.is_empty() && places.taken().all == 0);
    }

    #[test]
    fn those_beyond_the_rate_wait_and_what_comes_at_it_does_not() {
        let rate = Rate::new(10);
        let now = Monotonic::from_millis(5000);
        for _ in 0..10 {
            assert_eq!(rate.take(now), Duration::ZERO);
        }
        assert_eq!(rate.take(now), Duration::from_millis(100));
        assert_eq!(rate.take(now), Duration::from_millis(200));
        let mut later = Monotonic::from_millis(60_000);
        for _ in 0..100 {
            assert_eq!(rate.take(later), Duration::ZERO);
            later = later + Duration::from_millis(100);
        }
        assert_eq!(Rate::new(0).take(now), Duration::ZERO, "the first is always let in");
    }
}
