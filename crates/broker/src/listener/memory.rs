//! The memory that the requests of all client connections hold together
//! (`queued.max.request.bytes`).
//!
//! Promises:
//! - a request holds the bytes of it that came, and what its arrays took when it was decoded, until it
//!   is done;
//! - while all requests together hold the limit, no more of any request is read or decoded, but for
//!   one: it goes on until it is done. Without it, requests that are half read could wait for each
//!   other for ever, and one larger than the limit would never come in;
//! - beyond the limit come that one, and what was under way when it was reached: a read of each
//!   connection, and a decoded request of each thread.
//!
//! A connection that waits is not read from, which its client notices by its own full buffers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use telemetry::Metrics;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The memory of all connections. A clone is the same memory.
#[derive(Clone)]
pub struct RequestMemory(Arc<Shared>);

struct Shared {
    bytes_max: u64,
    held: AtomicU64,
    /// Told where less than the limit is held again; whoever gets in passes it on.
    freed: Notify,
    /// For the one request that may go beyond.
    beyond: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// What one request holds. Given back when it is dropped.
pub struct Held {
    memory: RequestMemory,
    bytes: u64,
    beyond: Option<OwnedSemaphorePermit>,
}

impl RequestMemory {
    /// `None` is no limit.
    pub fn new(bytes_max: Option<u64>, metrics: Arc<Metrics>) -> RequestMemory {
        RequestMemory(Arc::new(Shared {
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
            freed: Notify::new(),
            beyond: Arc::new(Semaphore::new(1)),
            metrics,
        }))
    }

    /// For a request that holds nothing yet.
    pub fn hold(&self) -> Held {
        Held { memory: self.clone(), bytes: 0, beyond: None }
    }

    fn has_room(&self) -> bool {
        self.0.held.load(Ordering::Acquire) < self.0.bytes_max
    }
}

impl Held {
    /// Waits until less than the limit is held, or until this is the request that may go beyond.
    pub async fn room(&mut self) {
        if self.beyond.is_some() || self.memory.has_room() {
            return;
        }
        let memory = self.memory.0.clone();
        memory.metrics.request_waits_for_memory();
        while !self.memory.has_room() {
            tokio::select! {
                () = memory.freed.notified() => {}
                // The semaphore is never closed.
                beyond = memory.beyond.clone().acquire_owned() => {
                    self.beyond = beyond.ok();
                    return;
                }
            }
        }
        // There may be room for more than one.
        memory.freed.notify_one();
    }

    /// Counts memory that is taken, whatever the limit.
    pub fn add(&mut self, bytes: usize) {
        let memory = &self.memory.0;
        self.bytes += bytes as u64;
        let before = memory.held.fetch_add(bytes as u64, Ordering::AcqRel);
        memory.metrics.request_memory(before + bytes as u64);
    }

    /// Whether this is the request that may go beyond the limit: the others wait for it.
    pub fn is_beyond(&self) -> bool {
        self.beyond.is_some()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let memory = &self.memory.0;
        let before = memory.held.fetch_sub(self.bytes, Ordering::AcqRel);
        let now = before - self.bytes;
        memory.metrics.request_memory(now);
        if before >= memory.bytes_max && now < memory.bytes_max {
            memory.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn memory(bytes_max: u64) -> RequestMemory {
        RequestMemory::new(Some(bytes_max), Arc::default())
    }

    #[tokio::test]
    async fn beyond_the_limit_one_request_goes_on_and_the_others_wait_for_it_or_for_room() {
        let memory = memory(100);
        let [mut first, mut second, mut third] = [(); 3].map(|()| memory.hold());
        first.room().await;
        first.add(120);
        second.room().await;
        assert!(second.is_beyond(), "the limit is reached");
        second.add(500);
        assert!(third.room().now_or_never().is_none(), "one at a time");
        drop(second);
        third.room().await;
        assert!(third.is_beyond(), "its turn");
    }

    #[tokio::test]
    async fn room_is_passed_on_to_all_who_wait_while_there_is_some() {
        let memory = memory(100);
        let [mut full, mut beyond] = [(); 2].map(|()| memory.hold());
        full.add(100);
        beyond.room().await;
        let mut waiting: Vec<Held> = (0..3).map(|_| memory.hold()).collect();
        {
            let all = futures::future::join_all(waiting.iter_mut().map(|held| held.room()));
            let mut all = std::pin::pin!(all);
            assert!(all.as_mut().now_or_never().is_none());
            drop(full);
            all.await;
        }
        assert!(!waiting.iter().any(Held::is_beyond));
    }

    #[tokio::test]
    async fn what_a_request_holds_is_given_back_and_no_limit_is_none() {
        let memory = memory(100);
        let mut held = memory.hold();
        held.add(100);
        drop(held);
        assert_eq!(memory.0.held.load(Ordering::Acquire), 0);
        let unbounded = RequestMemory::new(None, Arc::default());
        let mut held = unbounded.hold();
        held.add(usize::MAX / 2);
        held.room().await;
        assert!(!held.is_beyond());
    }
}
