//! A client's stream in two halves, and a third hand that can close it.
//!
//! Promises: [`Closer::close`] ends the stream for the client at once, whatever the connection's
//! task is doing: it may hang in a disk, and its client is to go elsewhere.

use super::outgoing::Socket;
use env::{BoxStream, File};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The lock is held for one call of the stream, which does not wait.
struct Shared {
    stream: Mutex<BoxStream>,
    is_vectored: bool,
}

impl Shared {
    fn stream(&self) -> MutexGuard<'_, BoxStream> {
        self.stream.lock().expect("no thread panicked in a stream")
    }
}

/// What requests are read from.
pub struct ReadHalf(Arc<Shared>);

/// What responses are written to.
pub struct WriteHalf(Arc<Shared>);

/// Closes a stream that is still there.
pub struct Closer(Weak<Shared>);

pub fn split(stream: BoxStream) -> (ReadHalf, WriteHalf, Closer) {
    let is_vectored = stream.is_write_vectored();
    let shared = Arc::new(Shared { stream: Mutex::new(stream), is_vectored });
    let closer = Closer(Arc::downgrade(&shared));
    (ReadHalf(shared.clone()), WriteHalf(shared), closer)
}

impl Closer {
    /// Nothing more is written; the client sees the end of the stream.
    pub fn close(&self) {
        let Some(shared) = self.0.upgrade() else { return };
        let mut context = Context::from_waker(Waker::noop());
        // A socket is shut down at once or is gone already.
        let _ = Pin::new(&mut *shared.stream()).poll_shutdown(&mut context);
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_vectored
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_shutdown(context)
    }
}

impl Socket for WriteHalf {
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        self.0.stream().poll_send_file(context, file, position, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Network;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_client_sees_the_end_though_nobody_polls_its_connection() {
        let network = env::net::RealNetwork;
        let listener = network.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (client, accepted) = tokio::join!(network.connect(&address), listener.accept());
        let (_read, _write, closer) = split(accepted.expect("a client"));
        closer.close();
        let mut client = client.expect("connected");
        assert_eq!(client.read(&mut [0; 8]).await.expect("an end"), 0);
    }
}
