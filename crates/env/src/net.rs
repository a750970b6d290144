//! Sockets: TCP in production, a simulated network in tests.

use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Any stream, boxed. It is `AsyncRead + AsyncWrite` itself.
pub type BoxStream = Box<dyn Stream>;

/// A bound listening socket.
pub trait Listener: Send + Sync {
    fn accept(&self) -> BoxFuture<'_, io::Result<BoxStream>>;
    /// The address bound, with the real port where 0 was asked for.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Makes connections and listeners. Addresses are `host:port`; host names are resolved here.
pub trait Network: Send + Sync {
    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxStream>>;
    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;

    /// As `listen`, with options for the socket and those it accepts. A network without such
    /// options ignores them.
    fn listen_with<'a>(
        &'a self,
        addr: &'a str,
        options: SocketOptions,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let _ = options;
        self.listen(addr)
    }
}

/// What a listening socket, and each that it accepts, is set to. The default is the system's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketOptions {
    pub send_buffer_bytes: Option<u32>,
    pub receive_buffer_bytes: Option<u32>,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: 1024 }
    }
}

impl SocketOptions {
    /// Binds and listens. Buffers are set before: the window that a peer is offered is chosen as
    /// it connects, and accepted sockets inherit them.
    fn listen(self, address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(address)?;
        socket.listen(self.backlog)
    }
}

/// The machine's TCP, with `TCP_NODELAY` set.
pub struct RealNetwork;

impl Stream for tokio::net::TcpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        tokio::net::TcpStream::peer_addr(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        tokio::net::TcpStream::local_addr(self)
    }
}

struct RealListener(tokio::net::TcpListener);

impl Listener for RealListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(async move {
            let (stream, _) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Network for RealNetwork {
    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxStream)
        })
    }

    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.listen_with(addr, SocketOptions::default())
    }

    fn listen_with<'a>(
        &'a self,
        addr: &'a str,
        options: SocketOptions,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for address in tokio::net::lookup_host(addr).await? {
                match options.listen(address) {
                    Ok(listener) => {
                        return Ok(Box::new(RealListener(listener)) as Box<dyn Listener>);
                    }
                    Err(error) => failed = error,
                }
            }
            Err(failed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_buffers_of_their_listener() {
        let options = SocketOptions {
            send_buffer_bytes: Some(40_000),
            receive_buffer_bytes: Some(50_000),
            ..SocketOptions::default()
        };
        let listener = options.listen(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let _client = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let (accepted, _) = listener.accept().await.expect("the client");
        let accepted = accepted.into_std().expect("a socket");
        let socket = tokio::net::TcpSocket::from_std_stream(accepted);
        // Linux says twice of what was asked for: its own bookkeeping is included.
        let sizes = (socket.send_buffer_size(), socket.recv_buffer_size());
        assert_eq!((sizes.0.expect("known"), sizes.1.expect("known")), (80_000, 100_000));
    }
}
