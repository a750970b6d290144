//! The HTTP pages of a node: metrics, and whether it is well and ready.

use super::doors::{Connection, Door, Silence};
use super::guests::Guests;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use env::Tasks;
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Metrics;

/// A connection that says nothing for a minute is closed, and any after five: whoever scrapes less
/// often, or for longer, connects anew.
const SILENCE: Silence = Silence::Always(Duration::from_secs(60), Duration::from_secs(300));

/// How a node is, in parts.
#[derive(Serialize, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Health {
    /// The broker is registered, unfenced and answers clients; `None` where the node is none.
    pub(super) broker_ready: Option<bool>,
    /// The controller knows an active controller; `None` where the node is none.
    pub(super) controller_ready: Option<bool>,
    /// What failed for good: the node must be restarted.
    pub(super) failure: Option<String>,
    /// The node has been told to stop.
    pub(super) stopping: bool,
}

impl Health {
    fn is_ready(&self) -> bool {
        let parts_ready =
            self.broker_ready.unwrap_or(true) && self.controller_ready.unwrap_or(true);
        parts_ready && self.failure.is_none() && !self.stopping
    }
}

/// Looks at the node now.
pub(super) type Look = Arc<dyn Fn() -> Health + Send + Sync>;

#[derive(Clone)]
struct Pages {
    metrics: Metrics,
    look: Look,
}

/// Serves the pages to those that `guests` lets in until the tasks end.
pub(super) fn serve(
    listener: Box<dyn env::Listener>,
    guests: Guests,
    metrics: Metrics,
    look: Look,
    tasks: &Tasks,
) {
    let door = Door {
        name: "HTTP".to_owned(),
        listener: Arc::from(listener),
        guests,
        silence: SILENCE,
        metrics: metrics.clone(),
    };
    let router = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/livez", get(live_page))
        .route("/readyz", get(ready_page))
        .with_state(Pages { metrics, look });
    let stopping = tasks.clone();
    tasks.spawn(async move {
        let served = axum::serve(HttpSocket(door), router);
        let stop = async move { stopping.stopped().await };
        if let Err(error) = served.with_graceful_shutdown(stop).await {
            tracing::error!("the HTTP listener ended: {error}");
        }
    });
}

async fn metrics_page(State(pages): State<Pages>) -> Response {
    pages.metrics.descriptor_shortages(env::descriptors::shortages());
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], pages.metrics.render()).into_response()
}

async fn live_page(State(pages): State<Pages>) -> Response {
    let health = (pages.look)();
    answer(health.failure.is_none(), &health)
}

async fn ready_page(State(pages): State<Pages>) -> Response {
    let health = (pages.look)();
    answer(health.is_ready(), &health)
}

fn answer(is_fine: bool, health: &Health) -> Response {
    let status = if is_fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(health.clone())).into_response()
}

/// Our listener as axum wants it.
struct HttpSocket(Door);

impl axum::serve::Listener for HttpSocket {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let connection = self.0.next().await;
        let peer = connection.peer();
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.listener.local_addr()
    }
}
