//! One partition of this broker: its log, its role, and who waits for what.
//!
//! Promises:
//! - the state lock is taken before the log's, held for page-cache work only, never across a wait;
//! - bytes are read outside the lock, and dropped if the log was truncated meanwhile;
//! - every produce that was admitted is answered exactly once.
//!
//! Does not: hold rules. The leader's and follower's machines decide (crate `replication`); this
//! runs their effects. Split by role: [`super::leading`], [`super::following`].

use super::failures::DirFailures;
use super::fetcher::FollowLink;
use super::following::StaleChunks;
use super::isr::IsrQueue;
use super::refused::RefusedBatches;
use super::rooms::Rooms;
use super::session::Session;
use super::stall::{DirHealth, Phase};
use super::waits::FetchWait;
use arc_swap::ArcSwap;
use bytes::Bytes;
use config::TopicConfig;
use env::tasks::Room;
use env::{Env, Mutant, mutant};
use log::{LogHandle, ReadError, ReadPlan, TailLimits};
use replication::{Follower, Leader, WaitOutcome, WaitToken};
use rpc::replica::Position;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use telemetry::{PartitionMetrics, TopicMetrics};
use tokio::sync::oneshot;
use types::{
    BrokerEpoch, EpochOffset, ErrorCode, LeaderEpoch, Monotonic, NodeId, Offset, TopicIdPartition,
    TopicPartition,
};

/// The system's number of "input/output error".
const EIO: i32 = 5;

/// What all partitions of a broker share.
pub struct Shared {
    pub env: Env,
    pub node_id: NodeId,
    pub metrics: Arc<telemetry::Metrics>,
    pub isr_queue: IsrQueue,
    pub failures: DirFailures,
    /// Memory for the newest batches of what is led here.
    pub tails: TailLimits,
    /// The log directories that are open.
    pub healths: Vec<Arc<DirHealth>>,
    pub rooms: Rooms,
    pub tasks: env::Tasks,
}

/// A partition held by this broker.
pub struct Partition {
    pub id: TopicIdPartition,
    pub name: TopicPartition,
    pub(super) log: LogHandle,
    pub(super) shared: Arc<Shared>,
    pub(super) config: ArcSwap<TopicConfig>,
    /// Its log directory.
    pub(super) health: Arc<DirHealth>,
    /// The image counts this replica among those in sync.
    pub(super) is_member: AtomicBool,
    /// Its log is damaged and is to be set aside: nobody is to count on it.
    pub(super) is_damaged: AtomicBool,
    pub topic_metrics: TopicMetrics,
    pub(super) metrics: PartitionMetrics,
    pub(super) state: Mutex<State>,
    /// The epoch of the present role, for checks after reads outside the lock.
    pub(super) epoch: AtomicI32,
    /// The partition epoch of the newest image that was followed.
    pub(super) partition_epoch: AtomicI32,
    /// When `tick` has something to do, in microseconds.
    pub(super) deadline: AtomicU64,
}

/// What changes under the lock.
pub(super) struct State {
    pub role: Role,
    pub produce_waits: BTreeMap<WaitToken, oneshot::Sender<WaitOutcome>>,
    pub next_token: u64,
    pub fetch_waits: BTreeMap<u64, Arc<FetchWait>>,
    pub subscriptions: BTreeMap<NodeId, Subscription>,
    /// Where each follower last asked to be sent from.
    pub asked_from: BTreeMap<NodeId, Offset>,
    /// What idempotent producers will send again.
    pub refused_batches: RefusedBatches,
    /// Chunks of one leader that are older than this log's end.
    pub stale_chunks: StaleChunks,
    /// The newest stream that each follower was heard on; older ones no longer count, nor do those
    /// that a former start of the follower opens late.
    pub newest_sessions: BTreeMap<NodeId, (BrokerEpoch, u64)>,
    /// What followers asked whose image is ahead of this broker's: answered once it leads.
    pub early: BTreeMap<NodeId, (Arc<Session>, Position)>,
    /// A sync for a synced topic is under way; appends meanwhile share the next one.
    pub is_syncing: bool,
}

/// What this broker does for the partition.
pub(super) enum Role {
    /// Nothing: no leader is known, or the log directory failed.
    Idle,
    Leading(Box<Leader>),
    Following(Box<Follower>, Arc<FollowLink>),
}

/// A follower that is being sent this partition.
pub(super) struct Subscription {
    pub session: Arc<Session>,
    /// The next record to send.
    pub next_offset: Offset,
    pub sent_high_watermark: Offset,
    pub sent_log_start: Offset,
    /// A restart is answered even if there is nothing to send.
    pub must_answer: bool,
}

/// A chunk for a follower.
pub struct OutgoingChunk {
    pub leader_epoch: LeaderEpoch,
    pub position: Offset,
    pub records: Bytes,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub has_more: bool,
}

/// What a consumer asks of one partition.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerRead {
    pub offset: Offset,
    pub max_bytes: usize,
    /// The first batch is given even if it is larger than `max_bytes`.
    pub min_one_batch: bool,
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// Epoch of the last record that the consumer has read; finds out truncation (KIP-595).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub read_committed: bool,
    /// A follower may answer (Fetch version 11 and later, KIP-392).
    pub from_follower: bool,
}

/// A read that is planned.
pub struct PlannedRead {
    pub plan: Option<ReadPlan>,
    /// As clients are told it, with the next: NONE right after an election, while they could seem
    /// to go back (KIP-207).
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    pub diverging: Option<EpochOffset>,
}

/// Offsets and epochs that a broker tells of a partition (metrics, admin calls).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionView {
    pub is_leader: bool,
    pub leader_epoch: LeaderEpoch,
    pub start_offset: Offset,
    pub high_watermark: Offset,
    pub end_offset: Offset,
    pub size: u64,
    pub isr: usize,
    pub replicas: usize,
    pub is_under_min_isr: bool,
}

/// Who must have a record before the leader calls it committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leadership {
    pub leader_epoch: LeaderEpoch,
    /// The ISR, and those whose joining is proposed.
    pub maximal_isr: Vec<NodeId>,
}

impl Shared {
    /// The directory that a log is in; one that nobody watches for a log without directory.
    fn health_of(&self, log: &LogHandle) -> Arc<DirHealth> {
        let dir = log.lock().dir().to_path_buf();
        let log_dir = dir.parent().unwrap_or(&dir);
        let known = self.healths.iter().find(|health| health.path == log_dir);
        known.cloned().unwrap_or_else(|| DirHealth::new(log_dir, None))
    }
}

impl Partition {
    pub fn new(
        id: TopicIdPartition,
        name: TopicPartition,
        log: LogHandle,
        config: Arc<TopicConfig>,
        shared: Arc<Shared>,
    ) -> Arc<Partition> {
        let topic_metrics = shared.metrics.topic(&name.topic);
        let metrics = shared.metrics.partition(&name.topic, name.partition);
        let health = shared.health_of(&log);
        Arc::new(Partition {
            health,
            is_member: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            topic_metrics,
            metrics,
            id,
            name,
            log,
            shared,
            config: ArcSwap::new(config),
            state: Mutex::new(State {
                role: Role::Idle,
                produce_waits: BTreeMap::new(),
                next_token: 0,
                fetch_waits: BTreeMap::new(),
                subscriptions: BTreeMap::new(),
                asked_from: BTreeMap::new(),
                refused_batches: RefusedBatches::default(),
                stale_chunks: StaleChunks::default(),
                newest_sessions: BTreeMap::new(),
                early: BTreeMap::new(),
                is_syncing: false,
            }),
            epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            partition_epoch: AtomicI32::new(0),
            deadline: AtomicU64::new(Monotonic::NEVER.0),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        env::sections::lock(&self.state).expect("no thread panicked while it held the partition")
    }

    /// Whether whoever works here now hangs: nobody else shall begin.
    pub(super) fn is_stuck(&self) -> bool {
        self.health.is_stuck()
    }

    /// Whether whoever changes something here now may hang: what can wait is done later.
    pub(super) fn is_suspect(&self) -> bool {
        self.health.is_suspect(self.now())
    }

    /// Whether the leader is told nothing, so that it does not count on a disk that is not well or on
    /// a log that is to go.
    pub(super) fn is_silent(&self) -> bool {
        match self.health.phase() {
            _ if self.is_damaged.load(Ordering::Acquire) => true,
            Phase::Well => false,
            Phase::Stuck => true,
            Phase::Recovering => !self.is_member.load(Ordering::Acquire),
        }
    }

    pub(super) fn is_in(&self, health: &Arc<DirHealth>) -> bool {
        Arc::ptr_eq(&self.health, health)
    }

    pub fn log(&self) -> &LogHandle {
        &self.log
    }

    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    pub(super) fn is_synced(&self) -> bool {
        self.config.load().is_synced()
    }

    /// The leader epoch if this broker leads.
    pub fn leads(&self) -> Option<LeaderEpoch> {
        match &self.lock().role {
            Role::Leading(leader) => Some(leader.leader_epoch()),
            Role::Following(..) | Role::Idle => None,
        }
    }

    /// How this broker leads, if it does; for tests that look inside.
    pub fn leadership(&self) -> Option<Leadership> {
        match &self.lock().role {
            Role::Leading(leader) => Some(Leadership {
                leader_epoch: leader.leader_epoch(),
                maximal_isr: leader.maximal_isr(),
            }),
            Role::Following(..) | Role::Idle => None,
        }
    }

    pub fn view(&self) -> PartitionView {
        let state = self.lock();
        let log = self.log.lock();
        let leader = match &state.role {
            Role::Leading(leader) => Some(leader),
            Role::Following(..) | Role::Idle => None,
        };
        PartitionView {
            is_leader: leader.is_some(),
            leader_epoch: LeaderEpoch(self.epoch.load(Ordering::Acquire)),
            start_offset: log.start_offset(),
            high_watermark: leader.map_or(log.high_watermark(), |l| l.high_watermark()),
            end_offset: log.end_offset(),
            size: log.size(),
            isr: leader.map_or(0, |l| l.isr().len()),
            replicas: leader.map_or(0, |l| l.replicas().len()),
            is_under_min_isr: leader.is_some_and(|l| l.is_under_min_isr()),
        }
    }

    /// Sets the gauges of this partition.
    pub(super) fn gauge(&self, view: &PartitionView) {
        self.metrics.log_end(view.end_offset);
        self.metrics.high_watermark(view.high_watermark);
        self.metrics.log_start(view.start_offset);
        self.metrics.size(view.size);
        self.shared.metrics.tail_cache(self.shared.tails.held_bytes());
    }

    /// Plans a consumer's read.
    pub fn plan_read(&self, read: &ConsumerRead) -> Result<PlannedRead, ErrorCode> {
        if self.is_stuck() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let state = self.lock();
        let mut high_watermark = self.readable(&state, read)?;
        let log = self.log.lock();
        if mutant::is(Mutant::ReadToEnd) {
            high_watermark = log.end_offset();
        }
        // Where a leader's log ends, a consumer that stands beyond has read what is lost; a follower
        // may only be behind (with an empty disk, at the beginning). Out of range would send a
        // consumer that takes it for the leader back to the start.
        if matches!(state.role, Role::Following(..)) && read.offset > log.end_offset() {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        let last_stable_offset = log.first_unstable_offset().min(high_watermark);
        let told = |offset| if is_told(&state.role) { offset } else { Offset::NONE };
        let mut planned = PlannedRead {
            plan: None,
            high_watermark: told(high_watermark),
            last_stable_offset: told(last_stable_offset),
            log_start_offset: log.start_offset(),
            diverging: None,
        };
        if let Some(last_epoch) = read.last_fetched_epoch {
            let end = log.end_offset_for_epoch(last_epoch);
            if end.offset == Offset::NONE {
                return Err(ErrorCode::OffsetOutOfRange);
            }
            planned.diverging = replication::diverges(last_epoch, read.offset, Some(end));
            if planned.diverging.is_some() {
                return Ok(planned);
            }
        }
        let bound = if read.read_committed { last_stable_offset } else { high_watermark };
        if read.offset > bound && read.offset <= log.end_offset() {
            return Ok(planned);
        }
        match log.read_plan(read.offset, bound, read.max_bytes, read.min_one_batch) {
            Ok(plan) => planned.plan = Some(plan),
            Err(ReadError::OutOfRange { .. }) => return Err(ErrorCode::OffsetOutOfRange),
            // The log has told of it once.
            Err(error @ ReadError::Damaged { .. }) => return Err(error.code()),
            Err(error @ ReadError::Io(_)) => {
                tracing::error!(partition = %self.name, %error, "cannot read");
                return Err(error.code());
            }
        }
        Ok(planned)
    }

    /// To be held by whoever reads from the disk and may wait for it.
    pub fn reading(&self) -> impl Drop + use<> {
        self.health.working(self.now())
    }

    /// Where reads that wait for its disk are done.
    pub fn reads(&self) -> &Room {
        &self.health.rooms.reads
    }

    /// A disk that cannot give back what it holds takes its directory offline. A file that is shorter
    /// than planned was cut meanwhile: that is no failure.
    pub fn read_failed(&self, error: &std::io::Error) {
        if error.raw_os_error() != Some(EIO) {
            return;
        }
        let dir = self.log.lock().dir().to_path_buf();
        let log_dir = dir.parent().unwrap_or(&dir).to_path_buf();
        let doing = format!("read {}", dir.display());
        let error = std::io::Error::from_raw_os_error(EIO);
        let error = log::LogDirError { dir: log_dir, doing, error: Arc::new(error) };
        self.shared.failures.push(&error);
    }

    /// The high watermark that a consumer sees here, if it may read here at all.
    fn readable(&self, state: &State, read: &ConsumerRead) -> Result<Offset, ErrorCode> {
        let (epoch, high_watermark) = match &state.role {
            Role::Leading(leader) => (leader.leader_epoch(), leader.high_watermark()),
            Role::Following(follower, _) if read.from_follower => {
                (follower.role().leader_epoch, follower.log().high_watermark)
            }
            Role::Following(..) | Role::Idle => return Err(ErrorCode::NotLeaderOrFollower),
        };
        replication::check_leader_epoch(read.current_leader_epoch, epoch)
            .map_err(|refusal| refusal.code().unwrap_or(ErrorCode::NotLeaderOrFollower))?;
        Ok(high_watermark)
    }

    /// Parks a fetch here; [`Partition::forget_wait`] must follow.
    pub fn add_wait(&self, wait: &Arc<FetchWait>) {
        self.lock().fetch_waits.insert(wait.id(), wait.clone());
    }

    pub fn forget_wait(&self, wait: &FetchWait) {
        self.lock().fetch_waits.remove(&wait.id());
    }

    /// Stops sending to a session.
    pub fn unsubscribe(&self, session: &Session) {
        // Its stream is closed: what is left of it here only waits for the next role.
        if self.is_stuck() {
            return;
        }
        let mut state = self.lock();
        state.early.retain(|_, (asking, _)| !std::ptr::eq(&**asking, session));
        let is_own = |s: &Subscription| std::ptr::eq(&*s.session, session);
        if state.subscriptions.get(&session.follower).is_some_and(is_own) {
            state.subscriptions.remove(&session.follower);
        }
    }

    /// Time has passed.
    pub fn tick(self: &Arc<Self>, now: Monotonic) {
        if self.deadline.load(Ordering::Acquire) > now.0 || self.is_stuck() {
            return;
        }
        // Whoever holds it may hang in the disk; others' deadlines are to be kept. The next tick is
        // soon.
        let Ok(mut state) = self.state.try_lock() else { return };
        let now = self.now();
        let state = &mut *state;
        match &mut state.role {
            Role::Leading(leader) => {
                let mut effects = Vec::new();
                for subscription in state.subscriptions.values() {
                    let session = &subscription.session;
                    leader.broker_heard(session.follower, session.heard_at());
                }
                leader.tick(now, &mut effects);
                self.run_leader_effects(state, effects);
            }
            Role::Following(follower, link) => {
                let mut effects = Vec::new();
                follower.tick(now, &mut effects);
                let link = link.clone();
                self.run_follower_effects(state, &link, effects, None);
            }
            Role::Idle => {}
        }
        self.note_deadline(state);
    }

    pub(super) fn note_deadline(&self, state: &State) {
        let deadline = match &state.role {
            Role::Leading(leader) => leader.next_deadline(),
            Role::Following(follower, _) => follower.next_deadline(),
            Role::Idle => Monotonic::NEVER,
        };
        self.deadline.store(deadline.0, Ordering::Release);
    }

    /// To be read with the partition locked: the machines take no time that is before the last one,
    /// and whoever waits for the lock with an older time would bring that.
    pub(super) fn now(&self) -> Monotonic {
        self.shared.env.clock.now()
    }
}

/// Whether clients are told the high watermark: a new leader may know of less than they were told
/// before.
fn is_told(role: &Role) -> bool {
    match role {
        Role::Leading(leader) => leader.told_high_watermark().is_some(),
        Role::Following(..) | Role::Idle => true,
    }
}

impl State {
    /// Wakes every parked fetch; each looks again and stays registered if it still lacks data.
    pub fn wake_fetches(&self) {
        self.fetch_waits.values().for_each(|wait| wait.wake());
    }
}
