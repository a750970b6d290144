//! What every part of the simulation may touch: time, chance, the wires and the books.

use crate::config::SimConfig;
use crate::counters::Counters;
use crate::event::*;
use crate::network::Network;
use crate::rng::Rng;
use crate::trace::Trace;
use std::collections::BTreeMap;
use types::{BrokerEpoch, Monotonic, NodeId};

/// The controller's place in the network.
pub const CONTROLLER: NodeId = NodeId(-1);

pub struct Context {
    /// Microseconds.
    pub now: u64,
    pub rng: Rng,
    pub config: SimConfig,
    pub network: Network,
    pub counters: Counters,
    pub trace: Trace,
    pub facts: Vec<Fact>,
    /// No losses and no long delays: a guarded crash or the final phase is under way.
    pub is_calm: bool,
    /// AlterPartition requests on their way.
    pub alters_in_flight: usize,
    next_call: CallId,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
}

impl Context {
    pub fn new(config: SimConfig, keeps_trace: bool) -> Context {
        Context {
            now: 0,
            rng: Rng::new(config.seed),
            config,
            network: Network::default(),
            counters: Counters::default(),
            trace: Trace::new(keeps_trace),
            facts: Vec::new(),
            is_calm: true,
            alters_in_flight: 0,
            next_call: 0,
            queue: BTreeMap::new(),
            next_event: 0,
        }
    }

    pub fn monotonic(&self) -> Monotonic {
        Monotonic(self.now)
    }

    /// The next event, with the clock moved to it.
    pub fn pop(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = at;
        Some(event)
    }

    pub fn next_time(&self) -> Option<u64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    pub fn after_us(&mut self, delay: u64, event: Event) {
        self.queue.insert((self.now + delay, self.next_event), event);
        self.next_event += 1;
    }

    pub fn after_ms(&mut self, delay: u64, event: Event) {
        self.after_us(delay * 1000, event);
    }

    pub fn node_after_ms(
        &mut self,
        delay: u64,
        node: NodeId,
        incarnation: Incarnation,
        input: NodeInput,
    ) {
        self.after_ms(delay, Event::Node { node, incarnation, input });
    }

    pub fn next_call(&mut self) -> CallId {
        self.next_call += 1;
        self.next_call
    }

    /// How long a message takes, microseconds.
    pub fn delay_us(&mut self) -> u64 {
        if !self.is_calm && self.rng.chance(20) {
            return self.rng.range(100, self.config.delay_ms_tail * 1000);
        }
        self.rng.range(100, self.config.delay_ms_max * 1000)
    }

    /// Whether a message outside of streams gets lost now.
    pub fn is_lost(&mut self, from: NodeId, to: NodeId) -> bool {
        let is_lost = self.network.is_blocked(from, to)
            || (!self.is_calm && self.rng.chance(self.config.loss));
        self.counters.messages_lost += u64::from(is_lost);
        is_lost
    }

    pub fn send_to_controller(&mut self, from: NodeId, input: ControllerInput) {
        if self.is_lost(from, CONTROLLER) {
            return;
        }
        // Bounded well below the time after which a call counts as lost.
        let longest = if self.config.wide { 390_000 } else { 100_000 };
        let delay = self.delay_us().min(longest);
        self.alters_in_flight += usize::from(matches!(input, ControllerInput::Alter { .. }));
        self.after_us(delay, Event::Controller(input));
    }

    pub fn send_from_controller(&mut self, to: NodeId, incarnation: u64, input: NodeInput) {
        if !self.is_lost(CONTROLLER, to) {
            let delay = self.delay_us();
            self.after_us(delay, Event::Node { node: to, incarnation, input });
        }
    }

    pub fn send_to_client(&mut self, client: usize, input: ClientInput) {
        if !self.is_calm && self.rng.chance(self.config.loss) {
            self.counters.messages_lost += 1;
            return;
        }
        let delay = self.delay_us();
        self.after_us(delay, Event::Client { client, input });
    }

    /// Opens a stream, or makes the follower try again.
    pub fn connect(
        &mut self,
        follower: (NodeId, Incarnation),
        broker_epoch: BrokerEpoch,
        leader: NodeId,
    ) {
        let Some(stream) = self.network.open(follower, leader) else {
            let pause = self.rng.range(20, 200);
            self.node_after_ms(pause, follower.0, follower.1, NodeInput::Connect(leader));
            return;
        };
        let slow = self.config.slow_streams;
        if slow > 0 && !self.is_calm && self.rng.chance(slow) {
            let lag = self.rng.range(0, self.config.slow_stream_ms_max * 1000);
            self.network.slow_down(stream, lag);
            self.counters.streams_slow += 1;
        }
        let there = NodeInput::FollowerUp { stream, follower: follower.0, broker_epoch };
        self.send_on_stream(stream, true, there);
        self.send_on_stream(stream, false, NodeInput::StreamUp { stream, leader });
    }

    /// Sends in order, once; where streams are made lossy, sometimes never or twice.
    pub fn send_on_stream(&mut self, stream: StreamId, to_leader: bool, input: NodeInput) {
        let is_set_up = matches!(input, NodeInput::FollowerUp { .. } | NodeInput::StreamUp { .. });
        let stream_loss = if self.is_calm || is_set_up { 0 } else { self.config.stream_loss };
        if self.rng.chance(stream_loss) {
            self.counters.messages_lost += 1;
            return;
        }
        let copies = if self.rng.chance(stream_loss) { 2 } else { 1 };
        self.counters.messages_doubled += copies - 1;
        for _ in 0..copies {
            let delay = self.delay_us();
            let Some((at, node, incarnation)) =
                self.network.deliver_at(stream, to_leader, self.now + delay)
            else {
                return;
            };
            let input = input.clone();
            self.after_us(at - self.now, Event::Node { node, incarnation, input });
        }
    }

    /// Breaks streams; each side notices in its own time, and what is under way may still arrive
    /// if `drains`.
    pub fn break_streams(&mut self, streams: &[StreamId], drains: bool) {
        for stream in streams.iter().copied() {
            let Some((follower, leader)) = self.network.break_stream(stream, drains) else {
                continue;
            };
            self.counters.streams_broken += 1;
            let notice = self.config.notice_ms_max;
            let (soon, late) = (self.rng.range(1, notice), self.rng.range(1, notice));
            let down = NodeInput::StreamDown { stream, leader: leader.0 };
            let gone = NodeInput::FollowerDown { stream };
            self.node_after_ms(soon, follower.0, follower.1, down);
            self.node_after_ms(late, leader.0, leader.1, gone);
        }
    }
}
