//! Tells brokers whose process is gone from those whose heartbeat stream merely broke.
//!
//! A process that dies closes its connections, and its port refuses new ones. So where a broker's
//! last heartbeat stream has ended, the active controller tries to connect to it, again and again
//! until the broker is back, has refused, or its session ends by silence. A refusal is as good as
//! a whole session of silence, and a second earlier. Any other answer proves nothing: a host that
//! lost its power or a cut network does not refuse, and waits for the session timeout.
//!
//! A false alarm costs one unfence and never a record: the broker is fenced by a committed record
//! as always, and comes back with its next heartbeat.

use crate::activity::Activity;
use crate::liveness::Liveness;
use crate::view::View;
use env::Env;
use futures::future::join_all;
use metadata::Broker;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Time for a connection to come up or be refused.
const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// Before brokers that did not refuse are tried again. A dying process closes its connections one
/// after the other, so its port may still accept when its heartbeats have ended already.
const PROBE_PAUSE: Duration = Duration::from_millis(20);

/// Asks on behalf of the active controller.
pub struct Prober {
    pub env: Env,
    pub view: View,
    pub activity: Activity,
    pub liveness: Arc<Liveness>,
    /// Woken where a broker is due to be fenced.
    pub attention: Arc<Notify>,
    /// See [`crate::LivenessOptions::probed_listener`].
    pub listener: Option<String>,
}

impl Prober {
    /// Runs until the controller's tasks end.
    pub async fn run(self) {
        let mut terms = self.activity.watch();
        loop {
            if terms.wait_for(Option::is_some).await.is_err() {
                return;
            }
            while self.activity.is_active() && self.probe_departed().await {
                tokio::time::sleep(PROBE_PAUSE).await;
            }
            tokio::select! {
                () = self.liveness.departure() => {}
                changed = terms.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Probes everyone whose streams have ended; returns whether somebody may still be gone.
    async fn probe_departed(&self) -> bool {
        let image = self.view.image();
        let departed = self.liveness.departed(&image);
        let probes = departed.iter().map(|broker| async move {
            let refuses = self.refuses(broker).await;
            if refuses {
                tracing::info!(broker = %broker.id, "its streams are closed and it refuses");
                self.liveness.is_gone(broker.id, broker.epoch);
                self.attention.notify_one();
            }
            !refuses
        });
        join_all(probes).await.into_iter().any(|is_open| is_open)
    }

    /// Whether nobody listens where the broker is reached.
    async fn refuses(&self, broker: &Broker) -> bool {
        let named = self.listener.as_ref().and_then(|name| broker.endpoint(name));
        let endpoints = match named {
            Some(endpoint) => std::slice::from_ref(endpoint),
            None => &broker.endpoints[..],
        };
        let connects = endpoints.iter().map(|endpoint| async move {
            let address = types::host_port(&endpoint.host, endpoint.port);
            let connect = self.env.net.connect(&address);
            match tokio::time::timeout(PROBE_TIMEOUT, connect).await {
                Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
                Ok(Ok(_)) | Err(_) => false,
            }
        });
        !endpoints.is_empty() && join_all(connects).await.into_iter().all(|refused| refused)
    }
}
