//! The network as one host's program sees it.

use super::stream::SimStream;
use super::{HostIndex, SimNetwork};
use env::{BoxStream, Listener, Network};
use futures::future::BoxFuture;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The sockets of a program on a host. They are dead when the program has ended.
pub struct SimHost {
    network: SimNetwork,
    host: HostIndex,
    life: u64,
}

/// Where a host is: numbers are only for show and for listeners bound to all addresses.
pub(super) fn address(host: HostIndex, port: u16) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, host as u8 + 1), port).into()
}

impl SimHost {
    pub(super) fn new(network: SimNetwork, host: HostIndex) -> SimHost {
        let life = network.lock().hosts[host].life;
        SimHost { network, host, life }
    }

    /// The host and port that an address names.
    fn find(&self, address: &str) -> io::Result<(HostIndex, u16)> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no host {address}"));
        let (name, port) = address.rsplit_once(':').ok_or_else(unknown)?;
        let port = port.parse().map_err(|_| unknown())?;
        let state = self.network.lock();
        let own = ["", "localhost", "127.0.0.1", "0.0.0.0", "[::]"].contains(&name);
        if own {
            return Ok((self.host, port));
        }
        let host = (0..state.hosts.len()).find(|host| {
            state.hosts[*host].name == name
                || super::host::address(*host, 0).ip().to_string() == name
        });
        Ok((host.ok_or_else(unknown)?, port))
    }
}

impl Network for SimHost {
    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let (to, port) = self.find(addr)?;
            let attempt = {
                let mut state = self.network.lock();
                if state.hosts[self.host].life != self.life {
                    return Err(io::ErrorKind::NetworkDown.into());
                }
                state.begin_connect(self.host, to, port)
            };
            let connecting = Connecting { network: self.network.clone(), attempt };
            let connection = connecting.await?;
            Ok(Box::new(SimStream::new(self.network.clone(), 2 * connection)) as BoxStream)
        })
    }

    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (host, port) = self.find(addr)?;
            if host != self.host {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let mut state = self.network.lock();
            let own = &mut state.hosts[host];
            if own.life != self.life {
                return Err(io::ErrorKind::NetworkDown.into());
            }
            if own.listeners.contains_key(&port) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            own.listeners.insert(port, super::state::Listening::default());
            let network = self.network.clone();
            Ok(Box::new(SimListener { network, host, port, life: self.life }) as Box<dyn Listener>)
        })
    }
}

/// Waits for a connection; gives the attempt up when dropped.
struct Connecting {
    network: SimNetwork,
    attempt: u64,
}

impl Future for Connecting {
    type Output = io::Result<u64>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut state = self.network.lock();
        let Some(attempt) = state.attempts.get_mut(&self.attempt) else {
            return Poll::Ready(Err(io::ErrorKind::NetworkDown.into()));
        };
        match attempt.result.take() {
            Some(result) => {
                state.attempts.remove(&self.attempt);
                Poll::Ready(result.map_err(io::Error::from))
            }
            None => {
                attempt.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.network.lock().attempts.remove(&self.attempt);
    }
}

struct SimListener {
    network: SimNetwork,
    host: HostIndex,
    port: u16,
    life: u64,
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<BoxStream>> {
        Box::pin(std::future::poll_fn(|context| {
            let mut state = self.network.lock();
            let host = &mut state.hosts[self.host];
            let listening = host.listeners.get_mut(&self.port).filter(|_| host.life == self.life);
            let Some(listening) = listening else {
                return Poll::Ready(Err(io::ErrorKind::NetworkDown.into()));
            };
            match listening.queue.pop_front() {
                Some(connection) => {
                    drop(state);
                    let stream = SimStream::new(self.network.clone(), 2 * connection + 1);
                    Poll::Ready(Ok(Box::new(stream) as BoxStream))
                }
                None => {
                    listening.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address(self.host, self.port))
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.change(|state, wakers| {
            let host = &mut state.hosts[self.host];
            if host.life != self.life {
                return;
            }
            let waiting = host.listeners.remove(&self.port).map(|listening| listening.queue);
            for connection in waiting.into_iter().flatten() {
                state.close_end(2 * connection + 1, wakers);
            }
        });
    }
}
