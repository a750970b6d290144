//! gRPC connections to other controllers, made through `env`'s network.

use env::Env;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Uri};

/// Time for a connection to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// A connection without any answer for this long is closed; a silent host is found out by the
/// calls' own deadlines long before.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A connection to `host:port` that is made at the first call, and again after it broke.
/// The error says why the address cannot be used.
pub fn connect(env: &Env, address: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("address {address}: {error}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .tcp_nodelay(true);
    let net = env.net.clone();
    let address = address.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let net = net.clone();
        let address = address.clone();
        async move { net.connect(&address).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}
