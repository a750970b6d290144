//! One connection to one broker.
//!
//! Promises:
//! - Requests leave in the order of their `submit` calls, and answers come back to their callers
//!   in that order (a broker answers a connection in request order; anything else ends it).
//! - At most [`IN_FLIGHT_MAX`] requests wait for answers; further ones wait to be sent.
//! - When the connection ends, every waiting caller learns it; nothing waits forever.
//! - A request that exceeds its time ends the connection, because everything behind it is stuck.
//!
//! Owns two tasks (writer and reader) in the client's task group.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use env::{BoxStream, Env, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use wire::{Message, StrBytes};

use crate::error::ClientError;
use crate::options::{ClientOptions, IN_FLIGHT_MAX, RESPONSE_BYTES_MAX};
use crate::protocol::Request;
use crate::versions::{ApiVersionRange, ApiVersions};

/// A connection whose versions are negotiated. Shared by `Arc`; closes when the last handle goes.
pub struct Connection {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    permits: Arc<Semaphore>,
    versions: ApiVersions,
    client_id: String,
    request_timeout: Duration,
}

/// State that the connection's tasks and its handle share.
struct Shared {
    addr: String,
    state: Mutex<State>,
    /// Becomes true with `State::ended`, to wake the two tasks.
    over: watch::Sender<bool>,
}

struct State {
    next_correlation: i32,
    /// Requests on the wire, oldest first.
    waiting: VecDeque<Waiting>,
    /// Why the connection ended, once it has.
    ended: Option<String>,
}

/// A request that waits for its answer.
struct Waiting {
    correlation: i32,
    answer: oneshot::Sender<Result<Bytes, ClientError>>,
    _permit: OwnedSemaphorePermit,
}

/// A frame on its way to the writer.
struct Outgoing {
    frame: Vec<Bytes>,
    /// Absent when no answer will come (acks=0).
    waiting: Option<Waiting>,
}

/// An answer to come. Dropping it leaves the request on its way.
pub struct Answer<R> {
    receiver: oneshot::Receiver<Result<Bytes, ClientError>>,
    shared: Arc<Shared>,
    version: i16,
    time: Duration,
    what: &'static str,
    response: std::marker::PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects and negotiates versions.
    pub async fn open(
        env: &Env,
        tasks: &Tasks,
        addr: &str,
        options: &ClientOptions,
    ) -> Result<Connection, ClientError> {
        let failed = |reason: String| ClientError::Connect { addr: addr.to_owned(), reason };
        let connecting = tokio::time::timeout(options.connect_timeout, env.net.connect(addr));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("no answer in time".to_owned())),
        };
        let mut connection = Connection::start(stream, tasks, addr, options);
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    fn start(stream: BoxStream, tasks: &Tasks, addr: &str, options: &ClientOptions) -> Connection {
        let state = State { next_correlation: 0, waiting: VecDeque::new(), ended: None };
        let over = watch::Sender::new(false);
        let shared = Arc::new(Shared { addr: addr.to_owned(), state: Mutex::new(state), over });
        let (outgoing, frames) = mpsc::channel(IN_FLIGHT_MAX);
        let (reader, writer) = tokio::io::split(stream);
        tasks.spawn(write_loop(shared.clone(), writer, frames));
        tasks.spawn(read_loop(shared.clone(), reader));
        Connection {
            shared,
            outgoing,
            permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            versions: ApiVersions::default(),
            client_id: options.client_id.clone(),
            request_timeout: options.request_timeout,
        }
    }

    /// The address it was opened with.
    pub fn addr(&self) -> &str {
        &self.shared.addr
    }

    /// What the broker advertised.
    pub fn versions(&self) -> &ApiVersions {
        &self.versions
    }

    /// Whether it can carry no more requests.
    pub fn is_ended(&self) -> bool {
        self.shared.lock().ended.is_some()
    }

    /// The version that a request would be sent in.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.versions
            .highest_common(R::KEY, R::VERSIONS)
            .ok_or(ClientError::Unsupported { addr: self.addr().to_owned(), api: R::NAME })
    }

    /// Sends a request in the highest common version and waits for the answer.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        self.call_within(request, self.request_timeout).await
    }

    /// The same with another limit of time (for requests that the broker parks).
    pub async fn call_within<R: Request>(
        &self,
        request: &R,
        time: Duration,
    ) -> Result<R::Response, ClientError> {
        self.submit(request, self.version_of::<R>()?, time).await?.wait().await
    }

    /// Puts a request into the connection's order and returns the answer to come.
    pub async fn submit<R: Request>(
        &self,
        request: &R,
        version: i16,
        time: Duration,
    ) -> Result<Answer<R::Response>, ClientError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| ClientError::Closed)?;
        let (answer, receiver) = oneshot::channel();
        let correlation = self.shared.next_correlation()?;
        let frame = self.frame(request, version, correlation)?;
        let waiting = Some(Waiting { correlation, answer, _permit: permit });
        self.push(Outgoing { frame, waiting }).await?;
        Ok(Answer {
            receiver,
            shared: self.shared.clone(),
            version,
            time,
            what: R::NAME,
            response: std::marker::PhantomData,
        })
    }

    /// Sends a request that gets no answer (Produce with acks=0).
    pub async fn send_only<R: Request>(&self, request: &R) -> Result<(), ClientError> {
        let version = self.version_of::<R>()?;
        let correlation = self.shared.next_correlation()?;
        let frame = self.frame(request, version, correlation)?;
        self.push(Outgoing { frame, waiting: None }).await
    }

    async fn push(&self, outgoing: Outgoing) -> Result<(), ClientError> {
        self.outgoing.send(outgoing).await.map_err(|_| self.shared.ended_error())
    }

    fn frame<R: Request>(
        &self,
        request: &R,
        version: i16,
        correlation: i32,
    ) -> Result<Vec<Bytes>, ClientError> {
        let client_id = Some(StrBytes::from(&self.client_id));
        match wire::frame::encode_request(version, correlation, client_id, request) {
            Ok(pieces) => Ok(pieces.into_vec()),
            Err(error) => Err(ClientError::Encode(error.to_string())),
        }
    }

    /// Asks for the broker's versions, falling back to version 0 as the protocol has it.
    async fn negotiate(&self) -> Result<ApiVersions, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: StrBytes::from("ottla"),
            client_software_version: StrBytes::from(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        let mut version = ApiVersionsRequest::VERSIONS.1;
        loop {
            let answer = self.submit(&request, version, self.request_timeout).await?;
            let bytes = answer.bytes().await?;
            // A broker that does not know the version answers in version 0, with code 35.
            let code = bytes.get(4..6).map(|code| i16::from_be_bytes([code[0], code[1]]));
            if code == Some(types::ErrorCode::UnsupportedVersion as i16) && version > 0 {
                let offered: ApiVersionsResponse = self.shared.decode(bytes, 0)?;
                let known = offered.api_keys.iter().find(|api| api.api_key == 18);
                version = known.map_or(0, |api| api.max_version.min(version - 1)).max(0);
                continue;
            }
            let response: ApiVersionsResponse = self.shared.decode(bytes, version)?;
            crate::error::check(response.error_code, None)?;
            return Ok(ApiVersions::new(response.api_keys.iter().map(|api| ApiVersionRange {
                key: api.api_key,
                min: api.min_version,
                max: api.max_version,
            })));
        }
    }
}

impl<R: Message> Answer<R> {
    /// Waits for the answer and decodes it.
    pub async fn wait(self) -> Result<R, ClientError> {
        let (shared, version) = (self.shared.clone(), self.version);
        shared.decode(self.bytes().await?, version)
    }

    async fn bytes(self) -> Result<Bytes, ClientError> {
        match tokio::time::timeout(self.time, self.receiver).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.shared.ended_error()),
            Err(_) => {
                let ms = self.time.as_millis() as u64;
                let error = ClientError::Timeout { what: self.what.to_owned(), ms };
                self.shared.end(error.to_string());
                Err(error)
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("connection lock")
    }

    fn next_correlation(&self) -> Result<i32, ClientError> {
        let mut state = self.lock();
        if state.ended.is_some() {
            drop(state);
            return Err(self.ended_error());
        }
        state.next_correlation = state.next_correlation.wrapping_add(1) & i32::MAX;
        Ok(state.next_correlation)
    }

    fn ended_error(&self) -> ClientError {
        let reason = self.lock().ended.clone().unwrap_or_else(|| "closed".to_owned());
        ClientError::Disconnected { addr: self.addr.clone(), reason }
    }

    /// Ends the connection once; tells all that wait.
    fn end(&self, reason: String) {
        let waiting = {
            let mut state = self.lock();
            if state.ended.is_none() {
                state.ended = Some(reason);
            }
            std::mem::take(&mut state.waiting)
        };
        self.over.send_replace(true);
        let error = self.ended_error();
        for request in waiting {
            // A caller that is gone does not need the news.
            let _ = request.answer.send(Err(error.clone()));
        }
    }

    /// Notes a request as on the wire. False: the connection has ended and the caller was told.
    fn expect(&self, waiting: Waiting) -> bool {
        let mut state = self.lock();
        if state.ended.is_some() {
            drop(state);
            let _ = waiting.answer.send(Err(self.ended_error()));
            return false;
        }
        state.waiting.push_back(waiting);
        true
    }

    /// Gives a response frame to the oldest waiting request.
    fn answer(&self, frame: Bytes) -> Result<(), String> {
        let correlation = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        let Some(correlation) = correlation else {
            return Err(format!("response of {} bytes", frame.len()));
        };
        let Some(oldest) = self.lock().waiting.pop_front() else {
            return Err("response without a request".to_owned());
        };
        if oldest.correlation != correlation {
            let expected = oldest.correlation;
            let _ = oldest.answer.send(Err(self.ended_error()));
            return Err(format!("response {correlation} where {expected} is due"));
        }
        let _ = oldest.answer.send(Ok(frame));
        Ok(())
    }

    fn decode<R: Message>(&self, frame: Bytes, version: i16) -> Result<R, ClientError> {
        match wire::frame::decode_response(frame, version) {
            Ok((_, response)) => Ok(response),
            Err(error) => {
                let reason = error.to_string();
                Err(ClientError::Malformed { addr: self.addr.clone(), reason })
            }
        }
    }
}

async fn write_loop(
    shared: Arc<Shared>,
    mut writer: WriteHalf<BoxStream>,
    mut frames: mpsc::Receiver<Outgoing>,
) {
    let mut over = shared.over.subscribe();
    loop {
        let outgoing = tokio::select! {
            outgoing = frames.recv() => outgoing,
            _ = over.wait_for(|over| *over) => None,
        };
        let Some(Outgoing { frame, waiting }) = outgoing else { break };
        if let Some(waiting) = waiting
            && !shared.expect(waiting)
        {
            break;
        }
        let written = tokio::select! {
            written = write_frame(&mut writer, &frame) => written,
            _ = over.wait_for(|over| *over) => break,
        };
        if let Err(error) = written {
            shared.end(error.to_string());
            break;
        }
    }
    shared.end("closed".to_owned());
    // The peer may be gone already.
    let _ = writer.shutdown().await;
}

async fn write_frame(writer: &mut WriteHalf<BoxStream>, frame: &[Bytes]) -> std::io::Result<()> {
    for piece in frame {
        writer.write_all(piece).await?;
    }
    writer.flush().await
}

async fn read_loop(shared: Arc<Shared>, mut reader: ReadHalf<BoxStream>) {
    let mut over = shared.over.subscribe();
    let reason = loop {
        let frame = tokio::select! {
            frame = read_frame(&mut reader) => frame,
            _ = over.wait_for(|over| *over) => return,
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                break "closed by the broker".to_owned();
            }
            Err(error) => break error.to_string(),
        };
        if let Err(reason) = shared.answer(frame) {
            break reason;
        }
    };
    shared.end(reason);
}

/// Reads one frame. Memory grows with the bytes that arrive, not with the length claimed.
async fn read_frame(reader: &mut ReadHalf<BoxStream>) -> std::io::Result<Bytes> {
    const STEP: usize = 1 << 20;
    let len = reader.read_i32().await?;
    let len = usize::try_from(len).ok().filter(|len| *len <= RESPONSE_BYTES_MAX);
    let Some(len) = len else {
        return Err(std::io::Error::other("response length out of range"));
    };
    let mut frame = BytesMut::with_capacity(len.min(STEP));
    while frame.len() < len {
        let from = frame.len();
        frame.resize(len.min(from + STEP), 0);
        reader.read_exact(&mut frame[from..]).await?;
    }
    Ok(frame.freeze())
}
