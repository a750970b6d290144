//! A simulated network: byte streams between hosts, with delays, partitions and dead hosts.
//!
//! Promises:
//! - bytes of a connection arrive in order or not at all, as by TCP; a cut link holds them back, and
//!   they arrive after it is healed;
//! - a writer that is a window ahead of its reader waits;
//! - a program that ends closes its connections; a host without power is silent, and one that is
//!   back resets connections that it no longer knows;
//! - everything that takes effect is in the trace.
//!
//! Does not: lose, double or reorder single packets: TCP hides that from programs, but for the time
//! it takes, which the delays stand for. A host reaches itself whatever becomes of its links.

mod connecting;
mod host;
mod pipe;
mod state;
mod stream;

pub use host::SimHost;
pub use state::{Delay, NetCounters};

use state::State;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

/// A host, by its place in the world.
pub type HostIndex = usize;

/// The network of a world. Clones are the same one.
#[derive(Clone)]
pub struct SimNetwork(Arc<Mutex<State>>);

impl SimNetwork {
    pub fn new(hosts: Vec<String>, seed: u64, delay: Delay, window: usize) -> SimNetwork {
        SimNetwork(Arc::new(Mutex::new(State::new(hosts, seed, delay, window))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the simulation has one thread")
    }

    /// Changes the state, and wakes whom that concerns when the lock is free again.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> T) -> T {
        let mut wakers = Vec::new();
        let result = change(&mut self.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// The network as a host's programs see it, until the program ends.
    pub fn of_host(&self, host: HostIndex) -> SimHost {
        SimHost::new(self.clone(), host)
    }

    /// Lets everything happen that is due until `now`, in microseconds.
    pub fn advance(&self, now: u64) {
        self.change(|state, wakers| state.advance(now, wakers));
    }

    /// Ends the program of a host: its sockets are closed by its kernel, or, without power, nothing
    /// is heard of it.
    pub fn end_program(&self, host: HostIndex, has_power: bool) {
        self.change(|state, wakers| state.end_program(host, has_power, wakers));
    }

    /// The host runs a program (again).
    pub fn start_program(&self, host: HostIndex) {
        self.lock().start_program(host);
    }

    /// Cuts or heals the way from one host to another.
    pub fn cut(&self, from: HostIndex, to: HostIndex, is_cut: bool) {
        self.lock().cut(from, to, is_cut);
    }

    pub fn is_cut(&self, from: HostIndex, to: HostIndex) -> bool {
        self.lock().is_cut(from, to)
    }

    /// Sets what one way takes.
    pub fn delay(&self, from: HostIndex, to: HostIndex, delay: Delay) {
        self.lock().set_delay(from, to, delay);
    }

    pub fn counters(&self) -> NetCounters {
        self.lock().counters
    }

    /// A hash of everything that has taken effect so far.
    pub fn trace(&self) -> u64 {
        self.lock().trace
    }
}
