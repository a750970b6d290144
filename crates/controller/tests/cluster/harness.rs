//! Controllers in threads of their own, each with its own runtime as in production, over loopback
//! and real files. Killing one drops its runtime: nothing is flushed, handed over or said.

use crate::failing_disk::FailingDisk;
use controller::{Controller, ControllerOptions, QuorumSource, StartError, Status, Voter};
use env::Env;
use hyper_util::rt::TokioIo;
use metadata::{Command, Reply};
use rpc::controller as pb;
use rpc::controller::controller_client::ControllerClient;
use rpc::controller::submit_response::Outcome;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tonic::transport::{Channel, Endpoint};
use types::{MetadataVersion, NodeId};

/// Longest wait for anything; a failing test ends then.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a node ends.
enum End {
    Kill,
    Shutdown,
}

pub struct Node {
    end: Option<oneshot::Sender<End>>,
    thread: Option<std::thread::JoinHandle<()>>,
    pub status: watch::Receiver<Status>,
    pub disk: FailingDisk,
}

impl Node {
    fn stop(mut self, end: End) {
        if let Some(sender) = self.end.take() {
            let _ = sender.send(end);
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a node does not panic");
        }
    }
}

/// A stream as tonic wants an accepted one.
struct Accepted(TokioIo<TokioIo<env::BoxStream>>);

impl tonic::transport::server::Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl tokio::io::AsyncRead for Accepted {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl tokio::io::AsyncWrite for Accepted {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(context)
    }
}

async fn serve(address: String, routes: tonic::service::Routes, env: Env) {
    let listener = env.net.listen(&address).await.expect("the port is free");
    let accepted = futures::stream::unfold(listener, |listener| async move {
        let stream = listener.accept().await;
        let stream = stream.map(|stream| Accepted(TokioIo::new(TokioIo::new(stream))));
        Some((stream, listener))
    });
    let server = tonic::transport::Server::builder().add_routes(routes);
    server.serve_with_incoming(accepted).await.expect("serving ends only with its runtime");
}

/// Starts a node; the error is the one of its start.
pub fn start(options: ControllerOptions) -> Result<Node, StartError> {
    let (started, starting) = std::sync::mpsc::channel();
    let (end, mut ending) = oneshot::channel();
    let disk = FailingDisk::default();
    let env = Env { disk: Arc::new(disk.clone()), ..Env::real() };
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async move {
            let address = options.advertised_address.clone();
            let controller = match Controller::start(options, env.clone()).await {
                Ok(controller) => controller,
                Err(error) => return started.send(Err(error)).expect("the test waits"),
            };
            started.send(Ok(controller.watch())).expect("the test waits");
            let end = tokio::select! {
                () = serve(address, controller.routes(), env) => unreachable!("serving never ends"),
                end = &mut ending => end,
            };
            if let Ok(End::Shutdown) = end {
                controller.shutdown().await;
            }
        });
    };
    let thread = env::tasks::thread("node", run);
    let status = starting.recv().expect("a node says how its start went")?;
    Ok(Node { end: Some(end), thread: Some(thread), status, disk })
}

/// Starts a node whose directory may still be held by the writer of the one just killed.
fn start_again(options: &ControllerOptions) -> Node {
    for _ in 0..10_000 {
        match start(options.clone()) {
            Ok(node) => return node,
            Err(StartError::Locked { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the directory stays locked");
}

/// Nodes 1 to n with their directories.
pub struct Cluster {
    pub nodes: BTreeMap<i32, Node>,
    options: BTreeMap<i32, ControllerOptions>,
    _directory: tempfile::TempDir,
}

/// A free port of the loopback.
#[allow(clippy::disallowed_methods)]
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

impl Drop for Cluster {
    /// Nothing runs any more when the directories go. (sled has one lock for the whole process, and
    /// a file that is missing under it can leave that locked for every other test.)
    fn drop(&mut self) {
        for (_, node) in std::mem::take(&mut self.nodes) {
            node.stop(End::Kill);
        }
    }
}

impl Cluster {
    /// Prepares `count` voters; none is started.
    pub fn new(count: i32, change: impl Fn(&mut ControllerOptions)) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let addresses: BTreeMap<i32, String> = (1..=count).map(|id| (id, free_address())).collect();
        let voters: Vec<Voter> = addresses
            .iter()
            .map(|(id, address)| Voter { node_id: NodeId(*id), address: address.clone() })
            .collect();
        let options = |(id, address): (&i32, &String)| {
            let path = directory.path().join(id.to_string());
            let quorum = QuorumSource::Voters(voters.clone());
            let mut options = ControllerOptions::new(NodeId(*id), path, quorum, address.clone());
            change(&mut options);
            (*id, options)
        };
        let options = addresses.iter().map(options).collect();
        Cluster { nodes: BTreeMap::new(), options, _directory: directory }
    }

    pub fn start(&mut self, id: i32) {
        self.nodes.insert(id, start_again(&self.options[&id]));
    }

    pub fn start_all(&mut self) {
        for id in self.options.keys().copied().collect::<Vec<_>>() {
            self.start(id);
        }
    }

    pub fn kill(&mut self, id: i32) {
        self.nodes.remove(&id).expect("the node runs").stop(End::Kill);
    }

    pub fn shut_down(&mut self, id: i32) {
        self.nodes.remove(&id).expect("the node runs").stop(End::Shutdown);
    }

    pub fn directory(&self, id: i32) -> PathBuf {
        self.options[&id].directory.clone()
    }

    pub fn options(&self, id: i32) -> ControllerOptions {
        self.options[&id].clone()
    }

    /// Empties the directory of a stopped node.
    pub fn wipe(&self, id: i32) {
        Env::real().disk.remove_dir_all(&self.directory(id)).expect("the directory can go");
    }

    pub fn client(&self, id: i32) -> ControllerClient<Channel> {
        client(&self.options[&id].advertised_address)
    }

    /// Waits until a running node's status satisfies the predicate.
    pub async fn until(
        &self,
        id: i32,
        what: &str,
        predicate: impl FnMut(&Status) -> bool,
    ) -> Status {
        let mut status = self.nodes[&id].status.clone();
        let found = within(what, status.wait_for(predicate)).await;
        found.expect("the node runs").clone()
    }

    /// Waits until one of the running nodes is active, and all running ones know it.
    pub async fn active(&self) -> i32 {
        let waits = self.nodes.values().map(|node| {
            let mut status = node.status.clone();
            Box::pin(async move {
                let active = status.wait_for(|status| status.is_active).await;
                active.expect("the node runs").leader.expect("an active node leads")
            })
        });
        let (leader, _, _) =
            within("an active controller", futures::future::select_all(waits)).await;
        leader.0
    }

    /// Submits to whoever is active, until there is a reply.
    pub async fn submit(&self, command: Command) -> (Reply, MetadataVersion) {
        let work = async {
            loop {
                let active = self.active().await;
                let request =
                    pb::SubmitRequest { command: Some((&command).into()), wait_applied_ms: 0 };
                let Ok(response) = self.client(active).submit(request).await else { continue };
                let response = response.into_inner();
                if let Some(Outcome::Reply(reply)) = response.outcome {
                    let reply = Reply::try_from(reply).expect("a readable reply");
                    return (reply, MetadataVersion(response.version));
                }
            }
        };
        within("a reply", work).await
    }

    /// Waits until every running node has applied a version.
    pub async fn all_at(&self, version: MetadataVersion) {
        for id in self.nodes.keys() {
            self.until(*id, "the version", |status| status.version >= version).await;
        }
    }
}

pub fn client(address: &str) -> ControllerClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    ControllerClient::new(endpoint.connect_lazy())
}

/// Waits with patience.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Runs a test body, with logs where `RUST_LOG` asks for them.
pub fn run(body: impl Future<Output = ()>) {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    let _ = logs.try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(body);
}

/// Names in a directory that end so.
pub fn files(directory: &Path, suffix: &str) -> Vec<String> {
    let entries = Env::real().disk.list(directory).expect("the directory is there");
    entries.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect()
}
