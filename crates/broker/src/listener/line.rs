//! The requests of one connection that are not answered yet, and the share of them over all
//! connections that may wait for their turn.
//!
//! Promises:
//! - at most `queued.max.requests` requests, over all connections, are begun to be read into memory
//!   and wait behind an earlier one of their connection;
//! - the first request of a connection waits for nobody: whatever the others queue up behind their
//!   long polls, each connection goes on with one request at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// One connection's line of unanswered requests.
pub struct Line {
    /// Places behind a first request, over all connections.
    places: Arc<Semaphore>,
    unanswered: AtomicUsize,
    emptied: Notify,
}

/// A place behind a first request; none is needed for the first. Given back when dropped.
pub type Place = Option<OwnedSemaphorePermit>;

/// The places of all connections: `queued.max.requests`.
pub fn places(queued_max: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((queued_max as usize).clamp(1, Semaphore::MAX_PERMITS)))
}

impl Line {
    pub fn new(places: Arc<Semaphore>) -> Line {
        Line { places, unanswered: AtomicUsize::new(0), emptied: Notify::new() }
    }

    /// Waits until there is a place, or nobody is in front. Only one task may wait.
    pub async fn place(&self) -> Place {
        while !self.is_empty() {
            tokio::select! {
                // The semaphore is never closed.
                place = self.places.clone().acquire_owned() => return place.ok(),
                // A word of an earlier emptying may be left: hence the loop.
                () = self.emptied.notified() => {}
            }
        }
        None
    }

    pub fn joined(&self) {
        self.unanswered.fetch_add(1, Ordering::AcqRel);
    }

    /// The first of the line is answered.
    pub fn answered(&self) {
        if self.unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_one();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn only_requests_behind_another_take_places_and_an_empty_line_needs_none() {
        let places = places(1);
        let [busy, other] = [Line::new(places.clone()), Line::new(places)];
        assert!(busy.place().await.is_none(), "the first needs no place");
        busy.joined();
        let held = busy.place().await;
        assert!(held.is_some());
        busy.joined();
        assert!(other.place().await.is_none(), "another connection's first neither");
        other.joined();
        assert!(other.place().now_or_never().is_none(), "all places are taken");
        let mut waiting = std::pin::pin!(other.place());
        assert!(waiting.as_mut().now_or_never().is_none());
        other.answered();
        assert!(waiting.await.is_none(), "its line is empty now");
        other.joined();
        drop(held);
        assert!(other.place().await.is_some(), "a place was given back");
    }
}
