//! The client listeners: sockets bound, connections accepted, counted and served.
//!
//! Promises:
//! - all listeners are bound before the broker says where it is;
//! - connections are accepted only once the broker may serve them ([`Listeners::open`]);
//! - at most `max.connections` are open over all listeners, and at most `max.connections.per.ip` from
//!   one address: beyond that, a new one is closed at once, so that its client goes elsewhere instead of
//!   waiting for an answer, and so that files and other nodes have the descriptors that are theirs;
//! - new ones come at `max.connection.creation.rate` at most: beyond that, accepting waits;
//! - at most `queued.max.requests` requests wait behind others of their connection, and requests hold
//!   at most `queued.max.request.bytes` of memory together;
//! - a stop refuses new connections at once, and answers on those that are open for a moment more
//!   ([`LINGER`]);
//! - a panic while serving closes that one connection.

mod closing;
mod connection;
mod frames;
mod halves;
mod line;
mod memory;
mod outgoing;

pub use closing::OpenConnections;
use connection::Connection;

use crate::broker::StartError;
use crate::context::BrokerContext;
use crate::handlers::ClientSoftware;
use config::{ListenerRole, NodeConfig};
use connection::{Limits, STALL};
use env::places::{Place, Places, Rate};
use env::{BoxStream, Env, SocketOptions, Tasks, descriptors};
use frames::FrameLimits;
use futures::FutureExt;
use line::Line;
use memory::RequestMemory;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::{Metrics, RefusedConnection};
use tokio::sync::Semaphore;

/// How long accepting pauses after an error (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest silence where `connections.max.idle.ms` is off: a bound for a write without progress.
const NEVER_IDLE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long open connections are served after the listeners have closed: for answers that name the
/// new leaders, and for those that wait to be sent. A client that loses its connection instead has
/// to find out by itself, and waits as long as it waits after errors.
const LINGER: Duration = Duration::from_millis(100);

/// The bound client listeners of a broker.
pub struct Listeners {
    bound: Vec<Bound>,
    acceptors: Tasks,
    connections: Tasks,
}

struct Bound {
    name: Arc<str>,
    address: SocketAddr,
    /// Taken by the task that accepts, and closed with it: the system itself would accept as long as
    /// the socket is open, and such a client would wait for answers until the process has ended.
    listener: Mutex<Option<Box<dyn env::Listener>>>,
}

impl Listeners {
    /// Binds every listener of the Kafka protocol.
    pub async fn bind(config: &NodeConfig, env: &Env) -> Result<Listeners, StartError> {
        let mut bound = Vec::new();
        let options = SocketOptions {
            send_buffer_bytes: config.network.socket_send_buffer_bytes,
            receive_buffer_bytes: config.network.socket_receive_buffer_bytes,
            backlog: config.network.socket_listen_backlog,
        };
        for listener in &config.network.listeners {
            match listener.role {
                ListenerRole::Kafka => bound.push(bind_one(listener, options, env).await?),
                ListenerRole::Controller | ListenerRole::Grpc => {}
            }
        }
        Ok(Listeners { bound, acceptors: Tasks::new(), connections: Tasks::new() })
    }

    /// Names and the addresses bound.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.bound.iter().map(|bound| (bound.name.to_string(), bound.address)).collect()
    }

    /// Starts to accept and serve. Once; nothing happens after [`Listeners::close`].
    pub fn open(&self, broker: &Arc<BrokerContext>) {
        let network = &broker.config.network;
        let requests = &broker.config.requests;
        let places = Places::new(network.max_connections, network.max_connections_per_ip);
        let rate = Rate::new(network.max_connection_creation_rate);
        let queue_places = line::places(requests.queued_max_requests);
        let memory = RequestMemory::new(requests.queued_max_request_bytes, broker.metrics.clone());
        let limits = Limits {
            frames: FrameLimits {
                frame_bytes_max: requests.socket_request_max_bytes as usize,
                idle: network.connections_max_idle.unwrap_or(NEVER_IDLE),
                stall: STALL,
            },
            inflight_max: (requests.connection_inflight_max as usize).max(1),
            transfer: requests.fetch_transfer,
        };
        for bound in &self.bound {
            let Some(listener) = bound.take() else { continue };
            let acceptor = Acceptor {
                name: bound.name.clone(),
                listener,
                places: places.clone(),
                rate: rate.clone(),
                queue_places: queue_places.clone(),
                memory: memory.clone(),
                broker: broker.clone(),
                connections: self.connections.clone(),
                limits,
            };
            let stopping = self.acceptors.clone();
            self.acceptors.spawn(async move {
                tokio::select! {
                    () = acceptor.run() => {}
                    () = stopping.stopped() => {}
                }
            });
        }
    }

    /// Closes the listeners, and [`LINGER`] later the connections.
    pub async fn close(&self, grace: Duration) {
        let unopened: Vec<_> = self.bound.iter().filter_map(Bound::take).collect();
        let has_served = unopened.len() < self.bound.len();
        drop(unopened);
        self.acceptors.shutdown(grace).await;
        if has_served {
            tokio::time::sleep(LINGER).await;
        }
        self.connections.shutdown(grace).await;
    }
}

impl Bound {
    fn take(&self) -> Option<Box<dyn env::Listener>> {
        self.listener.lock().expect("listener lock").take()
    }
}

async fn bind_one(
    listener: &config::Listener,
    options: SocketOptions,
    env: &Env,
) -> Result<Bound, StartError> {
    let mut address = listener.bind_addr();
    let mut result = env.net.listen_with(&address, options).await;
    if listener.implicit
        && matches!(&result, Err(error) if error.kind() == io::ErrorKind::AddrInUse)
    {
        address = config::Listener { port: 0, ..listener.clone() }.bind_addr();
        result = env.net.listen_with(&address, options).await;
    }
    let failed = |error| StartError::Listen { address: address.clone(), error };
    let socket = result.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let name = Arc::from(listener.name.as_str());
    Ok(Bound { name, address, listener: Mutex::new(Some(socket)) })
}

/// Accepts on one listener.
struct Acceptor {
    name: Arc<str>,
    listener: Box<dyn env::Listener>,
    places: Places,
    rate: Rate,
    queue_places: Arc<Semaphore>,
    memory: RequestMemory,
    broker: Arc<BrokerContext>,
    connections: Tasks,
    limits: Limits,
}

impl Acceptor {
    async fn run(&self) {
        let mut failures: u32 = 0;
        loop {
            match self.listener.accept().await {
                Ok(stream) => {
                    failures = 0;
                    self.take_in(stream).await;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.failed(&error, failures);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn failed(&self, error: &io::Error, failures: u32) {
        if descriptors::is_shortage(error) {
            self.broker.metrics.connection_refused(RefusedConnection::NoDescriptor);
        }
        // The less often the longer it lasts.
        if failures.is_power_of_two() {
            tracing::warn!(listener = %self.name, %error, failures, "cannot accept a connection");
        }
    }

    /// Serves a connection if there is a place for it, and not before its turn.
    async fn take_in(&self, stream: BoxStream) {
        // A peer that is gone already has no address.
        let Ok(peer) = stream.peer_addr() else { return };
        let Some(place) = self.places.take(peer.ip()) else {
            self.broker.metrics.connection_refused(RefusedConnection::TooMany);
            return;
        };
        let wait = self.rate.take(self.broker.env.clock.now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.serve(stream, peer, place);
    }

    fn serve(&self, stream: BoxStream, peer: SocketAddr, place: Place) {
        let counted = Counted::new(self.broker.metrics.clone(), self.name.clone());
        let connection = Connection {
            broker: self.broker.clone(),
            listener: self.name.clone(),
            peer,
            limits: self.limits,
            line: Line::new(self.queue_places.clone()),
            memory: self.memory.of_connection(),
            software: ClientSoftware::default(),
        };
        let stopping = self.connections.clone();
        self.connections.spawn(async move {
            let _held = (place, counted);
            let served = AssertUnwindSafe(connection.serve(stream)).catch_unwind();
            tokio::select! {
                served = served => {
                    if served.is_err() {
                        tracing::error!(%peer, "a request handler panicked; its connection is closed");
                    }
                }
                () = stopping.stopped() => {}
            }
        });
    }
}

/// Counts an open connection until it is dropped.
struct Counted {
    metrics: Arc<Metrics>,
    listener: Arc<str>,
}

impl Counted {
    fn new(metrics: Arc<Metrics>, listener: Arc<str>) -> Counted {
        metrics.connection_opened(&listener);
        Counted { metrics, listener }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.connection_closed(&self.listener);
    }
}
