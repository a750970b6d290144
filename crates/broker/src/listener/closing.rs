//! The client connections that are open, for whoever must end them all.

use super::halves::Closer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Every open client connection of a broker. A clone is the same connections.
#[derive(Clone, Default)]
pub struct OpenConnections(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    closers: BTreeMap<u64, Closer>,
}

/// A connection that is open until this is dropped.
pub struct OpenConnection {
    connections: OpenConnections,
    number: u64,
}

impl OpenConnections {
    pub(super) fn add(&self, closer: Closer) -> OpenConnection {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.closers.insert(number, closer);
        OpenConnection { connections: self.clone(), number }
    }

    /// Ends every connection for its client; returns how many.
    pub fn close_all(&self) -> usize {
        let closers = std::mem::take(&mut self.lock().closers);
        closers.values().for_each(Closer::close);
        closers.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panicked with the open connections")
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.lock().closers.remove(&self.number);
    }
}
