//! The memory that the requests of all client connections hold together
//! (`queued.max.request.bytes`).
//!
//! Promises:
//! - a request holds the bytes of it that came, and what its arrays took when it was decoded, until it
//!   is done;
//! - while all requests together hold the limit, no more of any request is read or decoded, but for
//!   one, which may go beyond the limit until it is read and decoded. Without it, requests that are
//!   half read could wait for each other for ever, and one larger than the limit would never come in;
//! - those that went beyond and are not done take one more limit at most; then nobody goes beyond;
//! - requests of up to [`SMALL_BYTES`] wait for nothing (callers see to it): heartbeats, commits and
//!   most polls go on whatever the others hold;
//! - nobody waits for longer than it says, and while some wait, a connection that holds much and
//!   answers nothing is told of ([`RequestMemory::stands_in_the_way`]);
//! - beyond the limit come those above, and what was under way when it was reached: a read of each
//!   connection, and a decoded request of each thread.
//!
//! A connection that waits is not read from, which its client notices by its own full buffers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use telemetry::Metrics;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A request of up to this size does not wait for room: so many are bounded by the connections.
pub const SMALL_BYTES: usize = 4 * 1024;
/// A connection whose requests hold less than this is never in the way. As many connections as 20,000
/// open files allow hold less than the default limit so.
const MUCH_BYTES: u64 = 64 * 1024;

/// The memory of all connections, as one of them uses it. A clone is the same memory and connection.
#[derive(Clone)]
pub struct RequestMemory {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

struct Shared {
    bytes_max: u64,
    held: AtomicU64,
    /// Told where less than the limit is held again; whoever gets in passes it on.
    freed: Notify,
    /// Requests that wait for room.
    waiting: AtomicUsize,
    /// For the one request that may go beyond.
    beyond: Arc<Semaphore>,
    overdraft: Mutex<Overdraft>,
    metrics: Arc<Metrics>,
}

/// What those hold that went beyond the limit and are not done.
#[derive(Default)]
struct Overdraft {
    bytes: u64,
    /// Nobody goes beyond while this is here: they hold one limit already.
    kept: Option<OwnedSemaphorePermit>,
}

/// One connection's part.
#[derive(Default)]
struct Connection {
    /// Of its requests that came whole and are not done.
    bytes: AtomicU64,
    /// How many it has answered.
    answers: AtomicU64,
}

/// What one request holds. Given back when it is dropped.
pub struct Held {
    memory: RequestMemory,
    bytes: u64,
    /// All of its bytes came.
    is_whole: bool,
    beyond: Option<OwnedSemaphorePermit>,
    /// Its part of the overdraft.
    overdrawn: u64,
}

/// Counts one that waits until it is dropped.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Waiting<'a> {
        shared.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.held.load(Ordering::Acquire) < self.bytes_max
    }

    fn overdraft(&self) -> MutexGuard<'_, Overdraft> {
        self.overdraft.lock().expect("no thread panicked with the overdraft")
    }
}

impl RequestMemory {
    /// `None` is no limit.
    pub fn new(bytes_max: Option<u64>, metrics: Arc<Metrics>) -> RequestMemory {
        let shared = Arc::new(Shared {
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            held: AtomicU64::new(0),
            freed: Notify::new(),
            waiting: AtomicUsize::new(0),
            beyond: Arc::new(Semaphore::new(1)),
            overdraft: Mutex::default(),
            metrics,
        });
        RequestMemory { shared, connection: Arc::default() }
    }

    /// The same memory for a new connection.
    pub fn of_connection(&self) -> RequestMemory {
        RequestMemory { shared: self.shared.clone(), connection: Arc::default() }
    }

    /// For a request that holds nothing yet.
    pub fn hold(&self) -> Held {
        Held { memory: self.clone(), bytes: 0, is_whole: false, beyond: None, overdrawn: 0 }
    }

    /// The connection gets on.
    pub fn answered(&self) {
        self.connection.answers.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends once others wait for room while this connection holds much, and has answered nothing from
    /// one look to the next, `patience` later. Else whoever parks large requests, behind a long poll
    /// for example, could keep everybody's large requests out.
    pub async fn stands_in_the_way(&self, patience: Duration) {
        let mut before = None;
        loop {
            tokio::time::sleep(patience).await;
            let now = self.in_the_way();
            if now.is_some() && now == before {
                return;
            }
            before = now;
        }
    }

    /// How many it has answered, if others wait for what this connection holds.
    fn in_the_way(&self) -> Option<u64> {
        let holds_much = self.connection.bytes.load(Ordering::Acquire) >= MUCH_BYTES;
        let is_awaited = self.shared.waiting.load(Ordering::Acquire) > 0;
        let is_in_the_way = holds_much && is_awaited && !self.shared.has_room();
        is_in_the_way.then(|| self.connection.answers.load(Ordering::Acquire))
    }
}

impl Held {
    /// Waits until less than the limit is held, or until this is the request that may go beyond. False
    /// when neither happens in time.
    pub async fn room(&mut self, patience: Duration) -> bool {
        let shared = self.memory.shared.clone();
        // Who went beyond to be read is decoded, too: it would wait for itself.
        if self.beyond.is_some() || self.overdrawn > 0 || shared.has_room() {
            return true;
        }
        shared.metrics.request_waits_for_memory();
        let _waiting = Waiting::new(&shared);
        tokio::time::timeout(patience, self.wait(&shared)).await.is_ok()
    }

    async fn wait(&mut self, shared: &Shared) {
        while !shared.has_room() {
            tokio::select! {
                () = shared.freed.notified() => {}
                // The semaphore is never closed.
                beyond = shared.beyond.clone().acquire_owned() => {
                    self.beyond = beyond.ok();
                    return;
                }
            }
        }
        // There may be room for more than one.
        shared.freed.notify_one();
    }

    /// Counts memory that is taken, whatever the limit.
    pub fn add(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let shared = &self.memory.shared;
        self.bytes += bytes;
        let before = shared.held.fetch_add(bytes, Ordering::AcqRel);
        shared.metrics.request_memory(before + bytes);
        if self.is_whole {
            self.memory.connection.bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        if self.overdrawn > 0 {
            self.overdrawn += bytes;
            shared.overdraft().bytes += bytes;
        }
    }

    /// Whether this is the request that may go beyond the limit: the others wait for it.
    pub fn is_beyond(&self) -> bool {
        self.beyond.is_some()
    }

    /// All of the request's bytes came.
    pub fn came_whole(&mut self) {
        if !self.is_whole {
            self.is_whole = true;
            self.memory.connection.bytes.fetch_add(self.bytes, Ordering::AcqRel);
        }
        self.step_back();
    }

    /// Lets another one go beyond the limit: this one waits for its turn or its answer, which may be
    /// long.
    pub fn step_back(&mut self) {
        let Some(beyond) = self.beyond.take() else { return };
        let shared = &self.memory.shared;
        let mut overdraft = shared.overdraft();
        overdraft.bytes += self.bytes - self.overdrawn;
        self.overdrawn = self.bytes;
        if overdraft.bytes >= shared.bytes_max {
            overdraft.kept = Some(beyond);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let shared = &self.memory.shared;
        if self.is_whole {
            self.memory.connection.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        }
        if self.overdrawn > 0 {
            let mut overdraft = shared.overdraft();
            overdraft.bytes -= self.overdrawn;
            if overdraft.bytes < shared.bytes_max {
                overdraft.kept = None;
            }
        }
        let before = shared.held.fetch_sub(self.bytes, Ordering::AcqRel);
        let now = before - self.bytes;
        shared.metrics.request_memory(now);
        if before >= shared.bytes_max && now < shared.bytes_max {
            shared.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(5);

    fn memory(bytes_max: u64) -> RequestMemory {
        RequestMemory::new(Some(bytes_max), Arc::default())
    }

    #[tokio::test]
    async fn beyond_the_limit_one_request_goes_on_and_the_others_wait_for_it_or_for_room() {
        let memory = memory(100);
        let [mut first, mut second, mut third] = [(); 3].map(|()| memory.hold());
        assert!(first.room(LONG).await);
        first.add(120);
        assert!(second.room(LONG).await);
        assert!(second.is_beyond(), "the limit is reached");
        second.add(500);
        assert!(third.room(LONG).now_or_never().is_none(), "one at a time");
        assert!(!third.room(SHORT).await, "and nobody waits for ever");
        drop(second);
        assert!(third.room(LONG).await);
        assert!(third.is_beyond(), "its turn");
    }

    #[tokio::test]
    async fn a_parked_request_lets_others_go_beyond_until_such_hold_the_limit_once_more() {
        let memory = memory(100);
        let [mut full, mut first, mut second, mut third] = [(); 4].map(|()| memory.hold());
        full.add(100);
        for parked in [&mut first, &mut second] {
            assert!(parked.room(LONG).await && parked.is_beyond());
            parked.add(60);
            parked.came_whole();
            assert!(parked.room(LONG).now_or_never() == Some(true), "it is decoded, too");
            parked.step_back();
        }
        assert!(third.room(LONG).now_or_never().is_none(), "twice the limit is held");
        drop(first);
        assert!(third.room(LONG).await);
        assert!(third.is_beyond());
    }

    #[tokio::test]
    async fn a_connection_that_holds_much_and_answers_nothing_stands_in_the_way_of_who_waits() {
        let memory = memory(100);
        let [idle, busy, small] = [(); 3].map(|()| memory.of_connection());
        let [mut parked, mut moving, mut little] = [&idle, &busy, &small].map(RequestMemory::hold);
        for held in [&mut parked, &mut moving] {
            held.add(MUCH_BYTES as usize);
            held.came_whole();
        }
        little.add(100);
        little.came_whole();
        assert!(idle.in_the_way().is_none(), "nobody waits");
        let [mut beyond, mut waiter] = [(); 2].map(|()| memory.hold());
        assert!(beyond.room(LONG).await);
        let mut waits = Box::pin(waiter.room(LONG));
        assert!(waits.as_mut().now_or_never().is_none());
        let getting_on = async {
            while idle.in_the_way().is_some() {
                busy.answered();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = getting_on => panic!("it is in the way"),
            () = idle.stands_in_the_way(SHORT) => {}
            () = busy.stands_in_the_way(SHORT) => panic!("it answers"),
            () = small.stands_in_the_way(SHORT) => panic!("it holds little"),
        }
        drop((waits, parked));
        assert!(busy.in_the_way().is_none(), "nobody waits any more");
    }

    #[tokio::test]
    async fn room_is_passed_on_to_all_who_wait_while_there_is_some() {
        let memory = memory(100);
        let [mut full, mut beyond] = [(); 2].map(|()| memory.hold());
        full.add(100);
        assert!(beyond.room(LONG).await);
        let mut waiting: Vec<Held> = (0..3).map(|_| memory.hold()).collect();
        {
            let all = futures::future::join_all(waiting.iter_mut().map(|held| held.room(LONG)));
            let mut all = std::pin::pin!(all);
            assert!(all.as_mut().now_or_never().is_none());
            drop(full);
            assert_eq!(all.await, [true; 3]);
        }
        assert!(!waiting.iter().any(Held::is_beyond));
    }

    #[tokio::test]
    async fn what_a_request_holds_is_given_back_and_no_limit_is_none() {
        let memory = memory(100);
        let mut held = memory.hold();
        held.add(100);
        held.came_whole();
        drop(held);
        assert_eq!(memory.shared.held.load(Ordering::Acquire), 0);
        assert_eq!(memory.connection.bytes.load(Ordering::Acquire), 0);
        let unbounded = RequestMemory::new(None, Arc::default());
        let mut held = unbounded.hold();
        held.add(usize::MAX / 2);
        assert!(held.room(LONG).await);
        assert!(!held.is_beyond());
    }
}
