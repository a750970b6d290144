//! How many connections may be open: over all, and from one address.
//!
//! Promises: a place is given back when it is dropped; the table of addresses holds only those that
//! have a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of all listeners. A clone is the same places.
#[derive(Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    by_address: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
    per_address_max: u32,
}

/// A place for one connection.
pub struct Place {
    places: Places,
    address: Option<IpAddr>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub fn new(max: u32, per_address_max: u32) -> Places {
        let max = (max as usize).min(Semaphore::MAX_PERMITS);
        Places { free: Arc::new(Semaphore::new(max)), by_address: Arc::default(), per_address_max }
    }

    /// A place, as soon as one is free.
    pub async fn take(&self) -> Place {
        // The semaphore is never closed.
        let permit = self.free.clone().acquire_owned().await.ok();
        Place { places: self.clone(), address: None, _permit: permit }
    }
}

impl Place {
    /// The place of a connection from `address`; `None` when that has its share.
    pub fn of_address(mut self, address: IpAddr) -> Option<Place> {
        let mut by_address = self.places.by_address.lock().expect("places lock");
        let count = by_address.get(&address).copied().unwrap_or(0);
        if count >= self.places.per_address_max {
            return None;
        }
        by_address.insert(address, count + 1);
        drop(by_address);
        self.address = Some(address);
        Some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut by_address = self.places.by_address.lock().expect("places lock");
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_place_that_is_dropped_is_free_again_for_all_and_for_its_address() {
        let places = Places::new(3, 2);
        let [home, away]: [IpAddr; 2] = [[127, 0, 0, 1].into(), [10, 0, 0, 1].into()];
        let first = places.take().await.of_address(home).expect("the first");
        let second = places.take().await.of_address(home).expect("the second");
        assert!(places.take().await.of_address(home).is_none(), "more than its share");
        let third = places.take().await.of_address(away).expect("another address");
        assert!(places.take().now_or_never().is_none(), "all places are taken");
        drop((first, third));
        assert!(places.take().await.of_address(home).is_some());
        drop(second);
        assert!(places.by_address.lock().expect("lock").is_empty());
    }
}
