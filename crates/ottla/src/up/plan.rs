//! What the cluster looks like: directories, ports, roles, properties. Kept in `up.json` in the
//! data directory, so that the next `up` starts the same cluster.

use super::Args;
use super::ports::{self, HOST, Ports};
use env::Env;
use env::disk::{read_file, write_file_atomically};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const STATE_FILE: &str = "up.json";
/// Brokers beyond these are brokers only: a larger quorum is slower and no safer in practice.
const CONTROLLERS_MAX: usize = 3;

/// Why the cluster cannot be planned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{0} holds something else than a cluster of `ottla up`; --clean will not remove it")]
    NotOurs(String),
    #[error("{path} cannot be read: {reason}; remove the directory, or give another --data-dir")]
    Damaged { path: String, reason: String },
    #[error(
        "{path} holds a cluster of {found} brokers: give --brokers {found}, or --clean to forget it"
    )]
    OtherSize { path: String, found: usize },
    #[error(
        "{path} holds a cluster on port {found}: leave --port out, or give --clean to forget it"
    )]
    OtherPort { path: String, found: u16 },
    #[error("cannot keep a cluster in {path}: {error}")]
    Directory { path: String, error: io::Error },
    #[error("port {0} of the cluster in this data directory is taken: is it running already?")]
    Running(u16),
    #[error("{0} is used by another `ottla up`")]
    Locked(String),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The content of `up.json`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
struct State {
    brokers: Vec<Ports>,
}

/// One broker to be.
pub(crate) struct PlannedNode {
    pub(crate) node_id: i32,
    pub(crate) ports: Ports,
    pub(crate) is_controller: bool,
    /// Its properties file, logs and data are in here.
    pub(crate) directory: PathBuf,
}

/// The cluster to be.
pub(crate) struct Plan {
    pub(crate) directory: PathBuf,
    pub(crate) nodes: Vec<PlannedNode>,
    overrides: Vec<String>,
    /// Held while the cluster runs.
    _lock: Box<dyn Send + Sync>,
}

impl Plan {
    /// Looks at the data directory and the ports.
    pub(crate) async fn make(args: &Args, env: &Env) -> Result<Plan, PlanError> {
        let shown = args.data_dir.display().to_string();
        if args.clean {
            clean(&args.data_dir, env)?;
        }
        let unusable = |error| PlanError::Directory { path: shown.clone(), error };
        env.disk.create_dir_all(&args.data_dir).map_err(unusable)?;
        let lock =
            env.disk.lock(&args.data_dir.join(".lock")).map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => PlanError::Locked(shown.clone()),
                _ => unusable(error),
            })?;
        let state = read_state(&args.data_dir, env)?;
        check_port(args, state.as_ref())?;
        let layout = match state {
            Some(state) if state.brokers.len() != usize::from(args.brokers) => {
                return Err(PlanError::OtherSize { path: shown, found: state.brokers.len() });
            }
            Some(state) => match ports::first_taken(env, &state.brokers).await {
                Some(port) => return Err(PlanError::Running(port)),
                None => state.brokers,
            },
            None => ports::choose(env, args.brokers, args.port).await?,
        };
        // An absolute path, so that what is printed and written works from anywhere.
        let directory = std::path::absolute(&args.data_dir)?;
        let controllers = if layout.len() < CONTROLLERS_MAX { 1 } else { CONTROLLERS_MAX };
        let nodes = layout.into_iter().enumerate().map(|(index, ports)| PlannedNode {
            node_id: index as i32 + 1,
            ports,
            is_controller: index < controllers,
            directory: directory.join(format!("node-{}", index + 1)),
        });
        Ok(Plan {
            nodes: nodes.collect(),
            directory,
            overrides: args.overrides.clone(),
            _lock: lock,
        })
    }

    /// Writes the state and each broker's properties.
    pub(crate) fn write(&self, env: &Env) -> io::Result<()> {
        let state = State { brokers: self.nodes.iter().map(|node| node.ports).collect() };
        let content = serde_json::to_vec_pretty(&state).map_err(io::Error::other)?;
        write_file_atomically(env.disk.as_ref(), &self.directory.join(STATE_FILE), &content)?;
        for node in &self.nodes {
            env.disk.create_dir_all(&node.directory)?;
            let text = self.properties(node);
            write_file_atomically(env.disk.as_ref(), &node.properties_file(), text.as_bytes())?;
            let stale = node.ready_file();
            if env.disk.exists(&stale) {
                env.disk.remove_file(&stale)?;
            }
        }
        Ok(())
    }

    fn properties(&self, node: &PlannedNode) -> String {
        let voters: Vec<String> = self
            .nodes
            .iter()
            .filter(|voter| voter.is_controller)
            .map(|voter| format!("{}@{HOST}:{}", voter.node_id, voter.ports.controller))
            .collect();
        let Ports { kafka, controller, grpc, http } = node.ports;
        let mut listeners = format!("PLAINTEXT://{HOST}:{kafka},GRPC://{HOST}:{grpc}");
        if node.is_controller {
            listeners.push_str(&format!(",CONTROLLER://{HOST}:{controller}"));
        }
        let copies = self.nodes.len().min(3);
        let mut lines = vec![
            "# Written by `ottla up` at each start; give --override to change something."
                .to_owned(),
            format!("node.id={}", node.node_id),
            format!(
                "process.roles={}",
                if node.is_controller { "broker,controller" } else { "broker" }
            ),
            format!("listeners={listeners}"),
            format!("controller.quorum.voters={}", voters.join(",")),
            format!("log.dirs={}", node.directory.join("data").display()),
            format!("ottla.http.listener={HOST}:{http}"),
            format!("default.replication.factor={copies}"),
            format!("min.insync.replicas={}", if copies == 3 { 2 } else { 1 }),
            format!("offsets.topic.replication.factor={copies}"),
        ];
        lines.extend(self.overrides.iter().cloned());
        lines.join("\n") + "\n"
    }

    /// Bootstrap servers, for clients.
    pub(crate) fn bootstrap(&self) -> String {
        let all: Vec<String> =
            self.nodes.iter().map(|node| format!("{HOST}:{}", node.ports.kafka)).collect();
        all.join(",")
    }

    /// The log of a broker, to be shown.
    pub(crate) fn log(&self, node_id: i32) -> String {
        let node = self.nodes.iter().find(|node| node.node_id == node_id);
        node.map(|node| node.log_file().display().to_string()).unwrap_or_default()
    }
}

impl PlannedNode {
    pub(crate) fn properties_file(&self) -> PathBuf {
        self.directory.join("server.properties")
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.directory.join("ready.json")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }
}

/// A cluster keeps its ports: its controllers know each other by them.
fn check_port(args: &Args, state: Option<&State>) -> Result<(), PlanError> {
    let found = state.and_then(|state| state.brokers.first()).map(|first| first.kafka);
    match (args.port, found) {
        (Some(asked), Some(found)) if asked != 0 && asked != found => {
            Err(PlanError::OtherPort { path: args.data_dir.display().to_string(), found })
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

fn read_state(directory: &Path, env: &Env) -> Result<Option<State>, PlanError> {
    let path = directory.join(STATE_FILE);
    if !env.disk.exists(&path) {
        let others = env.disk.list(directory)?.into_iter().filter(|entry| entry.name != ".lock");
        return match others.count() {
            0 => Ok(None),
            _ => Err(PlanError::NotOurs(directory.display().to_string())),
        };
    }
    let content = read_file(env.disk.as_ref(), &path)?;
    let state = serde_json::from_slice(&content).map_err(|error| PlanError::Damaged {
        path: path.display().to_string(),
        reason: error.to_string(),
    })?;
    Ok(Some(state))
}

/// Removes the directory if `up` made it.
fn clean(directory: &Path, env: &Env) -> Result<(), PlanError> {
    if !env.disk.exists(directory) {
        return Ok(());
    }
    let is_empty = env.disk.list(directory)?.is_empty();
    if !is_empty && !env.disk.exists(&directory.join(STATE_FILE)) {
        return Err(PlanError::NotOurs(directory.display().to_string()));
    }
    // Not under a cluster that runs.
    match env.disk.lock(&directory.join(".lock")) {
        Ok(_held) => Ok(env.disk.remove_dir_all(directory)?),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(PlanError::Locked(directory.display().to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
