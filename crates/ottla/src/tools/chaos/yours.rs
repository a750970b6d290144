//! A cluster of the user's: its nodes are processes that signals reach, or are handled by commands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use env::Env;
use env::disk::read_file;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::super::ToolError;
use super::scenario::Deed;

/// Longest run of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How a node's process is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    Pid(i32),
    /// Read before each signal, as a restart changes it.
    PidFile(PathBuf),
    /// By commands only.
    Unknown,
}

/// Reads `1`, `1=4711` or `1=@/run/node-1.pid`.
pub fn parse_node(text: &str) -> Result<(i32, Process), String> {
    let (id, process) = text.split_once('=').unwrap_or((text, ""));
    let id = id.parse().map_err(|_| format!("{id} is no node id"))?;
    let process = match process.strip_prefix('@') {
        Some(path) => Process::PidFile(PathBuf::from(path)),
        None if process.is_empty() => Process::Unknown,
        None => Process::Pid(process.parse().map_err(|_| format!("{process} is no process id"))?),
    };
    Ok((id, process))
}

pub struct Yours {
    pub env: Env,
    pub nodes: BTreeMap<i32, Process>,
    /// `{node}` stands for the node's id.
    pub commands: BTreeMap<Deed, String>,
}

impl Yours {
    /// What keeps a deed from being done, in words.
    pub fn lacks(&self, deed: Deed) -> Option<String> {
        let by_signal = match deed {
            Deed::Start => false,
            Deed::Kill | Deed::Stop | Deed::Pause | Deed::Resume => {
                self.nodes.values().all(|process| *process != Process::Unknown)
            }
        };
        let name = deed.name();
        (!by_signal && !self.commands.contains_key(&deed)).then(|| match deed {
            Deed::Start => "--start-command is needed".to_owned(),
            Deed::Kill | Deed::Stop | Deed::Pause | Deed::Resume => {
                format!("--{name}-command is needed, or process ids in --nodes")
            }
        })
    }

    pub async fn act(&self, deed: Deed, node: i32) -> Result<(), ToolError> {
        match self.commands.get(&deed) {
            Some(template) => run(&template.replace("{node}", &node.to_string())).await,
            None => self.signal(deed, node),
        }
    }

    fn signal(&self, deed: Deed, node: i32) -> Result<(), ToolError> {
        let signal = match deed {
            Deed::Kill => Signal::KILL,
            Deed::Stop => Signal::TERM,
            Deed::Pause => Signal::STOP,
            Deed::Resume => Signal::CONT,
            Deed::Start => return Err(ToolError::Invalid("--start-command is needed".to_owned())),
        };
        let pid = match self.nodes.get(&node) {
            Some(Process::Pid(pid)) => Some(*pid),
            Some(Process::PidFile(path)) => {
                let content = read_file(self.env.disk.as_ref(), path)?;
                String::from_utf8_lossy(&content).trim().parse().ok()
            }
            Some(Process::Unknown) | None => None,
        };
        let pid = pid.and_then(Pid::from_raw);
        let unknown = || ToolError::Invalid(format!("the process of node {node} is not known"));
        kill_process(pid.ok_or_else(unknown)?, signal)
            .map_err(|error| ToolError::Invalid(format!("{} node {node}: {error}", deed.name())))
    }
}

async fn run(line: &str) -> Result<(), ToolError> {
    let running = Command::new("sh").args(["-c", line]).kill_on_drop(true).output();
    let failed = |reason: String| ToolError::Invalid(format!("`{line}` {reason}"));
    match tokio::time::timeout(COMMAND_TIMEOUT, running).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("failed ({}): {}", output.status, said.trim())))
        }
        Ok(Err(error)) => Err(failed(format!("cannot be run: {error}"))),
        Err(_) => Err(failed(format!("did not end in {COMMAND_TIMEOUT:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_alone_or_with_their_processes() {
        assert_eq!(parse_node("3"), Ok((3, Process::Unknown)));
        assert_eq!(parse_node("3=4711"), Ok((3, Process::Pid(4711))));
        let file = Process::PidFile(PathBuf::from("/run/n.pid"));
        assert_eq!(parse_node("3=@/run/n.pid"), Ok((3, file)));
        assert!(parse_node("x=1").is_err());
        assert!(parse_node("3=x").is_err());
    }

    #[test]
    fn what_a_scenario_needs_and_nobody_can_do_is_named() {
        let mut yours = Yours {
            env: Env::real(),
            nodes: BTreeMap::from([(1, Process::Pid(4711))]),
            commands: BTreeMap::new(),
        };
        assert_eq!(yours.lacks(Deed::Kill), None);
        assert!(yours.lacks(Deed::Start).expect("no way").contains("--start-command"));
        yours.nodes.insert(2, Process::Unknown);
        assert!(yours.lacks(Deed::Pause).expect("no way").contains("--pause-command"));
        yours.commands.insert(Deed::Pause, "true".to_owned());
        assert_eq!(yours.lacks(Deed::Pause), None);
    }
}
