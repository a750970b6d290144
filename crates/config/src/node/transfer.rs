//! How records go from files to clients' sockets.

/// `ottla.fetch.transfer`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchTransfer {
    /// The system moves them from the page cache to the socket.
    Sendfile,
    /// They are read into a small buffer, and written from there.
    Pread,
}

impl FetchTransfer {
    pub(crate) const NAMES: &[&str] = &["auto", "sendfile", "pread"];

    /// By the key's value, which the table has checked.
    pub(crate) fn of(value: &str) -> FetchTransfer {
        match value {
            "pread" => FetchTransfer::Pread,
            // `auto`: as fast as the other through one socket of loopback, and for whole clusters a
            // little faster with three quarters of the broker's processor time (tests/bench).
            _ => FetchTransfer::Sendfile,
        }
    }
}
