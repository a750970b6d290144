//! The broker processes: started, watched, stopped.

use super::UpError;
use super::plan::{Plan, PlannedNode};
use crate::server::ready::Ready;
use env::Env;
use env::disk::read_file;
use futures::stream::{FuturesUnordered, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};

/// How often the ready files are looked for.
const READY_POLL: Duration = Duration::from_millis(10);
/// Lines of a log shown when its broker dies at the start.
const TAIL_LINES: usize = 15;
/// Bytes of a log looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// A broker that has ended.
pub(super) struct Ended {
    pub(super) node_id: i32,
    pub(super) pid: u32,
    pub(super) how: String,
}

struct Running {
    node_id: i32,
    pid: u32,
    child: Child,
    /// Held open: the broker stops when it closes. (Waiting for a child closes what it still has.)
    _stdin: Option<ChildStdin>,
}

/// All brokers that run.
pub(super) struct Children {
    running: Vec<Running>,
}

impl Children {
    /// Starts a process per broker.
    pub(super) fn start(plan: &Plan, env: &Env) -> Result<Children, UpError> {
        let mut children = Children { running: Vec::new() };
        for node in &plan.nodes {
            let mut child = spawn(node, env)
                .map_err(UpError::io(format!("cannot start broker {}", node.node_id)))?;
            let pid = child.id().unwrap_or_default();
            let _stdin = child.stdin.take();
            children.running.push(Running { node_id: node.node_id, pid, child, _stdin });
        }
        Ok(children)
    }

    /// Waits until every broker has said that it is ready; an error as soon as one ends.
    pub(super) async fn ready(&mut self, plan: &Plan, env: &Env) -> Result<Vec<Ready>, UpError> {
        let mut nodes = Vec::new();
        for node in &plan.nodes {
            loop {
                if let Some(ready) = read_ready(node, env) {
                    nodes.push(ready);
                    break;
                }
                tokio::select! {
                    ended = self.ended() => return Err(died(plan, ended, env)),
                    () = tokio::time::sleep(READY_POLL) => {}
                }
            }
        }
        Ok(nodes)
    }

    /// Waits for the next broker that ends; `None` where none is left.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        let waits = self.running.iter_mut().enumerate();
        let mut waits: FuturesUnordered<_> =
            waits.map(|(at, running)| async move { (at, running.child.wait().await) }).collect();
        let (at, status) = waits.next().await?;
        drop(waits);
        let Running { node_id, pid, .. } = self.running.remove(at);
        let how =
            status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string());
        Some(Ended { node_id, pid, how })
    }

    /// Tells all to stop, waits, and kills what is left.
    pub(super) async fn stop(mut self, patience: Duration) {
        for running in &self.running {
            if let Some(pid) = i32::try_from(running.pid).ok().and_then(Pid::from_raw) {
                // An error means that it has just ended by itself.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let all_ended = async { while self.ended().await.is_some() {} };
        if tokio::time::timeout(patience, all_ended).await.is_err() {
            for running in &mut self.running {
                eprintln!(
                    "broker {} (pid {}) did not stop in {patience:?}; killing it",
                    running.node_id, running.pid
                );
                let _ = running.child.kill().await;
            }
        }
    }
}

/// Starts a broker's process. It ends when its standard input closes.
pub(crate) fn spawn(node: &PlannedNode, _env: &Env) -> std::io::Result<Child> {
    // A process writes to a descriptor of its own, which `env` has no use for otherwise.
    let log = OpenOptions::new().create(true).append(true).open(node.log_file())?;
    Command::new(std::env::current_exe()?)
        .arg("server")
        .arg("--config")
        .arg(node.properties_file())
        .arg("--ready-file")
        .arg(node.ready_file())
        .arg("--stop-with-stdin")
        // The pipe ends with this process, and with it the broker.
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C in a terminal goes to this process alone, which stops the brokers in order.
        .process_group(0)
        .spawn()
}

/// What a broker says of itself, once it is ready.
pub(crate) fn read_ready(node: &PlannedNode, env: &Env) -> Option<Ready> {
    let path = node.ready_file();
    // The file comes into being whole (by a rename), so it parses once it is there.
    env.disk
        .exists(&path)
        .then(|| read_file(env.disk.as_ref(), &path).ok())?
        .and_then(|content| serde_json::from_slice(&content).ok())
}

fn died(plan: &Plan, ended: Option<Ended>, env: &Env) -> UpError {
    let Some(Ended { node_id, how, .. }) = ended else { return UpError::AllDied };
    let node = plan.nodes.iter().find(|node| node.node_id == node_id);
    let tail = node.and_then(|node| tail(node, env)).unwrap_or_default();
    UpError::Died { node_id, how, log: plan.log(node_id), tail }
}

fn tail(node: &PlannedNode, env: &Env) -> Option<String> {
    let file = env.disk.open(&node.log_file(), env::disk::Open::Read).ok()?;
    let from = file.len().ok()?.saturating_sub(TAIL_BYTES);
    let content = file.read_bytes_at(TAIL_BYTES as usize, from).ok()?;
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    Some(shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}
