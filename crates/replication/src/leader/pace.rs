//! How a follower keeps up, and when it makes everybody wait.
//!
//! ```text
//!   the leader's log grows            its end moves          its end moves, and it has all
//!   behind since now ---------------> behind since now -----> not behind
//!   |<----------- without progress ---------->|
//! ```
//!
//! Promises:
//! - only time without any progress counts: a follower that is busy moves, however far behind;
//! - a follower is measured by its own habit: what is usual for it is never slow;
//! - one whose broker gets on with other partitions has more time: a disk that hangs keeps all of them;
//! - one that was too slow rests before it counts again, longer each time.
//!
//! Does not: know what others wait for. [`super::Leader`] asks only while somebody does.

use std::time::Duration;
use types::Monotonic;

/// How many times its usual time between two moves a follower may take.
const USUAL_TIMES: u32 = 8;
/// How many times the limit a follower has that was not heard yet, or whose broker gets on with other
/// partitions: a disk that hangs keeps all of them.
const UNHEARD_TIMES: u32 = 3;
/// How many times the limit a slow follower rests, the first time.
const REST_TIMES: u32 = 4;
/// Longest rest.
const REST_MAX: Duration = Duration::from_secs(300);

/// When a follower is too slow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SlowLimit {
    /// Least time without progress.
    pub min: Duration,
    /// No habit makes it longer than this.
    pub max: Duration,
}

/// A follower's pace in this leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    /// Since when it has made no progress though there was something; `None`: it has all.
    behind_since: Option<Monotonic>,
    /// The longest time between two moves lately.
    usual: Duration,
    /// When its broker last said anything, of whatever partition.
    broker_heard: Monotonic,
    /// It counts for nothing before this time.
    pub rest_until: Monotonic,
    rest: Duration,
}

impl Pace {
    /// A follower that is yet to be heard.
    pub fn new(now: Monotonic) -> Pace {
        Pace {
            behind_since: Some(now),
            usual: Duration::ZERO,
            broker_heard: Monotonic::ZERO,
            rest_until: Monotonic::ZERO,
            rest: Duration::ZERO,
        }
    }

    /// There is something that it does not have.
    pub fn leader_grows(&mut self, now: Monotonic) {
        self.behind_since.get_or_insert(now);
    }

    pub fn reported(&mut self, now: Monotonic, has_moved: bool, has_all: bool) {
        if has_moved && let Some(since) = self.behind_since {
            self.usual = now.since(since).max(self.usual / 8 * 7);
        }
        self.behind_since = match self.behind_since {
            _ if has_all => None,
            Some(since) if !has_moved => Some(since),
            Some(_) | None => Some(now),
        };
    }

    /// Its broker gets on with something.
    pub fn broker_heard(&mut self, at: Monotonic) {
        self.broker_heard = self.broker_heard.max(at);
    }

    /// Nobody looked until now: what did not come meanwhile may be on its way.
    pub fn begin_anew(&mut self, now: Monotonic) {
        self.behind_since = self.behind_since.map(|_| now);
    }

    /// What it has is not known any more: it is not measured before there is something new.
    pub fn forget(&mut self) {
        self.behind_since = None;
    }

    pub fn is_slow(&self, now: Monotonic, is_heard: bool, limit: SlowLimit) -> bool {
        let Some(since) = self.behind_since else { return false };
        // Where its broker gets on with other partitions, this one will have its turn.
        let is_busy = now.since(self.broker_heard) < limit.min;
        let patience = match is_heard && !is_busy {
            true => limit.min.max(self.usual * USUAL_TIMES),
            false => (limit.min * UNHEARD_TIMES).max(self.usual * USUAL_TIMES),
        };
        now.since(since) >= patience.min(limit.max)
    }

    /// It leaves for its slowness.
    pub fn begin_rest(&mut self, now: Monotonic, limit: SlowLimit) {
        self.rest = (self.rest * 2).clamp(limit.min * REST_TIMES, REST_MAX.max(limit.min));
        self.rest_until = now + self.rest;
    }

    /// It is needed. Should it be slow again, it rests as long as if it had rested in full.
    pub fn end_rest(&mut self, now: Monotonic) {
        self.rest_until = self.rest_until.min(now);
    }

    pub fn is_resting(&self, now: Monotonic) -> bool {
        now < self.rest_until
    }
}
