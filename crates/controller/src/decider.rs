//! From commands to committed records: one batch at a time.
//!
//! Promises: commands are decided in the order in which they came, each on an image that holds the
//! ones before it; one Raft entry carries a whole batch and the version that it was decided on; if
//! another batch was applied in between, the commands are decided anew. A reply is given only after
//! its records are applied here, or, where there are none, after a quorum has confirmed that this
//! node still leads. The queue is bounded: a full one refuses.

use crate::activity::Activity;
use crate::liveness::Liveness;
use crate::options::ControllerOptions;
use crate::raft::{Applied, MetaRaft, Proposal, ProposeError};
use crate::rules;
use crate::view::View;
use env::Env;
use metadata::{Command, DecideContext, Reply};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use types::MetadataVersion;

/// Most commands in one batch: bounds the size of an entry and the time of a decision.
const BATCH_COMMANDS_MAX: usize = 256;
/// Most times a batch is decided anew. Only a change of the leader makes one necessary.
const DECISIONS_MAX: usize = 5;

/// Why a command has no reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// This node is not the active controller, or ceased to be while the command was in flight, in
    /// which case it may still take effect. Ask the active one.
    #[error("not the active controller")]
    NotActive,
    /// Too many commands are waiting; nothing was done. Ask again a little later.
    #[error("too many commands are waiting")]
    Overloaded,
}

type Answer = Result<(Reply, MetadataVersion), SubmitError>;

struct Submission {
    command: Command,
    answer: oneshot::Sender<Answer>,
}

/// Hands commands to the decider. Cheap to clone.
#[derive(Clone)]
pub struct Submitter {
    sender: mpsc::Sender<Submission>,
    activity: Activity,
}

impl Submitter {
    /// Decides and commits one command. The reply holds from the version beside it on.
    pub async fn submit(&self, command: Command) -> Answer {
        if !self.activity.is_active() {
            return Err(SubmitError::NotActive);
        }
        let (answer, receiver) = oneshot::channel();
        self.sender
            .try_send(Submission { command, answer })
            .map_err(|_| SubmitError::Overloaded)?;
        receiver.await.unwrap_or(Err(SubmitError::NotActive))
    }
}

/// The one that decides.
pub struct Decider {
    receiver: mpsc::Receiver<Submission>,
    raft: MetaRaft,
    view: View,
    activity: Activity,
    liveness: Arc<Liveness>,
    options: ControllerOptions,
    env: Env,
}

impl Decider {
    pub fn new(
        raft: MetaRaft,
        view: View,
        activity: Activity,
        liveness: Arc<Liveness>,
        options: ControllerOptions,
        env: Env,
    ) -> (Submitter, Decider) {
        let (sender, receiver) = mpsc::channel(options.commands_queued_max.max(1));
        let submitter = Submitter { sender, activity: activity.clone() };
        (submitter, Decider { receiver, raft, view, activity, liveness, options, env })
    }

    /// Runs until every submitter is gone.
    pub async fn run(mut self) {
        let mut waiting = Vec::with_capacity(BATCH_COMMANDS_MAX);
        while self.receiver.recv_many(&mut waiting, BATCH_COMMANDS_MAX).await > 0 {
            let (mut commands, answers): (Vec<_>, Vec<_>) =
                waiting.drain(..).map(|one| (one.command, one.answer)).unzip();
            let decided = self.batch(&mut commands).await;
            for (position, answer) in answers.into_iter().enumerate() {
                let own = match &decided {
                    Ok((replies, version)) => Ok((replies[position].clone(), *version)),
                    Err(error) => Err(error.clone()),
                };
                // The asker may have gone; the command has its effect all the same.
                drop(answer.send(own));
            }
        }
    }

    async fn batch(
        &mut self,
        commands: &mut [Command],
    ) -> Result<(Vec<Reply>, MetadataVersion), SubmitError> {
        for _ in 0..DECISIONS_MAX {
            if !self.activity.is_active() {
                return Err(SubmitError::NotActive);
            }
            let decided = self.decide(commands);
            assert_eq!(decided.replies.len(), commands.len(), "every command has a reply");
            if decided.records.is_empty() {
                self.raft.confirm().await.map_err(|_| SubmitError::NotActive)?;
                return Ok((decided.replies, decided.based_on));
            }
            let records = rules::batch_to_bytes(decided.based_on, &decided.records);
            let proposal = Proposal { base: decided.based_on, records };
            match self.raft.propose(proposal).await {
                Ok(Applied::Version(version)) => return Ok((decided.replies, version)),
                // Decided on an old image; the next round sees what came between.
                Ok(Applied::Skipped | Applied::Nothing) => {}
                Err(ProposeError::NotLeader) => return Err(SubmitError::NotActive),
                Err(ProposeError::Unknown(reason)) => {
                    tracing::warn!(reason, "a batch of commands was given up");
                    return Err(SubmitError::NotActive);
                }
            }
        }
        Err(SubmitError::Overloaded)
    }

    fn decide(&self, commands: &mut [Command]) -> metadata::DecidedBatch {
        let image = self.view.image();
        let now = self.env.clock.now();
        for command in commands.iter_mut() {
            if let Command::RegisterBroker(register) = command {
                register.session_alive = self.liveness.is_alive(&image, register.broker_id, now);
            }
        }
        let topics = &self.options.topics;
        let context = DecideContext {
            seed: self.env.rng.next_u64(),
            config_rules: &*self.options.config_rules,
            num_partitions: topics.partitions,
            replication_factor: topics.replication_factor,
            unclean_leader_election: topics.unclean_leader_election,
        };
        metadata::decide_batch(&image, commands, &context)
    }
}
