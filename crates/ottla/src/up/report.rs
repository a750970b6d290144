//! What `up` says once the cluster is ready: for people, and as JSON.

use super::plan::Plan;
use super::ports::HOST;
use crate::server::ready::Ready;
use env::Env;
use env::disk::write_file_atomically;
use serde::Serialize;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The content of `--ready-file`.
#[derive(Serialize)]
struct Cluster<'a> {
    bootstrap_servers: String,
    cluster_id: &'a str,
    nodes: &'a [Ready],
}

pub(super) fn write(path: &Path, nodes: &[Ready], env: &Env) -> io::Result<()> {
    let all = nodes.iter().flat_map(|node| &node.kafka).map(|listener| listener.address.as_str());
    let cluster = Cluster {
        bootstrap_servers: all.collect::<Vec<_>>().join(","),
        cluster_id: nodes.first().map_or("", |node| node.cluster_id.as_str()),
        nodes,
    };
    let content = serde_json::to_vec_pretty(&cluster).map_err(io::Error::other)?;
    write_file_atomically(env.disk.as_ref(), path, &content)
}

/// The text for the terminal.
pub(super) fn text(plan: &Plan, nodes: &[Ready], took: Duration) -> String {
    let mut text = String::new();
    let brokers =
        if nodes.len() == 1 { "1 broker".to_owned() } else { format!("{} brokers", nodes.len()) };
    let (directory, seconds) = (plan.directory.display(), took.as_secs_f64());
    let _ = writeln!(
        text,
        "A cluster of {brokers} is ready after {seconds:.2} s; its data is in {directory}.\n"
    );
    let _ = writeln!(
        text,
        "  {:<7} {:<18} {:<18} {:<18} {:<18} PID",
        "BROKER", "KAFKA", "ADMIN (gRPC)", "CONTROLLER (gRPC)", "HTTP"
    );
    for (node, ready) in plan.nodes.iter().zip(nodes) {
        let at = |port: u16| format!("{HOST}:{port}");
        let controller =
            if node.is_controller { at(node.ports.controller) } else { "-".to_owned() };
        let (kafka, grpc, http) = (at(node.ports.kafka), at(node.ports.grpc), at(node.ports.http));
        let id = node.node_id;
        let _ = writeln!(
            text,
            "  {id:<7} {kafka:<18} {grpc:<18} {controller:<18} {http:<18} {}",
            ready.pid
        );
    }
    let first = format!("{HOST}:{}", plan.nodes.first().map_or(0, |node| node.ports.kafka));
    let _ = write!(
        text,
        "
Bootstrap servers: {all}

Try it, in another terminal:
  ottla topics --bootstrap-server {first} --create --topic greetings --partitions 6
  echo hello | ottla console-producer --bootstrap-server {first} --topic greetings
  ottla console-consumer --bootstrap-server {first} --topic greetings --from-beginning

Logs are in {directory}/node-*/server.log. Ctrl-C stops all brokers; the data stays.",
        all = plan.bootstrap(),
    );
    text
}
