//! How a connection comes about: a knock, tried again while nobody hears it, and an answer.

use super::HostIndex;
use super::pipe::Pipe;
use super::state::{Condition, Event, State};
use std::io::ErrorKind;
use std::task::Waker;

/// After which a knock without an answer is tried again.
const RETRY_US: u64 = 1_000_000;

/// A try to connect.
pub(super) struct Attempt {
    pub from: HostIndex,
    pub to: HostIndex,
    pub port: u16,
    pub own_port: u16,
    pub waker: Option<Waker>,
    /// The connection, or why there is none.
    pub result: Option<Result<u64, ErrorKind>>,
}

impl State {
    pub fn begin_connect(&mut self, from: HostIndex, to: HostIndex, port: u16) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let host = &mut self.hosts[from];
        host.next_port = if host.next_port == u16::MAX { 40_000 } else { host.next_port + 1 };
        let own_port = host.next_port;
        let attempt = Attempt { from, to, port, own_port, waker: None, result: None };
        self.attempts.insert(id, attempt);
        let due = self.due(from, to);
        self.schedule(due, Event::Knock { attempt: id });
        id
    }

    pub(super) fn knock(&mut self, id: u64, wakers: &mut Vec<Waker>) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (from, to, port) = (attempt.from, attempt.to, attempt.port);
        let own_port = attempt.own_port;
        let condition = self.hosts[to].condition;
        let is_unheard = condition == Condition::Silent;
        if is_unheard || self.is_cut(from, to) || self.is_cut(to, from) {
            self.schedule(self.now + RETRY_US, Event::Knock { attempt: id });
            return;
        }
        let result = if self.hosts[to].listeners.contains_key(&port) {
            let connection = self.connect((from, own_port), (to, port));
            let listening = self.hosts[to].listeners.get_mut(&port).expect("it is there");
            listening.queue.push_back(connection);
            wakers.extend(listening.waker.take());
            Ok(connection)
        } else {
            self.counters.refused += 1;
            Err(ErrorKind::ConnectionRefused)
        };
        self.note(&[self.now, 6, id, result.unwrap_or(u64::MAX)]);
        let due = self.due(to, from);
        if let Ok(connection) = result {
            // What the accepting side sends first must not arrive before the answer.
            let back = self.pipes.get_mut(&(2 * connection + 1)).expect("just made");
            back.last_due = due;
        }
        self.schedule(due, Event::Answer { attempt: id, result });
    }

    fn connect(&mut self, from: (HostIndex, u16), to: (HostIndex, u16)) -> u64 {
        let connection = self.next_id;
        self.next_id += 1;
        let from_end = (from.0, self.hosts[from.0].life);
        let to_end = (to.0, self.hosts[to.0].life);
        self.pipes.insert(2 * connection, Pipe::new(from_end, to_end));
        self.pipes.insert(2 * connection + 1, Pipe::new(to_end, from_end));
        self.ports.insert(connection, (from.1, to.1));
        self.counters.connections += 1;
        connection
    }

    pub(super) fn answer(
        &mut self,
        id: u64,
        result: Result<u64, ErrorKind>,
        wakers: &mut Vec<Waker>,
    ) {
        match self.attempts.get_mut(&id) {
            Some(attempt) => {
                attempt.result = Some(result);
                wakers.extend(attempt.waker.take());
            }
            // Nobody waits any more: the connection is closed at once.
            None => {
                if let Ok(connection) = result {
                    self.close_end(2 * connection, wakers);
                }
            }
        }
    }

    /// The owner of the end that writes `pipe` has let go of the connection.
    pub fn close_end(&mut self, pipe: u64, wakers: &mut Vec<Waker>) {
        let unread = self.pipes.get(&super::state::opposite(pipe)).map_or(0, |back| back.unread);
        let is_done = self.pipes.get(&pipe).is_none_or(|pipe| pipe.writer_is_done);
        if !is_done || unread > 0 {
            let reset = unread > 0;
            let item = if reset { super::pipe::Item::Reset } else { super::pipe::Item::Finish };
            self.send(pipe, item);
        }
        if let Some(own) = self.pipes.get_mut(&pipe) {
            own.writer_is_done = true;
            own.writer = None;
        }
        if let Some(back) = self.pipes.get_mut(&super::state::opposite(pipe)) {
            back.reader_is_gone = true;
            back.reader = None;
            back.forget_data();
            wakers.extend(back.writer.take());
        }
        self.forget_if_over(pipe);
    }

    /// Drops a connection that both ends have let go of.
    fn forget_if_over(&mut self, pipe: u64) {
        let first = pipe & !1;
        let is_over = |id: u64| {
            self.pipes.get(&id).is_none_or(|pipe| pipe.reader_is_gone && pipe.writer_is_done)
        };
        if is_over(first) && is_over(first + 1) {
            self.pipes.remove(&first);
            self.pipes.remove(&(first + 1));
            self.ports.remove(&(first / 2));
        }
    }
}
