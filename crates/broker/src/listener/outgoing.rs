//! What goes out on a connection: responses in order, those of their bytes that are in files included.
//!
//! Promises:
//! - a connection holds the bytes that responses bring, and [`CHUNK_BYTES`] of those in files,
//!   however large its responses are and however slowly its client reads;
//! - no runtime thread waits for a disk: what is not in memory is read by a blocking thread;
//! - bytes of a file that was cut meanwhile do not go out: writing ends with an error.
//!
//! Sendfile has a limit to the last promise. What the socket has taken and not yet sent still lies
//! in the file's pages; records that take the place of truncated ones in their last page, within
//! that time, would go out instead. Records that a consumer was promised are cut by unclean
//! elections only (see [`log::ReadPlan`]), and its checksums tell. `pread` has no such gap.

use crate::handlers::{FetchSource, Reply};
use bytes::{Buf, Bytes};
use config::FetchTransfer;
use env::File;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use wire::Part;

/// Bytes of a file that a connection holds at most.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Most bytes that one sendfile is asked for, and that one look finds in memory.
const SEND_FILE_BYTES_MAX: usize = 1024 * 1024;
/// Below this, two system calls cost more than a copy.
const SEND_FILE_BYTES_MIN: usize = 64 * 1024;
/// Distance of the bytes that are looked for in memory before a sendfile: the system reads ahead, and
/// mostly forgets, in stretches at least as long.
const LOOK_BYTES: usize = 128 * 1024;
/// Most slices handed to one vectored write (IOV_MAX is 1024 on Linux).
pub const SLICES_MAX: usize = 256;

/// What responses are written to.
pub trait Socket: AsyncWrite + Unpin {
    /// As [`env::Stream::poll_send_file`].
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>>;
}

enum Queued {
    Bytes(Bytes),
    File(Stretch),
}

/// What is left of a file's stretch.
struct Stretch {
    source: FetchSource,
    /// The first byte that is neither written nor in the chunk.
    at: usize,
}

/// Responses that are ready to be written, in order.
pub struct Outgoing {
    transfer: FetchTransfer,
    queue: VecDeque<Queued>,
    /// What was read of the first stretch in the queue, and is not written yet: `chunk[held]`.
    chunk: Vec<u8>,
    held: std::ops::Range<usize>,
}

impl Outgoing {
    pub fn new(transfer: FetchTransfer) -> Outgoing {
        Outgoing { transfer, queue: VecDeque::new(), chunk: Vec::new(), held: 0..0 }
    }

    pub fn push(&mut self, reply: Reply) {
        let sources = reply.sources;
        self.queue.extend(reply.pieces.into_parts().into_iter().map(|part| match part {
            Part::Bytes(bytes) => Queued::Bytes(bytes),
            Part::Elsewhere(gap) => {
                Queued::File(Stretch { source: sources[gap.source].clone(), at: 0 })
            }
        }));
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Stretches and pieces in the queue.
    pub fn parts(&self) -> usize {
        self.queue.len()
    }

    /// Writes everything. `patience` is the longest time without progress.
    pub async fn flush(&mut self, socket: &mut impl Socket, patience: Duration) -> io::Result<()> {
        while !self.is_empty() {
            if !self.send_file(socket, patience).await? {
                self.fill().await?;
                let count = timeout(patience, self.write_some(socket)).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.advance(count);
            }
        }
        self.chunk = Vec::new();
        // A plain socket has nothing to flush; a boxed stream might.
        timeout(patience, socket.flush()).await
    }

    /// Sends a part of the stretch in front by sendfile; false if that is not the way for it.
    async fn send_file(
        &mut self,
        socket: &mut impl Socket,
        patience: Duration,
    ) -> io::Result<bool> {
        let Some(Queued::File(stretch)) = self.queue.front_mut() else { return Ok(false) };
        if self.transfer != FetchTransfer::Sendfile || !self.held.is_empty() {
            return Ok(false);
        }
        let len = (stretch.source.size() - stretch.at).min(SEND_FILE_BYTES_MAX);
        if len < SEND_FILE_BYTES_MIN || !stretch.is_in_memory(len)? {
            return Ok(false);
        }
        let (file, position) = (stretch.source.file(), stretch.source.position(stretch.at));
        let sent = poll_fn(|context| {
            // Each time that the socket has room, which may be long after it was asked first.
            stretch.source.check_intact()?;
            socket.poll_send_file(context, file, position, len)
        });
        match timeout(patience, sent).await {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                stretch.at += count;
                if stretch.at == stretch.source.size() {
                    self.queue.pop_front();
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.transfer = FetchTransfer::Pread;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the next chunk of the first stretch if nothing of it is held.
    async fn fill(&mut self) -> io::Result<()> {
        let mut queued = self.queue.iter_mut().take(SLICES_MAX - 1);
        let stretch = queued.find_map(|queued| match queued {
            Queued::Bytes(_) => None,
            Queued::File(stretch) => Some(stretch),
        });
        let Some(stretch) = stretch.filter(|_| self.held.is_empty()) else { return Ok(()) };
        let len = (stretch.source.size() - stretch.at).min(CHUNK_BYTES);
        if self.chunk.len() < len {
            self.chunk.resize(len, 0);
        }
        let count = match stretch.source.read_now(stretch.at, &mut self.chunk[..len])? {
            Some(count) => count,
            None => {
                let (source, at) = (stretch.source.clone(), stretch.at);
                let mut chunk = std::mem::take(&mut self.chunk);
                let partition = source.partition().clone();
                let read = move || {
                    let count = source.read(at, &mut chunk[..len]);
                    (chunk, count)
                };
                let (chunk, count) = partition.reads().blocking(read).await;
                self.chunk = chunk;
                count?
            }
        };
        stretch.at += count;
        self.held = 0..count;
        Ok(())
    }

    async fn write_some(&self, socket: &mut impl Socket) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, queued) in slices.iter_mut().zip(&self.queue) {
            *slice = match queued {
                Queued::Bytes(bytes) => IoSlice::new(bytes),
                Queued::File(_) if self.held.is_empty() => break,
                Queued::File(_) => IoSlice::new(&self.chunk[self.held.clone()]),
            };
            count += 1;
            if matches!(queued, Queued::File(_)) {
                break;
            }
        }
        match &slices[..count] {
            [one] => socket.write(one).await,
            [first, ..] if !socket.is_write_vectored() => socket.write(first).await,
            several => socket.write_vectored(several).await,
        }
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let front = self.queue.front_mut().expect("written bytes were queued before");
            let (part, is_done) = match front {
                Queued::Bytes(bytes) => {
                    let part = count.min(bytes.len());
                    bytes.advance(part);
                    (part, bytes.is_empty())
                }
                Queued::File(stretch) => {
                    let part = count.min(self.held.len());
                    self.held.start += part;
                    (part, self.held.is_empty() && stretch.at == stretch.source.size())
                }
            };
            assert!(part > 0, "{count} bytes more were written than queued");
            count -= part;
            if is_done {
                self.queue.pop_front();
            }
        }
    }
}

impl Stretch {
    /// Whether its next `len` bytes are likely to be in memory: each first, each last, and some
    /// between. Where not, the system is asked to fetch them by that.
    fn is_in_memory(&self, len: usize) -> io::Result<bool> {
        let last = self.at + len - 1;
        for at in (self.at..last).step_by(LOOK_BYTES).chain([last]) {
            if self.source.read_now(at, &mut [0])?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn timeout<T>(
    patience: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let done = tokio::time::timeout(patience, work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
