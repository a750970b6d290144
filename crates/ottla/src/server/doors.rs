//! Who comes in by the gRPC and HTTP listeners: so many connections, and none that says nothing.
//!
//! Promises: beyond its bound a listener closes new connections at once, counted in a metric; one that
//! stays silent is closed, since each holds a place, and a descriptor that the log may need.

use super::guests::Guests;
use env::places::Place;
use env::{BoxStream, descriptors};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use telemetry::{Metrics, RefusedConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// The wait after a failed accept: the usual reason, no descriptor left, does not go away at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// What a client of HTTP/2 says first. The server's pings begin behind it, and nothing else bounds its
/// coming.
const PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// Which silence ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    /// Before all of HTTP/2's preface came; after it the protocol's own pings tell who is gone.
    AtFirst(Duration),
    /// Between any two bytes; and whoever has been there for the second time goes in any case, so that a
    /// byte now and then keeps no place for ever.
    Always(Duration, Duration),
}

impl Silence {
    fn patience(self) -> Duration {
        match self {
            Silence::AtFirst(patience) | Silence::Always(patience, _) => patience,
        }
    }
}

/// One listener's door.
pub(super) struct Door {
    pub(super) name: String,
    pub(super) listener: Arc<dyn env::Listener>,
    pub(super) guests: Guests,
    pub(super) silence: Silence,
    pub(super) metrics: Metrics,
}

impl Door {
    /// The next connection that is let in.
    pub(super) async fn next(&self) -> Connection {
        let mut failures: u32 = 0;
        loop {
            let stream = match self.listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.failed(&error, failures);
                    sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            };
            // A peer that is gone already has no address.
            let Ok(peer) = stream.peer_addr() else { continue };
            match self.guests.take(peer.ip()) {
                Some(place) => return Connection::new(stream, peer, self.silence, place),
                None => self.metrics.connection_refused(RefusedConnection::TooMany),
            }
        }
    }

    fn failed(&self, error: &io::Error, failures: u32) {
        if descriptors::is_shortage(error) {
            self.metrics.connection_refused(RefusedConnection::NoDescriptor);
        }
        // The less often the longer it lasts.
        if failures.is_power_of_two() {
            tracing::warn!(listener = %self.name, %error, failures, "cannot accept a connection");
        }
    }
}

/// A connection that was let in.
pub(super) struct Connection {
    stream: BoxStream,
    peer: SocketAddr,
    /// `None` once no silence ends it.
    silence: Option<(Silence, Pin<Box<Sleep>>)>,
    heard_bytes: usize,
    /// When the connection ends in any case.
    end: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl Connection {
    fn new(stream: BoxStream, peer: SocketAddr, silence: Silence, place: Place) -> Connection {
        let timer = Box::pin(sleep(silence.patience()));
        let end = match silence {
            Silence::Always(_, most) => Some(Box::pin(sleep(most))),
            Silence::AtFirst(_) => None,
        };
        let silence = Some((silence, timer));
        Connection { stream, peer, silence, heard_bytes: 0, end, _place: place }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn heard(&mut self, bytes: usize) {
        self.heard_bytes = self.heard_bytes.saturating_add(bytes);
        let is_greeted = self.heard_bytes >= PREFACE_BYTES;
        self.silence = match self.silence.take() {
            Some((silence @ Silence::Always(patience, _), _)) => {
                Some((silence, Box::pin(sleep(patience))))
            }
            // The same timer: a byte now and then is no preface.
            Some((silence @ Silence::AtFirst(_), timer)) if !is_greeted => Some((silence, timer)),
            Some((Silence::AtFirst(_), _)) | None => None,
        };
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let silence = self.silence.as_mut().map(|(_, timer)| timer);
        let mut is_over = false;
        for timer in silence.into_iter().chain(&mut self.end) {
            is_over |= timer.as_mut().poll(cx).is_ready();
        }
        if is_over { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl Connected for Connection {
    type ConnectInfo = Option<SocketAddr>;

    fn connect_info(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            return self.poll_silence(cx);
        }
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.heard(bytes);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::super::guests::Acquaintances;
    use super::*;
    use env::Env;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn door(connections_max: u32, silence: Silence) -> (Door, String) {
        let listener = Env::real().net.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let door = Door {
            name: "TEST".to_owned(),
            listener: Arc::from(listener),
            guests: Guests::new(connections_max, Acquaintances::default()),
            silence,
            metrics: Metrics::new(),
        };
        (door, address)
    }

    async fn connect(address: &str) -> BoxStream {
        Env::real().net.connect(address).await.expect("connected")
    }

    #[tokio::test]
    async fn connections_beyond_the_bound_are_closed_at_once_and_counted() {
        let (door, address) = door(4, Silence::AtFirst(Duration::from_secs(60))).await;
        let mut clients = Vec::new();
        let mut inside = Vec::new();
        for _ in 0..4 {
            clients.push(connect(&address).await);
            inside.push(door.next().await);
        }
        let mut refused = connect(&address).await;
        tokio::select! {
            _ = door.next() => panic!("all places are taken"),
            end = refused.read_u8() => assert!(end.is_err()),
        }
        let page = door.metrics.render();
        assert!(page.contains("ottla_connections_refused_total{reason=\"TooMany\"} 1"), "{page}");
        inside.pop();
        clients.push(connect(&address).await);
        inside.push(door.next().await);
    }

    #[tokio::test]
    async fn who_says_nothing_loses_its_place() {
        let patience = Duration::from_millis(5);
        for silence in [Silence::AtFirst(patience), Silence::Always(patience, 100 * patience)] {
            let (door, address) = door(1, silence).await;
            let _client = connect(&address).await;
            let mut inside = door.next().await;
            let end = inside.read_u8().await.expect_err("silence");
            assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn who_says_a_byte_now_and_then_has_a_place_for_a_while_only() {
        let times = [60_000, 50].map(Duration::from_millis);
        let (door, address) = door(1, Silence::Always(times[0], times[1])).await;
        let mut client = connect(&address).await;
        let mut inside = door.next().await;
        let trickle = async {
            while client.write_all(b"G").await.is_ok() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let heard = async {
            loop {
                if let Err(end) = inside.read_u8().await {
                    break end;
                }
            }
        };
        tokio::select! {
            end = heard => assert_eq!(end.kind(), io::ErrorKind::TimedOut),
            () = trickle => panic!("it is not closed from here"),
        }
    }

    #[tokio::test]
    async fn a_grpc_connection_may_be_silent_once_its_whole_preface_came() {
        for (said, is_kept) in [(1, false), (PREFACE_BYTES - 1, false), (PREFACE_BYTES, true)] {
            let (door, address) = door(1, Silence::AtFirst(Duration::from_millis(50))).await;
            let mut client = connect(&address).await;
            let mut inside = door.next().await;
            client.write_all(&vec![b'P'; said]).await.expect("written");
            inside.read_exact(&mut vec![0; said]).await.expect("heard");
            let silent = tokio::time::timeout(Duration::from_millis(200), inside.read_u8()).await;
            assert_eq!(silent.is_err(), is_kept, "{said} bytes: {silent:?}");
        }
    }
}
