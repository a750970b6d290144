//! One client connection: requests in, responses out, in order.
//!
//! Promises:
//! - responses go out in the order of the requests;
//! - a request is decoded, and a produce request appended, as soon as it is read; all other work of
//!   a request begins when the responses before it are done (as in Kafka, where one request of a
//!   connection is worked on at a time);
//! - a request behind another one takes a place of all connections' [`Line`] until its turn comes;
//! - at most [`Limits::inflight_max`] requests and [`INFLIGHT_BYTES_MAX`] bytes of undone requests
//!   are held; beyond that nothing is read;
//! - a bad frame ends the connection after the responses to the requests before it;
//! - a closed connection drops what was waiting on it (a long poll, for example) at once.
//!
//! Does not: know any API. That is [`crate::handlers`].

use super::frames::{FrameError, FrameLimits, FrameReader};
use super::halves::{ReadHalf, WriteHalf, split};
use super::line::{Line, Place};
use crate::context::BrokerContext;
use crate::handlers::{self, ClientSoftware, Origin, Outcome, Started};
use bytes::{Buf, Bytes};
use env::BoxStream;
use futures::FutureExt;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::RefusedConnection;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use wire::Pieces;

/// Bytes of requests on one connection that are decoded but not done. A larger request passes
/// alone.
const INFLIGHT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Responses that are ready are written together up to this size.
const GATHER_BYTES_MAX: usize = 1024 * 1024;
/// Most pieces handed to one vectored write (IOV_MAX is 1024 on Linux).
const GATHER_PIECES_MAX: usize = 256;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub frames: FrameLimits,
    /// `ottla.connection.inflight.max`: requests read but not answered.
    pub inflight_max: usize,
}

/// A connection and where it came in.
pub struct Connection {
    pub broker: Arc<BrokerContext>,
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    pub limits: Limits,
    pub line: Line,
    pub software: ClientSoftware,
}

/// A request that waits for its turn to be answered.
struct Waiting {
    started: Started,
    /// Given back when its turn comes.
    place: Place,
    /// Gives the request's bytes back when it is done.
    _bytes: Option<OwnedSemaphorePermit>,
}

/// How reading ended.
#[derive(Debug)]
enum ReadEnd {
    /// The client is gone: nobody reads answers.
    Gone,
    /// The client broke the protocol: earlier requests are still answered.
    Refused(String),
}

impl Connection {
    /// Serves the connection until it ends.
    pub async fn serve(self, stream: BoxStream) {
        let (read, write, closer) = split(stream);
        let _open = self.broker.connections.add(closer);
        let (sender, receiver) = mpsc::channel(self.limits.inflight_max);
        let reader = self.read_requests(read, sender);
        let writer = self.write_responses(write, receiver);
        tokio::pin!(reader, writer);
        tokio::select! {
            end = &mut reader => match end {
                ReadEnd::Gone => {}
                ReadEnd::Refused(reason) => {
                    self.broker.metrics.connection_refused(RefusedConnection::BadRequest);
                    tracing::debug!(peer = %self.peer, %reason, "connection refused a request");
                    writer.await;
                }
            },
            () = &mut writer => {}
        }
    }

    async fn read_requests(&self, read: ReadHalf, queue: mpsc::Sender<Waiting>) -> ReadEnd {
        let mut frames = FrameReader::new(read, self.limits.frames);
        let bytes = Arc::new(Semaphore::new(INFLIGHT_BYTES_MAX));
        loop {
            // A slot in the queue first: while it is full, nothing is read.
            let Ok(slot) = queue.reserve().await else { return ReadEnd::Gone };
            let frame = match self.next_frame(&mut frames).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let place = self.line.place().await;
            let size = frame.len().min(INFLIGHT_BYTES_MAX);
            let mut started = match handlers::start(&self.origin(), frame) {
                Ok(started) => started,
                Err(reason) => return ReadEnd::Refused(reason.to_string()),
            };
            if let Some(first) = started.first.take() {
                first.await;
            }
            // A begun request has let go of its frame's bytes (its records are in the log).
            let (held, place) = if started.api.eager { (0, None) } else { (size, place) };
            let Ok(permit) = bytes.clone().acquire_many_owned(held as u32).await else {
                return ReadEnd::Gone;
            };
            self.line.joined();
            slot.send(Waiting { started, place, _bytes: Some(permit) });
        }
    }

    async fn next_frame(&self, frames: &mut FrameReader<ReadHalf>) -> Result<Bytes, ReadEnd> {
        loop {
            match frames.next().await {
                Ok(frame) => return Ok(frame),
                // It is the client that waits.
                Err(FrameError::Idle(_)) if !self.line.is_empty() => {}
                Err(FrameError::Closed | FrameError::Truncated | FrameError::Io(_)) => {
                    return Err(ReadEnd::Gone);
                }
                Err(error @ (FrameError::Idle(_) | FrameError::Stalled(_))) => {
                    self.broker.metrics.connection_refused(RefusedConnection::Idle);
                    tracing::debug!(peer = %self.peer, %error, "connection closed");
                    return Err(ReadEnd::Gone);
                }
                Err(error @ FrameError::Size { .. }) => {
                    return Err(ReadEnd::Refused(error.to_string()));
                }
            }
        }
    }

    /// Answers in order until the reader is done and all is answered, or a write fails.
    async fn write_responses(&self, mut write: WriteHalf, mut queue: mpsc::Receiver<Waiting>) {
        let mut out = Gathered::default();
        let mut next = queue.recv().await;
        while let Some(mut waiting) = next.take() {
            waiting.place = None;
            let outcome = match (&mut waiting.started.pending).now_or_never() {
                Some(outcome) => outcome,
                None => {
                    // Whoever waits shall not make the answers before it wait as well.
                    if self.flush(&mut write, &mut out).await.is_err() {
                        return;
                    }
                    (&mut waiting.started.pending).await
                }
            };
            let close = matches!(outcome, Outcome::Close);
            self.count(&waiting.started, &outcome);
            if let Outcome::Reply(response) = outcome {
                out.push(response);
            }
            drop(waiting);
            self.line.answered();
            next = queue.try_recv().ok();
            let full = out.bytes >= GATHER_BYTES_MAX || out.pieces.len() >= GATHER_PIECES_MAX;
            if (close || full || next.is_none()) && self.flush(&mut write, &mut out).await.is_err()
            {
                return;
            }
            if close {
                return;
            }
            if next.is_none() {
                next = queue.recv().await;
            }
        }
        // The error does not matter: the connection ends here.
        let _ = write.shutdown().await;
    }

    fn count(&self, started: &Started, outcome: &Outcome<Pieces>) {
        let Some(metrics) = self.broker.apis.of(started.api.key) else { return };
        let time = self.broker.env.clock.now().since(started.received);
        let response_bytes = match outcome {
            Outcome::Reply(response) => response.len(),
            Outcome::Silent | Outcome::Close => 0,
        };
        metrics.answered(time, started.request_bytes as u64, response_bytes as u64);
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            broker: &self.broker,
            listener: &self.listener,
            peer: self.peer,
            software: &self.software,
        }
    }

    async fn flush(&self, write: &mut WriteHalf, out: &mut Gathered) -> io::Result<()> {
        let patience = self.limits.frames.idle;
        while !out.pieces.is_empty() {
            let written = tokio::time::timeout(patience, write_some(write, &out.pieces)).await;
            let count = written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            out.advance(count);
        }
        // A plain socket has nothing to flush; a boxed stream might.
        let flushed = tokio::time::timeout(patience, write.flush()).await;
        flushed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Response bytes that are ready to be written, in order.
#[derive(Default)]
struct Gathered {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, response: Pieces) {
        self.bytes += response.len();
        self.pieces.extend(response);
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while count > 0 {
            let first = self.pieces.front_mut().expect("written bytes were gathered before");
            let part = count.min(first.len());
            first.advance(part);
            count -= part;
            if first.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

async fn write_some(
    write: &mut (impl AsyncWrite + Unpin),
    pieces: &VecDeque<Bytes>,
) -> io::Result<usize> {
    if pieces.len() == 1 || !write.is_write_vectored() {
        return write.write(&pieces[0]).await;
    }
    let mut slices = [IoSlice::new(&[]); GATHER_PIECES_MAX];
    let count = pieces.len().min(GATHER_PIECES_MAX);
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    write.write_vectored(&slices[..count]).await
}

/// The patience inside a frame: a client that stops half-way holds a buffer.
pub const STALL: Duration = Duration::from_secs(30);
