//! Sockets: TCP in production, a simulated network in tests.

use crate::descriptors::{give_up_some, is_shortage};
use crate::disk::File;
use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn peer_addr(&self) -> io::Result<SocketAddr>;
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Writes up to `len` bytes of a file, from `position`, without bringing them into this process
    /// (sendfile); gives how many, 0 at the file's end. `Unsupported` where the stream or the file
    /// cannot do that. Waits for the device if the bytes are not in memory: see `File::read_at_now`.
    ///
    /// Bytes that were given to the network may still be read from the file's pages until the peer
    /// has them: what is overwritten meanwhile can arrive as either.
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let _ = (context, file, position, len);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
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

    #[cfg(target_os = "linux")]
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(file) = file.system() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let socket = &*self;
        loop {
            match socket.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            let sent = socket.try_io(tokio::io::Interest::WRITABLE, || {
                let mut at = position;
                Ok(rustix::fs::sendfile(socket, file, Some(&mut at), len)?)
            });
            match sent {
                // Not ready after all: the next look registers this task.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The file system has no such way to its pages.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
                }
                other => return Poll::Ready(other),
            }
        }
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
            let stream = match tokio::net::TcpStream::connect(addr).await {
                // Connections that this node makes are to other nodes: they come before clients.
                Err(error) if is_shortage(&error) && give_up_some() => {
                    tokio::net::TcpStream::connect(addr).await?
                }
                other => other?,
            };
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
    use crate::disk::{Disk, MemDisk, Open, RealDisk};
    use std::path::Path;
    use tokio::io::AsyncReadExt;

    async fn pair() -> (BoxStream, BoxStream) {
        let listener = RealNetwork.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (near, far) = tokio::join!(RealNetwork.connect(&address), listener.accept());
        (near.expect("connected"), far.expect("accepted"))
    }

    async fn send_file(
        stream: &mut BoxStream,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> io::Result<usize> {
        std::future::poll_fn(|context| stream.poll_send_file(context, file, position, len)).await
    }

    /// A file of the system, without a name once this returns.
    fn real_file(content: &[u8]) -> std::sync::Arc<dyn File> {
        let name = format!("send-file-{}-{}", std::process::id(), content.len());
        let path = std::env::temp_dir().join(name);
        let file = RealDisk.open(&path, Open::Create).expect("opened");
        RealDisk.remove_file(&path).expect("removed");
        file.write_all_at(content, 0).expect("written");
        file
    }

    #[tokio::test]
    async fn a_file_is_sent_in_parts_as_the_peer_takes_them_and_ends_where_it_ends() {
        let content: Vec<u8> = (0..8_000_000u32).map(|at| (at / 7) as u8).collect();
        let file = real_file(&content);
        let (mut near, mut far) = pair().await;
        let sender = async {
            let mut at = 1000;
            let mut parts = 0;
            loop {
                match send_file(&mut near, &*file, at, 1 << 30).await.expect("sent") {
                    0 => break,
                    count => at += count as u64,
                }
                parts += 1;
            }
            drop(near);
            parts
        };
        let mut got = Vec::new();
        let (parts, read) = tokio::join!(sender, far.read_to_end(&mut got));
        read.expect("read to the end");
        assert!(parts > 1, "no socket buffer holds all of it");
        assert!(got == content[1000..], "{} bytes", got.len());
    }

    #[tokio::test]
    async fn only_real_files_are_sent_to_real_sockets() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("file"), Open::Create).expect("opened");
        file.write_all_at(b"bytes", 0).expect("written");
        let (mut near, _far) = pair().await;
        let refused = send_file(&mut near, &*file, 0, 5).await.expect_err("no system's file");
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    }

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
