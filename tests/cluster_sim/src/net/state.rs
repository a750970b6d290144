//! What the network is at a moment, and what happens next.

use super::HostIndex;
use super::connecting::Attempt;
use super::pipe::{End, Item, Pipe};
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

/// What one way takes, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delay {
    pub min: u64,
    pub max: u64,
}

/// How often things happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetCounters {
    pub connections: u64,
    pub deliveries: u64,
    pub bytes: u64,
    /// Items that waited for a cut link.
    pub held: u64,
    pub resets: u64,
    pub refused: u64,
}

/// After which a lost packet is sent again, at most, once the link is healed.
const RETRANSMISSION_US: u64 = 200_000;

pub(super) enum Event {
    Arrive {
        pipe: u64,
        item: Item,
    },
    /// A try to connect arrives.
    Knock {
        attempt: u64,
    },
    /// Its answer arrives.
    Answer {
        attempt: u64,
        result: Result<u64, std::io::ErrorKind>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    Running,
    /// The kernel answers for it.
    Ended,
    /// Nobody answers.
    Silent,
}

pub(super) struct Host {
    pub name: String,
    pub life: u64,
    pub condition: Condition,
    pub listeners: BTreeMap<u16, Listening>,
    pub next_port: u16,
}

#[derive(Default)]
pub(super) struct Listening {
    /// Connections that wait to be accepted.
    pub queue: VecDeque<u64>,
    pub waker: Option<Waker>,
}

#[derive(Clone, Copy)]
struct Link {
    is_cut: bool,
    delay: Delay,
}

pub(super) struct State {
    pub now: u64,
    rng: SmallRng,
    pub hosts: Vec<Host>,
    links: Vec<Vec<Link>>,
    /// Connection `c` is pipe `2c` from its maker and pipe `2c + 1` to it.
    pub pipes: BTreeMap<u64, Pipe>,
    pub ports: BTreeMap<u64, (u16, u16)>,
    pub attempts: BTreeMap<u64, Attempt>,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub next_id: u64,
    pub window: usize,
    pub counters: NetCounters,
    pub trace: u64,
}

/// The other direction of the same connection.
pub(super) fn opposite(pipe: u64) -> u64 {
    pipe ^ 1
}

impl State {
    pub fn new(hosts: Vec<String>, seed: u64, delay: Delay, window: usize) -> State {
        let count = hosts.len();
        let host = |name| Host {
            name,
            life: 0,
            condition: Condition::Ended,
            listeners: BTreeMap::new(),
            next_port: 40_000,
        };
        State {
            now: 0,
            rng: SmallRng::seed_from_u64(seed),
            hosts: hosts.into_iter().map(host).collect(),
            links: vec![vec![Link { is_cut: false, delay }; count]; count],
            pipes: BTreeMap::new(),
            ports: BTreeMap::new(),
            attempts: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            next_id: 0,
            window,
            counters: NetCounters::default(),
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Adds facts to the trace (FNV-1a).
    pub fn note(&mut self, facts: &[u64]) {
        for byte in facts.iter().flat_map(|fact| fact.to_le_bytes()) {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub fn is_cut(&self, from: HostIndex, to: HostIndex) -> bool {
        from != to && self.links[from][to].is_cut
    }

    pub fn set_delay(&mut self, from: HostIndex, to: HostIndex, delay: Delay) {
        self.links[from][to].delay = delay;
    }

    /// When something sent now arrives.
    pub fn due(&mut self, from: HostIndex, to: HostIndex) -> u64 {
        if from == to {
            return self.now;
        }
        let Delay { min, max } = self.links[from][to].delay;
        self.now + self.rng.random_range(min..=max)
    }

    pub fn schedule(&mut self, due: u64, event: Event) {
        self.events.insert((due, self.next_event), event);
        self.next_event += 1;
    }

    pub fn advance(&mut self, now: u64, wakers: &mut Vec<Waker>) {
        while let Some(entry) = self.events.first_entry() {
            let due = entry.key().0;
            if due > now {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(due);
            match event {
                Event::Arrive { pipe, item } => self.arrive(pipe, item, wakers),
                Event::Knock { attempt } => self.knock(attempt, wakers),
                Event::Answer { attempt, result } => self.answer(attempt, result, wakers),
            }
        }
        self.now = now;
    }

    /// Sends an item, after all that was sent before it.
    pub fn send(&mut self, id: u64, item: Item) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        if let Item::Data(bytes) = &item {
            pipe.under_way += bytes.len();
        }
        let (from, to) = (pipe.from, pipe.to);
        if self.is_cut(from, to) || !self.pipes[&id].held.is_empty() {
            self.hold(id, item);
            return;
        }
        let due = self.due(from, to);
        let pipe = self.pipes.get_mut(&id).expect("found above");
        pipe.last_due = pipe.last_due.max(due);
        let due = pipe.last_due;
        self.schedule(due, Event::Arrive { pipe: id, item });
    }

    fn hold(&mut self, id: u64, item: Item) {
        self.counters.held += 1;
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.held.push_back(item);
        }
    }

    fn arrive(&mut self, id: u64, item: Item, wakers: &mut Vec<Waker>) {
        let Some(pipe) = self.pipes.get(&id) else { return };
        let (from, to, to_life) = (pipe.from, pipe.to, pipe.to_life);
        let host = &self.hosts[to];
        if self.is_cut(from, to) || host.condition == Condition::Silent {
            self.hold(id, item);
            return;
        }
        let is_known = host.life == to_life && host.condition == Condition::Running;
        self.counters.deliveries += 1;
        let kind = match &item {
            Item::Data(bytes) => u64::from(crc32c::crc32c(bytes)) << 8,
            Item::Finish => 1,
            Item::Reset => 2,
        };
        self.note(&[self.now, id, kind]);
        match item {
            Item::Data(bytes) => self.data(id, bytes, is_known, wakers),
            Item::Finish => self.end(id, End::Finished, wakers),
            Item::Reset => self.reset(id, wakers),
        }
    }

    fn data(&mut self, id: u64, bytes: Bytes, is_known: bool, wakers: &mut Vec<Waker>) {
        let pipe = self.pipes.get_mut(&id).expect("looked up before");
        pipe.under_way -= bytes.len();
        if !is_known || pipe.reader_is_gone {
            if pipe.end != Some(End::Reset) {
                self.send(opposite(id), Item::Reset);
            }
            return;
        }
        self.counters.bytes += bytes.len() as u64;
        pipe.unread += bytes.len();
        pipe.arrived.push_back(bytes);
        wakers.extend(pipe.reader.take());
    }

    fn end(&mut self, id: u64, end: End, wakers: &mut Vec<Waker>) {
        let pipe = self.pipes.get_mut(&id).expect("looked up before");
        pipe.end = pipe.end.or(Some(end));
        wakers.extend(pipe.reader.take());
    }

    fn reset(&mut self, id: u64, wakers: &mut Vec<Waker>) {
        self.counters.resets += 1;
        let pipe = self.pipes.get_mut(&id).expect("looked up before");
        pipe.forget_data();
        pipe.end = Some(End::Reset);
        wakers.extend(pipe.reader.take());
        if let Some(back) = self.pipes.get_mut(&opposite(id)) {
            back.is_broken = true;
            wakers.extend(back.writer.take());
        }
    }

    pub fn end_program(&mut self, host: HostIndex, has_power: bool, wakers: &mut Vec<Waker>) {
        self.note(&[self.now, 3, host as u64, u64::from(has_power)]);
        let life = self.hosts[host].life;
        self.hosts[host].life += 1;
        self.hosts[host].listeners.clear();
        let condition = if has_power { Condition::Ended } else { Condition::Silent };
        self.hosts[host].condition = condition;
        let own: Vec<u64> = self
            .pipes
            .iter()
            .filter(|(_, pipe)| pipe.from == host && pipe.from_life == life)
            .map(|(id, _)| *id)
            .collect();
        for id in own {
            let unread = self.pipes.get(&opposite(id)).map_or(0, |back| back.unread);
            if has_power && !self.pipes[&id].writer_is_done {
                let item = if unread > 0 { Item::Reset } else { Item::Finish };
                self.send(id, item);
            }
            let pipe = self.pipes.get_mut(&id).expect("listed above");
            pipe.writer_is_done = true;
            // Without power, nothing that was not sent yet leaves the host.
            if !has_power {
                pipe.held.clear();
            }
            pipe.writer = None;
            if let Some(back) = self.pipes.get_mut(&opposite(id)) {
                back.reader_is_gone = true;
                back.reader = None;
                back.forget_data();
                wakers.extend(back.writer.take());
            }
        }
        self.attempts.retain(|_, attempt| attempt.from != host);
    }

    pub fn start_program(&mut self, host: HostIndex) {
        self.note(&[self.now, 4, host as u64]);
        let was_silent = self.hosts[host].condition == Condition::Silent;
        self.hosts[host].condition = Condition::Running;
        if was_silent {
            let waiting = |pipe: &Pipe| pipe.to == host && !pipe.held.is_empty();
            self.release(waiting);
        }
    }

    pub fn cut(&mut self, from: HostIndex, to: HostIndex, is_cut: bool) {
        self.note(&[self.now, 5, from as u64, to as u64, u64::from(is_cut)]);
        self.links[from][to].is_cut = is_cut;
        if !is_cut {
            self.release(|pipe| pipe.from == from && pipe.to == to && !pipe.held.is_empty());
        }
    }

    /// Sends what was held, each connection after a retransmission's time of its own.
    fn release(&mut self, which: impl Fn(&Pipe) -> bool) {
        let ids: Vec<u64> =
            self.pipes.iter().filter(|(_, pipe)| which(pipe)).map(|(id, _)| *id).collect();
        for id in ids {
            let (from, to) = (self.pipes[&id].from, self.pipes[&id].to);
            if self.is_cut(from, to) {
                continue;
            }
            let due = self.due(from, to) + self.rng.random_range(0..RETRANSMISSION_US);
            let pipe = self.pipes.get_mut(&id).expect("listed above");
            pipe.last_due = pipe.last_due.max(due);
            let (due, held) = (pipe.last_due, std::mem::take(&mut pipe.held));
            for item in held {
                self.schedule(due, Event::Arrive { pipe: id, item });
            }
        }
    }
}
