//! One end of a connection.

use super::SimNetwork;
use super::host::address;
use super::pipe::{End, Item};
use super::state::opposite;
use bytes::{Buf, Bytes};
use env::Stream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end that writes pipe `writes` and reads its opposite.
pub(super) struct SimStream {
    network: SimNetwork,
    writes: u64,
    /// Own, then the peer's.
    addresses: (SocketAddr, SocketAddr),
    life: u64,
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl SimStream {
    pub fn new(network: SimNetwork, writes: u64) -> SimStream {
        let state = network.lock();
        let (from_port, to_port) = state.ports.get(&(writes / 2)).copied().unwrap_or_default();
        let (own, peers) =
            if writes.is_multiple_of(2) { (from_port, to_port) } else { (to_port, from_port) };
        let pipe = state.pipes.get(&writes);
        let (from, to) = pipe.map_or((0, 0), |pipe| (pipe.from, pipe.to));
        let life = pipe.map_or(u64::MAX, |pipe| pipe.from_life);
        let addresses = (address(from, own), address(to, peers));
        drop(state);
        SimStream { network, writes, addresses, life }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let id = opposite(self.writes);
        self.network.change(|state, wakers| {
            let Some(pipe) = state.pipes.get_mut(&id) else { return Poll::Ready(Err(reset())) };
            if pipe.reader_is_gone {
                return Poll::Ready(Err(reset()));
            }
            let before = pipe.unread;
            while buffer.remaining() > 0 {
                let Some(front) = pipe.arrived.front_mut() else { break };
                let count = front.len().min(buffer.remaining());
                buffer.put_slice(&front[..count]);
                front.advance(count);
                pipe.unread -= count;
                if front.is_empty() {
                    pipe.arrived.pop_front();
                }
            }
            if pipe.unread < before {
                wakers.extend(pipe.writer.take());
                return Poll::Ready(Ok(()));
            }
            match pipe.end {
                Some(End::Finished) => Poll::Ready(Ok(())),
                Some(End::Reset) => Poll::Ready(Err(reset())),
                None => {
                    pipe.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

impl SimStream {
    fn write(&self, context: &mut Context<'_>, bufs: &[&[u8]]) -> Poll<io::Result<usize>> {
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut state = self.network.lock();
        let window = state.window;
        let Some(pipe) = state.pipes.get_mut(&self.writes) else {
            return Poll::Ready(Err(reset()));
        };
        if pipe.is_broken || pipe.writer_is_done {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = window.saturating_sub(pipe.outstanding());
        if room == 0 {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut taken = Vec::with_capacity(room.min(wanted));
        for buf in bufs {
            let count = buf.len().min(room - taken.len());
            taken.extend_from_slice(&buf[..count]);
        }
        let count = taken.len();
        state.send(self.writes, Item::Data(Bytes::from(taken)));
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, &[buf])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        self.write(context, &bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.network.lock();
        let Some(pipe) = state.pipes.get_mut(&self.writes) else { return Poll::Ready(Ok(())) };
        if !pipe.writer_is_done {
            pipe.writer_is_done = true;
            state.send(self.writes, Item::Finish);
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for SimStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addresses.1)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addresses.0)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let (writes, life) = (self.writes, self.life);
        self.network.change(|state, wakers| {
            let host = state.pipes.get(&writes).map(|pipe| pipe.from);
            if host.is_some_and(|host| state.hosts[host].life == life) {
                state.close_end(writes, wakers);
            }
        });
    }
}
