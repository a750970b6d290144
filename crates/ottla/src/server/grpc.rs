//! Serving gRPC on the node's listeners.

use super::doors::{Connection, Door, Silence};
use super::guests::Guests;
use config::Listener;
use env::{Env, Tasks};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Metrics;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;

/// Accepted connections that wait for the server to take them.
const ACCEPTED_MAX: usize = 64;
/// Calls at once on one connection; more wait at the caller. A node has a few streams and its commands
/// under way, some of which wait for other brokers; each may hold a message that is not whole yet.
const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// A peer that does not answer a ping for this long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Time for the preface of a connection.
const PREFACE: Silence = Silence::AtFirst(Duration::from_secs(10));

/// A bound gRPC listener. It belongs to the runtime on which it was bound.
pub(super) struct BoundGrpc {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    listener: Arc<dyn env::Listener>,
}

/// Binds a listener; one that is there by default takes any port where its own is taken.
pub(super) async fn bind(listener: Listener, env: Env) -> io::Result<BoundGrpc> {
    let socket = bind_or_any(&env, &listener.bind_addr(), listener.implicit).await?;
    let address = socket.local_addr()?;
    Ok(BoundGrpc { name: listener.name, address, listener: Arc::from(socket) })
}

/// Binds `address`; where it is taken and `or_any`, any port on the same host.
pub(super) async fn bind_or_any(
    env: &Env,
    address: &str,
    or_any: bool,
) -> io::Result<Box<dyn env::Listener>> {
    match env.net.listen(address).await {
        Err(error) if or_any && error.kind() == io::ErrorKind::AddrInUse => {
            let host = address.rsplit_once(':').map_or("", |(host, _)| host);
            tracing::warn!("{address} is taken; using any free port instead");
            env.net.listen(&format!("{host}:0")).await
        }
        other => other,
    }
    .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Serves `routes` to those that `guests` lets in until the tasks end. Call it on the runtime of the
/// listener.
pub(super) fn serve(
    bound: BoundGrpc,
    routes: Routes,
    guests: Guests,
    metrics: Metrics,
    tasks: &Tasks,
) {
    let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
    let name = bound.name.clone();
    let door =
        Door { name: bound.name, listener: bound.listener, guests, silence: PREFACE, metrics };
    let stopping = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = accept(door, sender) => {}
            () = stopping.stopped() => {}
        }
    });
    let stopping = tasks.clone();
    tasks.spawn(async move {
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .add_routes(routes.prepare());
        let incoming = ReceiverStream::new(accepted);
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, stopping.stopped()).await
        {
            tracing::error!("gRPC listener {name} ended: {error}");
        }
    });
}

/// Accepts until nobody takes the connections.
async fn accept(door: Door, sender: mpsc::Sender<io::Result<Connection>>) {
    while sender.send(Ok(door.next().await)).await.is_ok() {}
}

/// The services of both, for a node with one gRPC listener.
pub(super) fn merged(a: Routes, b: Routes) -> Routes {
    // A router can have one answer for unknown paths only; `b` keeps its own.
    Routes::from(a.into_axum_router().reset_fallback().merge(b.into_axum_router()))
}
