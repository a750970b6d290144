//! gRPC channels over `env`'s network, so that the simulator carries them too.
//!
//! Promises: a channel connects when first used and again after a break; no connection attempt
//! and no request waits without bound (requests carry their own deadlines).

use env::{BoxStream, Network};
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Uri};

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// A silent connection is probed after this time, and dropped when the probe has no answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(2000);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_millis(1000);
/// HTTP/2 windows for streams that carry records: larger than a bandwidth-delay product that a
/// cluster's network has.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest HTTP/2 frame: with the usual 16 KiB, a chunk of records takes dozens of system calls
/// on either side.
const FRAME_BYTES_MAX: u32 = 512 * 1024;
/// Largest message that a client of these channels accepts (replaces tonic's 4 MiB).
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A channel to `address` (`host:port`), connected when first used. Call it inside the runtime
/// that shall carry the connection.
pub fn channel(net: &Arc<dyn Network>, address: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX);
    let connector = Connector { net: net.clone(), address: address.to_owned() };
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Opens connections through `env`.
struct Connector {
    net: Arc<dyn Network>,
    address: String,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<BoxStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (net, address) = (self.net.clone(), self.address.clone());
        Box::pin(async move { Ok(TokioIo::new(net.connect(&address).await?)) })
    }
}
