//! Serving gRPC on the node's listeners.

use config::Listener;
use env::{BoxStream, Env, Tasks};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// Accepted connections that wait for the server to take them.
const ACCEPTED_MAX: usize = 64;
/// Calls at once on one connection.
const STREAMS_PER_CONNECTION_MAX: u32 = 1024;
/// A peer that does not answer a ping for this long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The wait after a failed accept: the usual reason, no file left, does not go away at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

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

/// Serves `routes` until the tasks end. Call it on the runtime of the listener.
pub(super) fn serve(bound: BoundGrpc, routes: Routes, tasks: &Tasks) {
    let (sender, accepted) = mpsc::channel(ACCEPTED_MAX);
    let listener = bound.listener;
    let stopping = tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = accept(listener, sender) => {}
            () = stopping.stopped() => {}
        }
    });
    let stopping = tasks.clone();
    let name = bound.name;
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
async fn accept(listener: Arc<dyn env::Listener>, sender: mpsc::Sender<io::Result<Connection>>) {
    loop {
        match listener.accept().await {
            Ok(stream) => {
                if sender.send(Ok(Connection(stream))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept a gRPC connection: {error}");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// The services of both, for a node with one gRPC listener.
pub(super) fn merged(a: Routes, b: Routes) -> Routes {
    // A router can have one answer for unknown paths only; `b` keeps its own.
    Routes::from(a.into_axum_router().reset_fallback().merge(b.into_axum_router()))
}

/// A connection as tonic wants it.
struct Connection(BoxStream);

impl Connected for Connection {
    type ConnectInfo = Option<SocketAddr>;

    fn connect_info(&self) -> Option<SocketAddr> {
        self.0.peer_addr().ok()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
