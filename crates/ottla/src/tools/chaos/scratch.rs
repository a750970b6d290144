//! A cluster of its own: brokers as `ottla up` makes them, in a temporary directory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use env::Env;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin};

use super::super::ToolError;
use crate::up::plan::{Plan, PlannedNode};
use crate::up::process::{read_ready, spawn};

/// Longest wait for a broker to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(10);
/// While a broker is down another program may get its port: so often it is started again.
const STARTS_MAX: u32 = 50;
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// What a broker gets to stop: its own bound and a little more.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running broker. Its end is this value's end.
struct Broker {
    child: Child,
    _stdin: Option<ChildStdin>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.start_kill();
    }
}

pub struct Scratch {
    env: Env,
    plan: Plan,
    directory: PathBuf,
    brokers: BTreeMap<i32, Broker>,
}

impl Scratch {
    /// Starts all brokers and waits until they are ready.
    pub async fn start(
        env: &Env,
        brokers: u16,
        overrides: Vec<String>,
    ) -> Result<Scratch, ToolError> {
        let name = format!("ottla-chaos-{:08x}", env.rng.next_u64() as u32);
        let directory = std::env::temp_dir().join(name);
        let args = crate::up::Args::scratch(brokers, directory.clone(), overrides);
        let invalid = |error: String| ToolError::Invalid(format!("no scratch cluster: {error}"));
        let plan = Plan::make(&args, env).await.map_err(|error| invalid(error.to_string()))?;
        plan.write(env)?;
        let mut scratch = Scratch { env: env.clone(), plan, directory, brokers: BTreeMap::new() };
        for node in scratch.nodes() {
            scratch.spawn(node)?;
        }
        for node in scratch.nodes() {
            scratch.ready(node).await?;
        }
        Ok(scratch)
    }

    pub fn nodes(&self) -> Vec<i32> {
        self.plan.nodes.iter().map(|node| node.node_id).collect()
    }

    pub fn bootstrap(&self) -> String {
        self.plan.bootstrap()
    }

    pub fn directory(&self) -> String {
        self.directory.display().to_string()
    }

    fn planned(&self, node: i32) -> Result<&PlannedNode, ToolError> {
        let found = self.plan.nodes.iter().find(|planned| planned.node_id == node);
        found.ok_or_else(|| ToolError::Invalid(format!("there is no node {node}")))
    }

    /// Starts a broker that is down. [`ready`](Self::ready) waits for it.
    pub fn spawn(&mut self, node: i32) -> Result<(), ToolError> {
        let planned = self.planned(node)?;
        let stale = planned.ready_file();
        if self.env.disk.exists(&stale) {
            self.env.disk.remove_file(&stale)?;
        }
        let mut child = spawn(planned, &self.env)?;
        let _stdin = child.stdin.take();
        self.brokers.insert(node, Broker { child, _stdin });
        Ok(())
    }

    pub async fn ready(&mut self, node: i32) -> Result<(), ToolError> {
        let deadline = self.env.clock.now() + READY_TIMEOUT;
        let mut starts = 1;
        while read_ready(self.planned(node)?, &self.env).is_none() {
            let late = self.env.clock.now() >= deadline;
            let ended = match self.brokers.get_mut(&node) {
                Some(broker) => broker.child.try_wait()?.is_some(),
                None => true,
            };
            if late || (ended && starts >= STARTS_MAX) {
                let log = self.planned(node)?.log_file();
                let text = format!("broker {node} is not ready; see {}", log.display());
                return Err(ToolError::Invalid(text));
            }
            if ended {
                tokio::time::sleep(START_AGAIN_AFTER).await;
                self.spawn(node)?;
                starts += 1;
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// kill -9, and waits until it is gone.
    pub async fn kill(&mut self, nodes: &[i32]) -> Result<(), ToolError> {
        for node in nodes {
            self.signal(*node, Signal::KILL)?;
        }
        for node in nodes {
            if let Some(mut broker) = self.brokers.remove(node) {
                broker.child.wait().await?;
            }
        }
        Ok(())
    }

    /// SIGTERM; an error unless it ends in time and cleanly.
    pub async fn stop(&mut self, node: i32) -> Result<(), ToolError> {
        self.signal(node, Signal::TERM)?;
        let Some(mut broker) = self.brokers.remove(&node) else { return Ok(()) };
        match tokio::time::timeout(STOP_TIMEOUT, broker.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(ToolError::Invalid(format!("broker {node} ended: {status}"))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                Err(ToolError::Invalid(format!("broker {node} did not stop in {STOP_TIMEOUT:?}")))
            }
        }
    }

    pub fn signal(&self, node: i32, signal: Signal) -> Result<(), ToolError> {
        let pid = self.brokers.get(&node).and_then(|broker| broker.child.id());
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let down = || ToolError::Invalid(format!("broker {node} is down"));
        kill_process(pid.ok_or_else(down)?, signal)
            .map_err(|error| ToolError::Invalid(format!("broker {node}: {error}")))
    }

    /// Ends all brokers; their directory goes unless somebody wants to look into it.
    pub async fn end(mut self, keep: bool) -> Result<(), ToolError> {
        let running: Vec<i32> = self.brokers.keys().copied().collect();
        self.kill(&running).await?;
        if keep {
            eprintln!("the brokers' directories are kept in {}", self.directory());
        } else {
            self.env.disk.remove_dir_all(&self.directory)?;
        }
        Ok(())
    }
}
