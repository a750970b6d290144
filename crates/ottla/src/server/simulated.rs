//! A node in a simulated world: the same parts as in the program, started and stopped in the same
//! order, on the runtime of the caller.
//!
//! Promises: no threads, no signals, no sockets and no files but those of the given [`Env`].
//! Does not: end its tasks when the future is dropped; that is for whoever drops the runtime.

use super::control::ControlThread;
pub use super::node::NodeError;
use super::node::{Node, Options, Parts};
use broker::Broker;
use config::NodeConfig;
use env::Env;
use std::sync::Arc;

/// What can be seen of a node while it runs; parts come in as they start.
#[derive(Clone, Default)]
pub struct NodeView(Arc<Parts>);

impl NodeView {
    pub fn broker(&self) -> Option<&Broker> {
        self.0.broker.get()
    }

    /// The controller's state now.
    pub fn controller(&self) -> Option<controller::Status> {
        self.0.controller.get().map(|status| status.borrow().clone())
    }

    /// What the controller's Raft holds.
    pub fn raft(&self) -> Option<&controller::Inspection> {
        self.0.raft.get()
    }

    /// The metadata as the controller has applied it.
    pub fn metadata(&self) -> Option<Arc<metadata::Image>> {
        self.0.metadata.get().map(|image| image())
    }
}

/// Runs a node until `stop` ends or the node fails, and stops it in order.
pub async fn run(
    config: Arc<NodeConfig>,
    env: Env,
    view: NodeView,
    stop: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let patience = config.liveness.shutdown_timeout;
    let control = ControlThread::of_caller();
    let options = Options { config, ready_file: None, stop_with_stdin: false, simulated: true };
    let mut node = Node::new(options, env, &control, view.0);
    let mut stop = std::pin::pin!(stop);
    let started = tokio::select! {
        started = node.start() => Some(started),
        () = &mut stop => None,
    };
    let end = match started {
        None => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => tokio::select! {
            () = stop => Ok(()),
            failure = node.failure() => Err(failure),
        },
    };
    if tokio::time::timeout(patience, node.stop()).await.is_err() {
        tracing::warn!("not everything could be stopped in {patience:?}");
    }
    end
}
