//! A partition that this broker leads: appends, followers' positions, chunks, ISR answers.

use super::partition::{OutgoingChunk, Partition, Role, State, Subscription};
use super::refused::RefusedBatches;
use super::session::{Session, epoch_end};
use bytes::Bytes;
use env::{Mutant, mutant};
use log::{AppendError, Appended, PartitionLog, ReadError};
use records::ProducedBatch;
use replication::{
    Acks, AlterPartitionAnswer, FollowerPosition, Leader, LeaderEffect, Refusal, WaitOutcome,
    WaitToken,
};
use rpc::replica::{Chunk, Position};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use types::{EpochOffset, ErrorCode, LeaderEpoch, NodeId, Offset, PartitionEpoch};

/// How long after a sync that found no descriptor the next one comes.
const SYNC_RETRY: Duration = Duration::from_secs(1);

/// An append that is in this broker's log.
pub struct AppendTicket {
    pub appended: Appended,
    /// Set for acks=all: how replication ended.
    pub committed: Option<oneshot::Receiver<WaitOutcome>>,
}

impl AppendTicket {
    /// Waits for the replicas, as the acks asked.
    pub async fn finish(self) -> (Appended, Result<(), ErrorCode>) {
        let Some(committed) = self.committed else { return (self.appended, Ok(())) };
        // The partition answers every wait before it drops it; a closed channel is a shutdown.
        let outcome = committed.await.unwrap_or(WaitOutcome::NotLeader);
        (self.appended, outcome.code().map_or(Ok(()), Err))
    }
}

impl Partition {
    /// Appends a batch that was checked. `expected_epoch` binds a coordinator's writes to the
    /// leadership that it was loaded under.
    pub fn append(
        self: &Arc<Self>,
        batch: &ProducedBatch,
        acks: Acks,
        timeout: Duration,
        expected_epoch: Option<LeaderEpoch>,
    ) -> Result<AppendTicket, ErrorCode> {
        if self.is_stuck() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let _working = self.health.working(self.now());
        let mut state = self.lock();
        let state = &mut *state;
        let done = self.append_led(state, batch, acks, timeout, expected_epoch);
        match &done {
            Ok(_) => state.refused_batches.appended(batch.header()),
            Err(code) => state.refused_batches.note(batch.header(), *code),
        }
        done
    }

    fn append_led(
        self: &Arc<Self>,
        state: &mut State,
        batch: &ProducedBatch,
        acks: Acks,
        timeout: Duration,
        expected_epoch: Option<LeaderEpoch>,
    ) -> Result<AppendTicket, ErrorCode> {
        let (now, wall) = (self.now(), self.shared.env.clock.wall());
        let Role::Leading(leader) = &mut state.role else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        if expected_epoch.is_some_and(|epoch| epoch != leader.leader_epoch()) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        leader.admit(acks).map_err(|refused| refused.code())?;
        let (appended, end_offset, is_due) = {
            let mut log = self.log.lock();
            let is_awaited = leader.isr().len() > 1;
            log.keep_tail(is_awaited.then_some(&self.shared.tails));
            let appended = log.append_as_leader(batch, leader.leader_epoch(), wall);
            let refused = |error| self.append_refused(batch, &error, &state.refused_batches);
            let appended = appended.map_err(refused)?;
            (appended, log.end_offset(), log.wants_flush())
        };
        self.metrics.log_end(end_offset);
        let mut effects = Vec::new();
        leader.appended(now, end_offset, &mut effects);
        let committed = match acks {
            Acks::None | Acks::Leader => None,
            Acks::All if mutant::is(Mutant::AckAtAppend) => None,
            Acks::All => {
                let token = WaitToken(state.next_token);
                state.next_token += 1;
                let (sender, receiver) = oneshot::channel();
                state.produce_waits.insert(token, sender);
                let end = appended.last_offset.plus(1);
                leader.wait_for(end, token, now + timeout, &mut effects);
                Some(receiver)
            }
        };
        self.run_leader_effects(state, effects);
        for subscription in state.subscriptions.values() {
            subscription.session.mark_dirty(self.id);
        }
        self.note_deadline(state);
        if is_due || self.is_synced() {
            self.start_sync(state);
        }
        Ok(AppendTicket { appended, committed })
    }

    fn append_refused(
        &self,
        batch: &ProducedBatch,
        error: &AppendError,
        refused: &RefusedBatches,
    ) -> ErrorCode {
        if let AppendError::OutOfOrderSequence { expected, .. } = error
            && let Some(code) = refused.like(batch.header(), *expected)
        {
            return code;
        }
        match error {
            AppendError::NoSpace(_) => {
                tracing::error!(partition = %self.name, %error, "cannot append");
            }
            AppendError::Io(failed) => {
                tracing::error!(partition = %self.name, %error, "cannot append");
                self.shared.failures.push(failed);
            }
            AppendError::OutOfOrderSequence { .. }
            | AppendError::StaleProducerEpoch { .. }
            | AppendError::InvalidTransactionState { .. }
            | AppendError::StaleCoordinatorEpoch { .. }
            | AppendError::OffsetMismatch { .. }
            | AppendError::StaleLeaderEpoch { .. }
            | AppendError::Corrupt(_)
            | AppendError::TooLargeForSegment { .. } => {
                tracing::debug!(partition = %self.name, %error, "append refused");
            }
        }
        error.code()
    }

    pub(super) fn run_leader_effects(
        self: &Arc<Self>,
        state: &mut State,
        effects: Vec<LeaderEffect>,
    ) {
        for effect in effects {
            match effect {
                LeaderEffect::HighWatermark(offset) => {
                    self.log.lock().set_high_watermark(offset);
                    self.metrics.high_watermark(offset);
                    state.wake_fetches();
                    for subscription in state.subscriptions.values() {
                        subscription.session.mark_moved(self.id);
                    }
                }
                LeaderEffect::ProposeIsr(proposal) => {
                    let Role::Leading(leader) = &state.role else { continue };
                    match proposal.isr.len() < leader.isr().len() {
                        true => self.shared.metrics.isr_shrunk(),
                        false => self.shared.metrics.isr_expanded(),
                    }
                    self.shared.isr_queue.push(self.clone(), proposal);
                }
                LeaderEffect::IsrChanged { isr, partition_epoch } => {
                    let isr: Vec<i32> = isr.iter().map(|id| id.0).collect();
                    tracing::info!(
                        partition = %self.name, ?isr, %partition_epoch, "in-sync replicas changed"
                    );
                }
                LeaderEffect::SlowFollower(follower) => {
                    self.shared.metrics.slow_follower();
                    tracing::warn!(
                        partition = %self.name, %follower,
                        "keeps produces waiting without progress: to leave the in-sync replicas"
                    );
                }
                LeaderEffect::AskAnew(follower) => self.ask_anew(state, follower),
                LeaderEffect::Complete { token, outcome } => {
                    if let Some(waiting) = state.produce_waits.remove(&token) {
                        // The client may be gone; nothing is lost by that.
                        let _ = waiting.send(outcome);
                    }
                }
            }
        }
    }

    /// Ends what a follower is sent, so that it asks again. One that is not sent anything asks by
    /// itself.
    fn ask_anew(&self, state: &mut State, follower: NodeId) {
        let Role::Leading(leader) = &state.role else { return };
        let Some(subscription) = state.subscriptions.remove(&follower) else { return };
        tracing::info!(
            partition = %self.name, %follower, "left the in-sync replicas: asked where it stands"
        );
        let refusal = Refusal::NotLeaderOrFollower;
        let chunk = self.refuse(leader.leader_epoch(), subscription.next_offset, refusal);
        subscription.session.push(chunk);
    }

    /// A follower says where it stands.
    pub fn follower_position(self: &Arc<Self>, session: &Arc<Session>, position: &Position) {
        if self.is_stuck() {
            return session.push(hangs(position));
        }
        let mut state = self.lock();
        let this = (session.broker_epoch, session.number);
        let newest = state.newest_sessions.entry(session.follower).or_insert(this);
        if *newest > this {
            return;
        }
        *newest = this;
        if position.restart && position.leader_epoch > self.epoch.load(Ordering::Acquire) {
            state.early.insert(session.follower, (session.clone(), position.clone()));
            return;
        }
        self.take_position(&mut state, session, position);
    }

    /// Answers what followers asked in this epoch before it began here.
    pub(super) fn take_early_positions(self: &Arc<Self>, state: &mut State) {
        let epoch = self.epoch.load(Ordering::Acquire);
        for (follower, (session, position)) in std::mem::take(&mut state.early) {
            if position.leader_epoch > epoch {
                state.early.insert(follower, (session, position));
            } else if position.leader_epoch == epoch {
                self.take_position(state, &session, &position);
            }
        }
    }

    fn take_position(
        self: &Arc<Self>,
        state: &mut State,
        session: &Arc<Session>,
        position: &Position,
    ) {
        let now = self.now();
        let Role::Leading(leader) = &mut state.role else {
            session.push(self.refusal(position, Refusal::NotLeaderOrFollower));
            return;
        };
        let last_epoch = LeaderEpoch(position.last_epoch);
        let report = FollowerPosition {
            broker: session.follower,
            broker_epoch: session.broker_epoch,
            leader_epoch: LeaderEpoch(position.leader_epoch),
            offset: Offset(position.offset),
            last_epoch,
            log_start_offset: Offset(position.log_start_offset),
            partition_epoch: PartitionEpoch(position.partition_epoch),
            restart: position.restart,
            epoch_end: self.epoch_end(last_epoch),
        };
        let mut effects = Vec::new();
        let accepted = leader.position(now, &report, &mut effects);
        match accepted {
            Ok(()) if position.restart => {
                let (follower, offset) = (session.follower, report.offset);
                tracing::debug!(partition = %self.name, %follower, %offset, "follower begins anew");
                let subscription = Subscription {
                    session: session.clone(),
                    next_offset: report.offset,
                    sent_high_watermark: Offset::NONE,
                    sent_log_start: Offset::NONE,
                    must_answer: true,
                };
                state.subscriptions.insert(session.follower, subscription);
                session.mark_dirty(self.id);
                let has_asked = state.asked_from.insert(follower, offset) == Some(offset);
                if has_asked && offset < leader.end_offset() {
                    self.examine(offset);
                    // The follower may be unable to go on from the batch before.
                    self.examine(offset.plus(-1));
                }
            }
            Ok(()) => {}
            Err(refusal) => {
                state.subscriptions.remove(&session.follower);
                session.push(self.refusal(position, refusal));
            }
        }
        self.run_leader_effects(state, effects);
        self.note_deadline(state);
    }

    /// What the log's epochs say of `epoch`: its largest epoch at or below it, and where it ends.
    pub(super) fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochOffset> {
        if epoch < LeaderEpoch(0) {
            return None;
        }
        Some(self.log.lock().end_offset_for_epoch(epoch)).filter(|end| end.offset != Offset::NONE)
    }

    fn refusal(&self, asked: &Position, refusal: Refusal) -> Chunk {
        let log_start_offset = self.log.lock().start_offset().0;
        let mut chunk = Chunk {
            topic_id: asked.topic_id.clone(),
            partition: asked.partition,
            // Echoed: a late refusal must not stop a follower that has moved on to a newer epoch.
            leader_epoch: asked.leader_epoch,
            position: asked.offset,
            log_start_offset,
            ..Chunk::default()
        };
        match refusal {
            Refusal::Diverging(end) => chunk.diverging = Some(epoch_end(end)),
            Refusal::FencedLeaderEpoch
            | Refusal::UnknownLeaderEpoch
            | Refusal::NotLeaderOrFollower
            | Refusal::UnknownPartition
            | Refusal::OffsetOutOfRange
            | Refusal::Storage => {
                let code = refusal.code().unwrap_or(ErrorCode::UnknownServerError);
                chunk.error_code = i32::from(i16::from(code));
            }
        }
        chunk
    }

    /// The next chunk for a follower, `None` if it has everything and knows the watermark. The
    /// bytes are read outside the lock; where they end is noted only once they are read.
    pub fn next_chunk(&self, session: &Session, bytes_max: usize) -> Option<OutgoingChunk> {
        if self.is_stuck() {
            return None;
        }
        let (source, mut chunk) = {
            let mut state = self.lock();
            let (leader, subscription) = subscribed(&mut state, session)?;
            plan_chunk(self, leader, subscription, bytes_max)?
        };
        let read = match source {
            Source::Nothing => return Some(chunk),
            Source::Memory(records) => Ok(records),
            Source::File(plan) => self.read_chunk(&plan),
        };
        let read = read.and_then(|records| {
            let end = records::batches(&records).last().ok_or("no batch in the plan")?;
            let end = end.map_err(|error| error.to_string())?.header.end_offset();
            Ok((records, end))
        });
        let mut state = self.lock();
        // A new role may have cut the log under the plan: such bytes must not go out.
        let (leader, subscription) = subscribed(&mut state, session)?;
        if leader.leader_epoch() != chunk.leader_epoch || subscription.next_offset != chunk.position
        {
            return None;
        }
        match read {
            Ok((records, end)) => {
                self.topic_metrics.replicated_out(records.len() as u64);
                chunk.records = records;
                chunk.has_more = end < leader.end_offset();
                subscription.next_offset = end;
                Some(chunk)
            }
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "cannot read for a follower");
                state.subscriptions.remove(&session.follower);
                drop(state);
                session.push(self.refuse(chunk.leader_epoch, chunk.position, Refusal::Storage));
                None
            }
        }
    }

    /// Memory, where it has what is planned: the plan says what the follower may have.
    fn source(&self, log: &mut PartitionLog, plan: log::ReadPlan) -> Source {
        if plan.is_empty() {
            return Source::Nothing;
        }
        match log.read_tail(&plan) {
            Some(records) => {
                self.shared.metrics.tail_cache_hit(records.len() as u64);
                Source::Memory(records)
            }
            None => {
                self.shared.metrics.tail_cache_missed();
                Source::File(plan)
            }
        }
    }

    fn read_chunk(&self, plan: &log::ReadPlan) -> Result<Bytes, String> {
        let _working = self.health.working(self.now());
        plan.read().map_err(|error| {
            self.read_failed(&error);
            error.to_string()
        })
    }

    /// A refusal of what goes on from this position.
    fn refuse(&self, leader_epoch: LeaderEpoch, position: Offset, refusal: Refusal) -> Chunk {
        let asked = Position {
            topic_id: bytes::Bytes::copy_from_slice(&self.id.topic_id.0),
            partition: self.id.partition.0,
            leader_epoch: leader_epoch.0,
            offset: position.0,
            ..Position::default()
        };
        self.refusal(&asked, refusal)
    }

    /// The controller's answer to a proposal.
    pub fn isr_answered(
        self: &Arc<Self>,
        proposed_on: PartitionEpoch,
        leader_epoch: LeaderEpoch,
        answer: AlterPartitionAnswer,
    ) {
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        let Role::Leading(leader) = &mut state.role else { return };
        if leader.leader_epoch() != leader_epoch {
            return;
        }
        let mut effects = Vec::new();
        leader.alter_partition_answered(now, proposed_on, answer, &mut effects);
        self.run_leader_effects(state, effects);
        self.note_deadline(state);
    }

    /// Starts a sync of a synced topic's log unless one is under way. Appends that come meanwhile
    /// share the one after it (group commit).
    pub(super) fn start_sync(self: &Arc<Self>, state: &mut State) {
        if std::mem::replace(&mut state.is_syncing, true) {
            return;
        }
        let partition = self.clone();
        self.shared.tasks.spawn(async move {
            loop {
                // Those who can append at once do it before the sync begins, not after: it costs
                // the disk the same for all of them. On a disk that syncs fast this doubles what a
                // sync covers (31 of 64 writers before, 60 since; the log's bench `sync`).
                tokio::task::yield_now().await;
                let log = partition.log.clone();
                // Nobody waits for what is synced by the way.
                let awaited = partition.is_synced();
                // The time until there is a place is no time of the disk's.
                let place = partition.health.rooms.work.enter().await;
                let working = awaited.then(|| partition.health.working(partition.now()));
                let synced = place.blocking(move || log.sync().map(|_| ())).await;
                drop(working);
                if synced.as_ref().is_err_and(log::LogDirError::is_no_space) {
                    // Nothing was synced and nothing is lost: a descriptor comes free.
                    tokio::time::sleep(SYNC_RETRY).await;
                    continue;
                }
                if !partition.sync_done(synced) {
                    return;
                }
            }
        });
    }

    /// Tells the machine what is durable; true if more was appended during the sync.
    fn sync_done(self: &Arc<Self>, synced: Result<(), log::LogDirError>) -> bool {
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        if let Err(error) = synced {
            tracing::error!(partition = %self.name, %error, "sync failed");
            self.shared.failures.push(&error);
            state.is_syncing = false;
            return false;
        }
        // As it is now, under the lock: since the sync ended, the log may have been truncated, and
        // other records, not synced, may stand where the synced ones stood.
        let offset = self.log.lock().synced_offset();
        match &mut state.role {
            Role::Leading(leader) => {
                let mut effects = Vec::new();
                leader.durable(now, offset, &mut effects);
                self.run_leader_effects(state, effects);
            }
            Role::Following(follower, link) => {
                let mut effects = Vec::new();
                follower.durable(offset, &mut effects);
                let link = link.clone();
                self.run_follower_effects(state, &link, effects, None);
            }
            Role::Idle => {}
        }
        let has_more = {
            let log = self.log.lock();
            log.end_offset() > offset && (self.is_synced() || log.wants_flush())
        };
        state.is_syncing = has_more;
        has_more
    }
}

/// The leader's machine and what it sends to this session, if both are still there.
fn subscribed<'a>(
    state: &'a mut State,
    session: &Session,
) -> Option<(&'a Leader, &'a mut Subscription)> {
    let Role::Leading(leader) = &state.role else { return None };
    let subscription = state
        .subscriptions
        .get_mut(&session.follower)
        .filter(|s| std::ptr::eq(&*s.session, session))?;
    Some((leader, subscription))
}

/// Where a chunk's records come from.
enum Source {
    Nothing,
    Memory(Bytes),
    File(log::ReadPlan),
}

type PlannedChunk = (Source, OutgoingChunk);

fn plan_chunk(
    partition: &Partition,
    leader: &Leader,
    subscription: &mut Subscription,
    bytes_max: usize,
) -> Option<PlannedChunk> {
    let mut log = partition.log.lock();
    let end_offset = log.end_offset();
    let position = subscription.next_offset;
    let chunk = OutgoingChunk {
        leader_epoch: leader.leader_epoch(),
        position,
        records: Bytes::new(),
        high_watermark: leader.high_watermark(),
        log_start_offset: log.start_offset(),
        has_more: false,
    };
    let is_known = subscription.sent_high_watermark == chunk.high_watermark
        && subscription.sent_log_start == chunk.log_start_offset;
    if position >= end_offset && is_known && !subscription.must_answer {
        return None;
    }
    let mut source = Source::Nothing;
    if position < end_offset {
        match log.read_plan(position, end_offset, bytes_max, true) {
            Ok(plan) => source = partition.source(&mut log, plan),
            // The log has told of it once; the follower waits until this replica is repaired.
            Err(ReadError::Damaged { .. }) => return None,
            Err(error @ (ReadError::OutOfRange { .. } | ReadError::Io(_))) => {
                tracing::error!(partition = %partition.name, %error, "cannot plan a chunk");
                return None;
            }
        }
    }
    subscription.must_answer = false;
    subscription.sent_high_watermark = chunk.high_watermark;
    subscription.sent_log_start = chunk.log_start_offset;
    Some((source, chunk))
}

/// The answer to a follower where the disk hangs: it asks again.
fn hangs(asked: &Position) -> Chunk {
    let code = Refusal::Storage.code().unwrap_or(ErrorCode::UnknownServerError);
    Chunk {
        topic_id: asked.topic_id.clone(),
        partition: asked.partition,
        leader_epoch: asked.leader_epoch,
        position: asked.offset,
        error_code: i32::from(i16::from(code)),
        ..Chunk::default()
    }
}
