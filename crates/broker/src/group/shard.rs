//! One coordinator and the partition that keeps its records.

use crate::broker::spawn;
use crate::context::BrokerCore;
use crate::replica::{AppendTicket, Partition};
use coordinator::{Coordinator, Effect, GroupRecord, Reply, Token};
use env::{Mutant, mutant};
use records::{BatchBuilder, BatchOptions, NewRecord, ProducedBatch};
use replication::Acks;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use types::{ErrorCode, LeaderEpoch, Monotonic, Offset};

/// Appends that wait for their replicas. One more parks the caller's task, not the coordinator.
const APPENDS_MAX: usize = 1 << 16;

/// Between looks at whether what was loaded is committed.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// A loaded coordinator.
pub struct Shard {
    pub epoch: LeaderEpoch,
    partition: Arc<Partition>,
    core: Arc<BrokerCore>,
    commit_timeout: Duration,
    state: Mutex<State>,
    /// When the coordinator's tick is due, in microseconds.
    deadline: AtomicU64,
    /// The coordinator has given its state up: it is to be loaded again.
    has_given_up: AtomicBool,
    appends: mpsc::Sender<Append>,
}

struct State {
    coordinator: Coordinator,
    parked: BTreeMap<Token, oneshot::Sender<Reply>>,
    next_token: u64,
    is_unloaded: bool,
}

type Append = (u64, Result<AppendTicket, ErrorCode>);

impl Shard {
    /// Starts to serve a coordinator that was loaded in `epoch`.
    pub fn start(
        core: &Arc<BrokerCore>,
        partition: Arc<Partition>,
        epoch: LeaderEpoch,
        coordinator: Coordinator,
    ) -> Arc<Shard> {
        let (appends, receiver) = mpsc::channel(APPENDS_MAX);
        let shard = Arc::new(Shard {
            epoch,
            partition,
            core: core.clone(),
            commit_timeout: core.config.groups.offsets_commit_timeout,
            deadline: AtomicU64::new(coordinator.next_deadline().0),
            has_given_up: AtomicBool::new(false),
            state: Mutex::new(State {
                coordinator,
                parked: BTreeMap::new(),
                next_token: 0,
                is_unloaded: false,
            }),
            appends,
        });
        spawn(&core.tasks, shard.clone().finish_appends(receiver));
        shard
    }

    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Whether it is to be loaded again: what it held may not be what its log says.
    pub fn has_given_up(&self) -> bool {
        self.has_given_up.load(Ordering::Acquire)
    }

    /// Asks the coordinator something that it answers by an effect. A refusal of the whole request is
    /// an error.
    pub async fn ask(
        self: &Arc<Self>,
        request: impl FnOnce(&mut Coordinator, Monotonic, Token, &mut Vec<Effect>),
    ) -> Result<Reply, ErrorCode> {
        let receiver = {
            let mut state = self.lock();
            if state.is_unloaded {
                return Err(ErrorCode::NotCoordinator);
            }
            let token = Token(state.next_token);
            state.next_token += 1;
            let (sender, receiver) = oneshot::channel();
            state.parked.insert(token, sender);
            let mut effects = Vec::new();
            self.prepare(&mut state);
            request(&mut state.coordinator, self.now(), token, &mut effects);
            self.run(&mut state, effects);
            receiver
        };
        // Every parked request is answered before its shard goes; else the broker is stopping.
        match receiver.await {
            Ok(Reply::Refused(code)) => Err(code),
            Ok(reply) => Ok(reply),
            Err(_) => Err(ErrorCode::NotCoordinator),
        }
    }

    /// Asks the coordinator something that it answers at once; effects follow.
    pub fn call<T>(
        self: &Arc<Self>,
        request: impl FnOnce(&mut Coordinator, Monotonic, &mut Vec<Effect>) -> T,
    ) -> Result<T, ErrorCode> {
        let mut state = self.lock();
        if state.is_unloaded {
            return Err(ErrorCode::NotCoordinator);
        }
        let mut effects = Vec::new();
        self.prepare(&mut state);
        let answer = request(&mut state.coordinator, self.now(), &mut effects);
        self.run(&mut state, effects);
        Ok(answer)
    }

    /// Ends phases and sessions that are over.
    pub fn tick(self: &Arc<Self>) {
        let now = self.now();
        if self.deadline.load(Ordering::Acquire) > now.0 {
            return;
        }
        let mut state = self.lock();
        if !state.is_unloaded {
            let mut effects = Vec::new();
            self.prepare(&mut state);
            state.coordinator.tick(now, &mut effects);
            self.run(&mut state, effects);
        }
    }

    /// Waits until what was loaded, up to `end`, is committed, and tells the coordinator; or until that
    /// is here no longer.
    pub async fn settle_loaded(self: &Arc<Self>, end: Offset) {
        while !self.lock().is_unloaded {
            let view = self.partition.view();
            let leads = view.is_leader && view.leader_epoch == self.epoch;
            if leads && view.high_watermark >= end {
                // One that is unloaded just now is loaded by the log again.
                let _ = self.call(|groups, _, _| groups.settle_loaded());
                return;
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Leadership is gone.
    pub fn unload(&self) {
        let mut state = self.lock();
        state.is_unloaded = true;
        let mut effects = Vec::new();
        state.coordinator.unload(&mut effects);
        for effect in effects {
            if let Effect::Reply { token, reply } = effect {
                answer(&mut state, token, reply);
            }
        }
        state.parked.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked while it held the coordinator")
    }

    fn now(&self) -> Monotonic {
        self.core.env.clock.now()
    }

    fn prepare(&self, state: &mut State) {
        state.coordinator.set_wall(self.core.env.clock.wall());
    }

    fn run(self: &Arc<Self>, state: &mut State, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { token, reply } => answer(state, token, reply),
                Effect::Expired { group_id, member_id } => {
                    tracing::info!(group_id, member_id, "a silent member is out of its group");
                }
                // What was decided before it gave up is not done.
                Effect::Append { .. } if state.is_unloaded => {}
                Effect::Append { append_id, records } => {
                    let ticket = self.append(&records);
                    let mut more = Vec::new();
                    if mutant::is(Mutant::GroupsAnsweredAtAppend) {
                        state.coordinator.append_done(self.now(), append_id, Ok(()), &mut more);
                    } else if self.appends.try_send((append_id, ticket)).is_err() {
                        // Full: the append may be in the log, but nobody would tell its end.
                        tracing::error!(partition = %self.partition.name, "too many appends wait");
                        state.coordinator.give_up(&mut more);
                    }
                    if !more.is_empty() {
                        self.run(state, more);
                    }
                }
                Effect::Reload => {
                    tracing::warn!(
                        partition = %self.partition.name, epoch = %self.epoch,
                        "group coordinator's state is given up, to be loaded again"
                    );
                    state.is_unloaded = true;
                    state.parked.clear();
                    self.has_given_up.store(true, Ordering::Release);
                }
            }
        }
        self.deadline.store(state.coordinator.next_deadline().0, Ordering::Release);
    }

    fn append(&self, records: &[GroupRecord]) -> Result<AppendTicket, ErrorCode> {
        let timestamp = self.core.env.clock.wall();
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for record in records {
            let (key, value) = record.encode();
            builder.push(&NewRecord { timestamp, key: Some(key), value, headers: Vec::new() });
        }
        let batch = ProducedBatch::from_own(builder.build());
        if batch.bytes().len() > self.partition.config().message.max_message_bytes as usize {
            return Err(ErrorCode::RecordListTooLarge);
        }
        self.partition.append(&batch, Acks::All, self.commit_timeout, Some(self.epoch))
    }

    /// Tells the coordinator how its appends ended, in their order.
    async fn finish_appends(self: Arc<Self>, mut appends: mpsc::Receiver<Append>) {
        while let Some((append_id, ticket)) = appends.recv().await {
            let result = match ticket {
                Ok(ticket) => ticket.finish().await.1,
                Err(code) => Err(code),
            };
            let mut state = self.lock();
            if state.is_unloaded {
                return;
            }
            let mut effects = Vec::new();
            self.prepare(&mut state);
            state.coordinator.append_done(self.now(), append_id, result, &mut effects);
            self.run(&mut state, effects);
        }
    }
}

fn answer(state: &mut State, token: Token, reply: Reply) {
    if let Some(parked) = state.parked.remove(&token) {
        // The client may be gone; its member expires by itself.
        let _ = parked.send(reply);
    }
}
