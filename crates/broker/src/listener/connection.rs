//! One client connection: requests in, responses out, in order.
//!
//! Promises:
//! - responses go out in the order of the requests;
//! - a request is decoded, and a produce request appended, as soon as it is read; all other work of
//!   a request begins when the responses before it are made (as in Kafka, where one request of a
//!   connection is worked on at a time); they may still be on their way out;
//! - a request behind another one takes a place of all connections' [`Line`] until its turn comes;
//! - a request holds its share of all connections' [`RequestMemory`] until it is done; a connection
//!   that holds much of it, answers nothing and keeps others waiting is closed;
//! - at most [`Limits::inflight_max`] requests and [`INFLIGHT_BYTES_MAX`] bytes of undone requests
//!   are held; beyond that nothing is read;
//! - a bad frame ends the connection after the responses to the requests before it;
//! - a client that sends no more gets the answers to what it has sent, those that come within
//!   [`HALF_CLOSED_MAX`], since it may have closed its sending half only; what still waits then (a
//!   long poll, for example) is dropped, and at once where the connection broke.
//!
//! Does not: know any API. That is [`crate::handlers`].

use super::frames::{Frame, FrameError, FrameLimits, FrameReader};
use super::halves::{ReadHalf, WriteHalf, split};
use super::line::{Line, Place};
use super::memory::{Held, RequestMemory, SMALL_BYTES};
use super::outgoing::{Outgoing, SLICES_MAX};
use crate::context::BrokerContext;
use crate::handlers::{self, ClientSoftware, Origin, Outcome, Reply, Started};
use config::FetchTransfer;
use env::BoxStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::RefusedConnection;
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes of requests on one connection that are decoded but not done. A larger request passes
/// alone.
const INFLIGHT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of answers that wait to be written; a larger one waits alone. Records in files do not count.
const GATHER_BYTES_MAX: usize = 1024 * 1024;
/// Answers that are made ahead of the writing.
const ANSWERS_AHEAD: usize = 16;
/// How long a client that sends no more is still worked for.
const HALF_CLOSED_MAX: Duration = Duration::from_secs(5);

/// A connection is looked at so often, within the patience of those who wait for room, whether it
/// stands in their way: they get in before they give up.
const LOOKS: u32 = 3;

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub frames: FrameLimits,
    /// `ottla.connection.inflight.max`: requests read but not answered.
    pub inflight_max: usize,
    /// `ottla.fetch.transfer`
    pub transfer: FetchTransfer,
}

/// A connection and where it came in.
pub struct Connection {
    pub broker: Arc<BrokerContext>,
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    pub limits: Limits,
    pub line: Line,
    pub memory: RequestMemory,
    pub software: ClientSoftware,
}

/// A request that waits for its turn to be answered.
struct Waiting {
    started: Started,
    /// Given back when its turn comes.
    place: Place,
    /// Gives the request's bytes back when it is done: to its connection, and to all.
    _bytes: Option<OwnedSemaphorePermit>,
    _held: Option<Held>,
}

/// A request's answer, in its turn.
enum Answer {
    /// With the room that it takes among those that wait to be written.
    Reply(Reply, OwnedSemaphorePermit),
    /// The connection ends here.
    Close,
}

/// How reading ended.
#[derive(Debug)]
enum ReadEnd {
    /// The client is gone: nobody reads answers.
    Gone,
    /// The client sends no more; it may still read.
    Finished,
    /// The client broke the protocol: earlier requests are still answered.
    Refused(String),
}

impl Connection {
    /// Serves the connection until it ends.
    pub async fn serve(self, stream: BoxStream) {
        tokio::select! {
            biased;
            () = self.work(stream) => {}
            () = self.memory.stands_in_the_way(self.limits.frames.stall / LOOKS) => {
                self.broker.metrics.connection_refused(RefusedConnection::Idle);
                tracing::debug!(peer = %self.peer, "closed: others waited for the memory of its requests");
            }
        }
    }

    async fn work(&self, stream: BoxStream) {
        let (read, write, closer) = split(stream);
        let _open = self.broker.connections.add(closer);
        let (requests, queue) = mpsc::channel(self.limits.inflight_max);
        let (answers, ready) = mpsc::channel(ANSWERS_AHEAD);
        let reader = self.read_requests(read, requests);
        let answering = self.answer_requests(queue, answers);
        let writer = self.write_answers(write, ready);
        // The writer ends once the answers do, or when it cannot go on.
        let writer = async {
            tokio::pin!(answering, writer);
            tokio::select! {
                biased;
                () = &mut answering => writer.await,
                () = &mut writer => {}
            }
        };
        tokio::pin!(reader, writer);
        // In the order of a request's way, so that one turn of this task takes it all along.
        tokio::select! {
            biased;
            end = &mut reader => match end {
                ReadEnd::Gone => {}
                ReadEnd::Finished => {
                    // One that closed its whole socket cannot be told from one that reads on.
                    let _ = tokio::time::timeout(HALF_CLOSED_MAX, writer).await;
                }
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
        let mut frames = FrameReader::new(read, self.limits.frames, self.memory.clone());
        let bytes = Arc::new(Semaphore::new(INFLIGHT_BYTES_MAX));
        loop {
            // A slot in the queue first: while it is full, nothing is read.
            let Ok(slot) = queue.reserve().await else { return ReadEnd::Gone };
            let Frame { bytes: frame, mut held } = match self.next_frame(&mut frames).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let place = self.line.place().await;
            // For what it is decoded to.
            let patience = self.limits.frames.stall;
            if frame.len() > SMALL_BYTES && !held.room(patience).await {
                return self.closed(&FrameError::NoRoom(patience));
            }
            let size = frame.len().min(INFLIGHT_BYTES_MAX);
            let mut started = match handlers::start(&self.origin(), frame) {
                Ok(started) => started,
                Err(reason) => return ReadEnd::Refused(reason.to_string()),
            };
            held.add(started.decoded_bytes);
            held.step_back();
            if let Some(first) = started.first.take() {
                first.await;
            }
            // A begun request has let go of its frame's bytes (its records are in the log).
            let eager = started.api.eager;
            let (size, place) = if eager { (0, None) } else { (size, place) };
            let held = if eager { None } else { Some(held) };
            let Ok(permit) = bytes.clone().acquire_many_owned(size as u32).await else {
                return ReadEnd::Gone;
            };
            self.line.joined();
            slot.send(Waiting { started, place, _bytes: Some(permit), _held: held });
        }
    }

    async fn next_frame(&self, frames: &mut FrameReader<ReadHalf>) -> Result<Frame, ReadEnd> {
        loop {
            match frames.next().await {
                Ok(frame) => return Ok(frame),
                // It is the client that waits.
                Err(FrameError::Idle(_)) if !self.line.is_empty() => {}
                Err(FrameError::Closed) => return Err(ReadEnd::Finished),
                Err(FrameError::Truncated | FrameError::Io(_)) => return Err(ReadEnd::Gone),
                Err(
                    error @ (FrameError::Idle(_) | FrameError::Stalled(_) | FrameError::NoRoom(_)),
                ) => return Err(self.closed(&error)),
                Err(error @ FrameError::Size { .. }) => {
                    return Err(ReadEnd::Refused(error.to_string()));
                }
            }
        }
    }

    /// Not read from any more, since it took too long.
    fn closed(&self, error: &FrameError) -> ReadEnd {
        self.broker.metrics.connection_refused(RefusedConnection::Idle);
        tracing::debug!(peer = %self.peer, %error, "connection closed");
        ReadEnd::Gone
    }

    /// Works on the requests in turn, until the reader is done and all are answered, or nobody takes
    /// the answers.
    async fn answer_requests(
        &self,
        mut queue: mpsc::Receiver<Waiting>,
        answers: mpsc::Sender<Answer>,
    ) {
        let bytes = Arc::new(Semaphore::new(GATHER_BYTES_MAX));
        while let Some(mut waiting) = queue.recv().await {
            waiting.place = None;
            let Ok(slot) = answers.reserve().await else { return };
            let outcome = (&mut waiting.started.pending).await;
            self.count(&waiting.started, &outcome);
            drop(waiting);
            self.memory.answered();
            let answer = match outcome {
                Outcome::Reply(reply) => {
                    let held = reply.held_bytes().min(GATHER_BYTES_MAX);
                    let Ok(held) = bytes.clone().acquire_many_owned(held as u32).await else {
                        return;
                    };
                    Answer::Reply(reply, held)
                }
                Outcome::Silent => {
                    self.line.answered();
                    continue;
                }
                Outcome::Close => Answer::Close,
            };
            self.line.answered();
            slot.send(answer);
        }
    }

    /// Writes answers in order, those that are there together, until there are no more, one closes
    /// the connection, or a write fails.
    async fn write_answers(&self, mut write: WriteHalf, mut answers: mpsc::Receiver<Answer>) {
        let patience = self.limits.frames.idle;
        let mut out = Outgoing::new(self.limits.transfer);
        while let Some(first) = answers.recv().await {
            let mut next = Some(first);
            let mut close = false;
            let mut held = Vec::new();
            while let Some(answer) = next.take() {
                match answer {
                    Answer::Reply(reply, bytes) => {
                        out.push(reply);
                        held.push(bytes);
                    }
                    Answer::Close => {
                        close = true;
                        break;
                    }
                }
                if out.parts() < SLICES_MAX {
                    next = answers.try_recv().ok();
                }
            }
            if let Err(error) = out.flush(&mut write, patience).await {
                tracing::debug!(peer = %self.peer, %error, "cannot write an answer");
                return;
            }
            if close {
                return;
            }
        }
        // The error does not matter: the connection ends here.
        let _ = write.shutdown().await;
    }

    fn count(&self, started: &Started, outcome: &Outcome<Reply>) {
        let Some(metrics) = self.broker.apis.of(started.api.key) else { return };
        let time = self.broker.env.clock.now().since(started.received);
        let response_bytes = match outcome {
            Outcome::Reply(reply) => reply.pieces.len(),
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
}

/// The patience inside a frame: a client that stops half-way holds a buffer.
pub const STALL: Duration = Duration::from_secs(30);
