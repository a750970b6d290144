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
            "sendfile" => FetchTransfer::Sendfile,
            // `auto` is the one that was measured faster.
            _ => FetchTransfer::Pread,
        }
    }
}
