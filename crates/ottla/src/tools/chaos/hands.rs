//! Who kills, starts and pauses: this program, for a scratch cluster, or the user's commands.

use rustix::process::Signal;

use super::super::ToolError;
use super::scenario::Deed;
use super::scratch::Scratch;
use super::yours::Yours;

pub enum Hands {
    Scratch(Box<Scratch>),
    Yours(Yours),
}

impl Hands {
    pub fn nodes(&self) -> Vec<i32> {
        match self {
            Hands::Scratch(scratch) => scratch.nodes(),
            Hands::Yours(yours) => yours.nodes.keys().copied().collect(),
        }
    }

    /// What keeps deeds from being done, in words.
    pub fn lacks(&self, deeds: &[Deed]) -> Vec<String> {
        match self {
            Hands::Scratch(_) => Vec::new(),
            Hands::Yours(yours) => deeds.iter().filter_map(|deed| yours.lacks(*deed)).collect(),
        }
    }

    /// Kills all of them, one right behind the other.
    pub async fn kill(&mut self, nodes: &[i32]) -> Result<(), ToolError> {
        match self {
            Hands::Scratch(scratch) => scratch.kill(nodes).await,
            Hands::Yours(yours) => {
                for node in nodes {
                    yours.act(Deed::Kill, *node).await?;
                }
                Ok(())
            }
        }
    }

    /// Starts all of them, and waits where it can.
    pub async fn start(&mut self, nodes: &[i32]) -> Result<(), ToolError> {
        match self {
            Hands::Scratch(scratch) => {
                for node in nodes {
                    scratch.spawn(*node)?;
                }
                for node in nodes {
                    scratch.ready(*node).await?;
                }
                Ok(())
            }
            Hands::Yours(yours) => {
                for node in nodes {
                    yours.act(Deed::Start, *node).await?;
                }
                Ok(())
            }
        }
    }

    pub async fn stop(&mut self, node: i32) -> Result<(), ToolError> {
        match self {
            Hands::Scratch(scratch) => scratch.stop(node).await,
            Hands::Yours(yours) => yours.act(Deed::Stop, node).await,
        }
    }

    pub async fn pause(&mut self, node: i32) -> Result<(), ToolError> {
        match self {
            Hands::Scratch(scratch) => scratch.signal(node, Signal::STOP),
            Hands::Yours(yours) => yours.act(Deed::Pause, node).await,
        }
    }

    pub async fn resume(&mut self, node: i32) -> Result<(), ToolError> {
        match self {
            Hands::Scratch(scratch) => scratch.signal(node, Signal::CONT),
            Hands::Yours(yours) => yours.act(Deed::Resume, node).await,
        }
    }
}
