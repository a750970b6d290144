//! Which brokers live. Soft state, from the heartbeat streams alone; never logged.
//!
//! Promises: a broker is fenced after a whole session timeout of silence that this controller
//! itself has listened to, or once its streams are closed and its port refuses (its process is
//! gone; `prober` asks). A newly active one goes by what its own streams have heard, so it can
//! fence at once, and gives a session's time to those it never heard; one that was itself stopped
//! for a while gives it to everyone. A broker is unfenced only once it has applied its own
//! registration. What a dead incarnation said counts for nothing.

use crate::view::View;
use metadata::{Broker, Command, Image};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use types::{BrokerEpoch, MetadataVersion, Monotonic, NodeId};

/// What a broker said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub broker_id: NodeId,
    pub broker_epoch: BrokerEpoch,
    pub applied_version: MetadataVersion,
    pub want_unfence: bool,
    pub want_shutdown: bool,
}

struct Session {
    heard_at: Monotonic,
    last: Heartbeat,
    /// Its streams are closed and its port refuses.
    is_gone: bool,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<NodeId, Session>,
    /// Open heartbeat streams of each broker; none is no entry.
    streams: BTreeMap<NodeId, usize>,
    /// Silence of brokers never heard here is counted from here.
    active_since: Monotonic,
    /// Everyone's silence is counted from here at the earliest.
    listening_since: Monotonic,
    checked_at: Monotonic,
}

/// The sessions of all brokers.
pub struct Liveness {
    session_timeout: Duration,
    state: Mutex<State>,
    /// Woken where a broker says that it has applied more.
    progress: Notify,
    /// Woken where a broker's last stream has ended.
    departures: Notify,
}

/// One open heartbeat stream. Dropping it says that the stream has ended, however it did.
pub struct Attendance {
    liveness: Arc<Liveness>,
    broker: Option<NodeId>,
}

impl Attendance {
    pub fn new(liveness: Arc<Liveness>) -> Attendance {
        Attendance { liveness, broker: None }
    }

    /// A heartbeat came on this stream.
    pub fn heard(&mut self, now: Monotonic, heartbeat: Heartbeat) {
        if self.broker != Some(heartbeat.broker_id) {
            self.leave();
            self.liveness
                .lock()
                .streams
                .entry(heartbeat.broker_id)
                .and_modify(|n| *n += 1)
                .or_insert(1);
            self.broker = Some(heartbeat.broker_id);
        }
        self.liveness.heard(now, heartbeat);
    }

    fn leave(&mut self) {
        let Some(broker) = self.broker.take() else { return };
        let mut state = self.liveness.lock();
        match state.streams.get_mut(&broker) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) | None => {
                state.streams.remove(&broker);
                self.liveness.departures.notify_one();
            }
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Looks are at least this far apart, unless something calls for one.
const PATIENCE_MIN: Duration = Duration::from_millis(1);
/// Most sessions kept: more ids than a cluster has brokers.
const SESSIONS_MAX: usize = 10_000;

impl Liveness {
    pub fn new(session_timeout: Duration) -> Liveness {
        let state = Mutex::new(State::default());
        Liveness { session_timeout, state, progress: Notify::new(), departures: Notify::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("liveness lock")
    }

    /// A heartbeat came.
    fn heard(&self, now: Monotonic, last: Heartbeat) {
        let mut state = self.lock();
        if state.sessions.len() >= SESSIONS_MAX && !state.sessions.contains_key(&last.broker_id) {
            return;
        }
        // Two streams of one broker may cross; an older incarnation never replaces a newer one.
        let known = state.sessions.get(&last.broker_id).map(|session| session.last);
        if known.is_none_or(|known| known.broker_epoch <= last.broker_epoch) {
            let session = Session { heard_at: now, last, is_gone: false };
            state.sessions.insert(last.broker_id, session);
        }
        if known.is_none_or(|known| known.applied_version < last.applied_version) {
            self.progress.notify_waiters();
        }
    }

    /// Waits until every unfenced broker has said that it has applied a version.
    pub async fn applied_everywhere(&self, view: &View, version: MetadataVersion) {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            // Before the look, so that a word between the look and the wait is not missed.
            progress.as_mut().enable();
            if self.is_applied(&view.image(), version) {
                return;
            }
            progress.await;
        }
    }

    fn is_applied(&self, image: &Image, version: MetadataVersion) -> bool {
        let state = self.lock();
        let mut unfenced = image.brokers().filter(|broker| !broker.fenced);
        unfenced.all(|broker| {
            let session = self.session(&state, broker);
            session.is_some_and(|session| session.last.applied_version >= version)
        })
    }

    /// This node became the active controller.
    pub fn activate(&self, now: Monotonic) {
        let mut state = self.lock();
        state.active_since = now;
        state.checked_at = now;
    }

    /// Whether the registered incarnation of a broker has a stream open here, and was heard within
    /// the session timeout. One whose streams are closed makes way for another at once: a broker
    /// that was killed need not wait for its own session to end.
    pub fn is_alive(&self, image: &Image, broker: NodeId, now: Monotonic) -> bool {
        let Some(broker) = image.broker(broker) else { return false };
        let state = self.lock();
        let attends = state.streams.contains_key(&broker.id);
        let session = self.session(&state, broker);
        let is_heard = |session: &Session| now.since(session.heard_at) < self.session_timeout;
        attends && session.is_some_and(is_heard)
    }

    /// Waits until the last stream of some broker has ended. One waiter.
    pub async fn departure(&self) {
        self.departures.notified().await;
    }

    /// Unfenced brokers that were heard here and have no stream open now: they may be gone.
    pub fn departed(&self, image: &Image) -> Vec<Arc<Broker>> {
        let state = self.lock();
        let is_departed = |broker: &&Arc<Broker>| {
            let session = self.session(&state, broker);
            let may_live = session.is_some_and(|session| !session.is_gone);
            !broker.fenced && may_live && !state.streams.contains_key(&broker.id)
        };
        image.brokers().filter(is_departed).cloned().collect()
    }

    /// A broker's port has refused. It is due to be fenced, unless it has come back meanwhile.
    pub fn is_gone(&self, broker: NodeId, epoch: BrokerEpoch) {
        let mut state = self.lock();
        let attends = state.streams.contains_key(&broker);
        if let Some(session) = state.sessions.get_mut(&broker) {
            session.is_gone |= !attends && session.last.broker_epoch == epoch;
        }
    }

    fn session<'a>(&self, state: &'a State, broker: &Broker) -> Option<&'a Session> {
        let session = state.sessions.get(&broker.id)?;
        (session.last.broker_epoch == broker.epoch).then_some(session)
    }

    /// How long [`Liveness::due`] may wait for its next look: until the next session can end, but
    /// not so long that a stop of this process goes unnoticed.
    pub fn patience(&self, now: Monotonic) -> Duration {
        let state = self.lock();
        let ends = state.sessions.values().map(|session| session.heard_at + self.session_timeout);
        let next = ends.filter(|end| *end > now).min();
        let longest = self.session_timeout / 4;
        next.map_or(longest, |end| end.since(now).min(longest)).max(PATIENCE_MIN)
    }

    /// What the active controller must command now.
    pub fn due(&self, image: &Image, now: Monotonic) -> Vec<Command> {
        let mut state = self.lock();
        if now.since(state.checked_at) > self.session_timeout / 2 {
            // This process was stopped or starved: heartbeats may be waiting to be read.
            state.listening_since = now;
        }
        state.checked_at = now;
        let commands = image.brokers().filter_map(|broker| self.due_for(&state, broker, now));
        commands.collect()
    }

    fn due_for(&self, state: &State, broker: &Broker, now: Monotonic) -> Option<Command> {
        let (broker_id, broker_epoch) = (broker.id, broker.epoch);
        let session = self.session(state, broker);
        let heard_at = session.map_or(state.active_since, |session| session.heard_at);
        let silent = now.since(heard_at.max(state.listening_since)) >= self.session_timeout;
        if silent || session.is_some_and(|session| session.is_gone) {
            return (!broker.fenced).then_some(Command::FenceBroker { broker_id, broker_epoch });
        }
        let last = session?.last;
        if last.want_shutdown {
            let due = !broker.fenced && !broker.in_controlled_shutdown;
            return due.then_some(Command::BeginControlledShutdown { broker_id, broker_epoch });
        }
        let caught_up = last.applied_version >= broker.registered_version;
        let due = broker.fenced && last.want_unfence && caught_up;
        due.then_some(Command::UnfenceBroker { broker_id, broker_epoch })
    }
}

#[cfg(test)]
#[path = "liveness_test.rs"]
mod tests;
