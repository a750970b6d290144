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
use bytes::Bytes;
use env::Env;
use metadata::{Command, DecideContext, Refusal, Reply};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use types::{ErrorCode, MetadataVersion};

/// Most commands in one batch: bounds the size of an entry and the time of a decision.
const BATCH_COMMANDS_MAX: usize = 256;
/// Largest entry, in encoded bytes: well below the largest message between controllers.
const ENTRY_BYTES_MAX: usize = 16 << 20;
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

/// Replies and the version at which they hold.
type Decided = (Vec<Reply>, MetadataVersion);

/// The first `done` commands of a batch, decided.
struct Prepared {
    replies: Vec<Reply>,
    based_on: MetadataVersion,
    /// `None` where nothing changes.
    records: Option<Bytes>,
    done: usize,
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
            let mut answers = answers.into_iter();
            let mut rest = &mut commands[..];
            while !rest.is_empty() {
                let (decided, done) = self.batch(rest).await;
                rest = &mut rest[done..];
                for (position, answer) in answers.by_ref().take(done).enumerate() {
                    let own = match &decided {
                        Ok((replies, version)) => Ok((replies[position].clone(), *version)),
                        Err(error) => Err(error.clone()),
                    };
                    // The asker may have gone; the command has its effect all the same.
                    drop(answer.send(own));
                }
            }
        }
    }

    /// Decides and commits the first of the commands, all of them if they fit in one entry; says
    /// how many. An error is for all.
    async fn batch(&mut self, commands: &mut [Command]) -> (Result<Decided, SubmitError>, usize) {
        let all = commands.len();
        for _ in 0..DECISIONS_MAX {
            if !self.activity.is_active() {
                return (Err(SubmitError::NotActive), all);
            }
            let Prepared { replies, based_on, records, done } = self.prepare(commands);
            let Some(records) = records else {
                let confirmed = self.raft.confirm().await;
                return match confirmed {
                    Ok(()) => (Ok((replies, based_on)), done),
                    Err(_) => (Err(SubmitError::NotActive), all),
                };
            };
            match self.raft.propose(Proposal { base: based_on, records }).await {
                Ok(Applied::Version(version)) => return (Ok((replies, version)), done),
                // Decided on an old image; the next round sees what came between.
                Ok(Applied::Skipped | Applied::Nothing) => {}
                Err(ProposeError::NotLeader) => return (Err(SubmitError::NotActive), all),
                Err(ProposeError::Unknown(reason)) => {
                    tracing::warn!(reason, "a batch of commands was given up");
                    return (Err(SubmitError::NotActive), all);
                }
            }
        }
        (Err(SubmitError::Overloaded), all)
    }

    /// Decides as many of the commands as fit in an entry.
    fn prepare(&self, commands: &mut [Command]) -> Prepared {
        let mut done = commands.len();
        loop {
            let decided = self.decide(&mut commands[..done]);
            assert_eq!(decided.replies.len(), done, "every command has a reply");
            let (based_on, replies) = (decided.based_on, decided.replies);
            if decided.records.is_empty() {
                return Prepared { replies, based_on, records: None, done };
            }
            let records = rules::batch_to_bytes(based_on, &decided.records);
            if records.len() <= ENTRY_BYTES_MAX {
                return Prepared { replies, based_on, records: Some(records), done };
            }
            if done == 1 {
                let replies = vec![too_large(&commands[0], records.len())];
                return Prepared { replies, based_on, records: None, done };
            }
            done /= 2;
        }
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

fn too_large(command: &Command, bytes: usize) -> Reply {
    let message = format!(
        "{} makes {bytes} bytes of metadata, at most {ENTRY_BYTES_MAX} are allowed at a time",
        command.name()
    );
    Reply::Refused(Refusal::new(ErrorCode::PolicyViolation, message))
}
