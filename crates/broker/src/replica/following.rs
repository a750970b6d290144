//! A partition that this broker follows: chunks from the leader, truncation, positions.

use super::fetcher::FollowLink;
use super::partition::{Partition, Role, State};
use bytes::Bytes;
use env::{Mutant, mutant};
use log::AppendError;
use replication::{
    Chunk, Divergence, FollowerEffect, FollowerLog, Refusal, epoch_batches_to_append,
};
use rpc::replica as wire;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{EpochOffset, ErrorCode, LeaderEpoch, NodeId, Offset};

impl Partition {
    /// A chunk from a leader's stream.
    pub fn chunk_received(self: &Arc<Self>, from: NodeId, chunk: wire::Chunk) {
        if self.is_silent() {
            return;
        }
        let _working = self.health.working(self.now());
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        let Role::Following(follower, link) = &mut state.role else { return };
        if follower.role().leader != from {
            return;
        }
        let facts = self.facts(&chunk);
        if let Some(refusal) = facts.refusal {
            tracing::debug!(partition = %self.name, %from, ?refusal, "position refused");
        }
        let mut effects = Vec::new();
        follower.chunk(now, &facts, &mut effects);
        let link = link.clone();
        self.run_follower_effects(state, &link, effects, Some(&chunk.records));
        self.note_deadline(state);
    }

    /// The stream to the leader opened: says where it stands.
    pub fn stream_opened(self: &Arc<Self>, from: NodeId) {
        if self.is_stuck() {
            return;
        }
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        let Role::Following(follower, link) = &mut state.role else { return };
        if follower.role().leader != from {
            return;
        }
        let mut effects = Vec::new();
        follower.stream_opened(now, &mut effects);
        let link = link.clone();
        self.run_follower_effects(state, &link, effects, None);
        self.note_deadline(state);
    }

    /// The stream to the leader broke.
    pub fn stream_broken(&self, from: NodeId) {
        if self.is_stuck() {
            return;
        }
        let mut state = self.lock();
        if let Role::Following(follower, _) = &mut state.role
            && follower.role().leader == from
        {
            follower.stream_broken();
            self.note_deadline(&state);
        }
    }

    /// The disk is well again: says where it stands, to those who have counted without it.
    pub(super) fn follow_anew(self: &Arc<Self>) {
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        match &mut state.role {
            Role::Following(follower, link) => {
                let mut effects = Vec::new();
                follower.stream_broken();
                if link.is_open() {
                    follower.stream_opened(now, &mut effects);
                }
                let link = link.clone();
                self.run_follower_effects(state, &link, effects, None);
            }
            Role::Leading(_) => {
                for subscription in state.subscriptions.values() {
                    subscription.session.mark_dirty(self.id);
                }
            }
            Role::Idle => {}
        }
        self.note_deadline(state);
    }

    fn facts(&self, chunk: &wire::Chunk) -> Chunk {
        let refusal = match i16::try_from(chunk.error_code) {
            Ok(0) => None,
            Ok(code) => {
                let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
                Some(Refusal::from_code(code))
            }
            Err(_) => Some(Refusal::NotLeaderOrFollower),
        };
        let divergence = chunk.diverging.as_ref().map(|end| {
            let leader =
                EpochOffset { epoch: LeaderEpoch(end.epoch), offset: Offset(end.end_offset) };
            Divergence { leader, own: self.epoch_end(leader.epoch) }
        });
        Chunk {
            leader_epoch: LeaderEpoch(chunk.leader_epoch),
            position: Offset(chunk.position),
            has_records: !chunk.records.is_empty(),
            high_watermark: Offset(chunk.high_watermark),
            log_start_offset: Offset(chunk.log_start_offset),
            refusal,
            divergence,
        }
    }

    /// Runs effects until none is left; what the log does is told to the machine at once.
    pub(super) fn run_follower_effects(
        self: &Arc<Self>,
        state: &mut State,
        link: &Arc<FollowLink>,
        effects: Vec<FollowerEffect>,
        records: Option<&Bytes>,
    ) {
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let mut more = Vec::new();
            match effect {
                FollowerEffect::SendPosition {
                    leader_epoch,
                    offset,
                    last_epoch,
                    log_start_offset,
                    restart,
                } => {
                    let position = wire::Position {
                        topic_id: Bytes::copy_from_slice(&self.id.topic_id.0),
                        partition: self.id.partition.0,
                        leader_epoch: leader_epoch.0,
                        offset: offset.0,
                        last_epoch: last_epoch.0,
                        log_start_offset: log_start_offset.0,
                        restart,
                        partition_epoch: self.partition_epoch.load(Ordering::Acquire),
                    };
                    self.send_position(link, position);
                }
                FollowerEffect::AppendChunk { leader_epoch } => {
                    let records = records.cloned().unwrap_or_default();
                    self.append_chunk(state, leader_epoch, &records, &mut more);
                }
                FollowerEffect::TruncateTo(offset) => {
                    tracing::info!(partition = %self.name, %offset, "log truncated to its leader's");
                    let offset = match mutant::is(Mutant::NoTruncation) {
                        true => self.log.lock().end_offset(),
                        false => offset,
                    };
                    let done = self.log.lock().truncate_to(offset);
                    self.truncated(state, done, &mut more);
                }
                FollowerEffect::TruncateFullyAndStartAt(offset) => {
                    tracing::warn!(
                        partition = %self.name, %offset, "log replaced: its leader's starts later"
                    );
                    let done = self.log.lock().truncate_fully_and_start_at(offset);
                    self.truncated(state, done, &mut more);
                }
                FollowerEffect::AdvanceLogStart(offset) => {
                    self.log.lock().advance_start_offset(offset);
                    self.metrics.log_start(offset);
                    self.report_log_start(state, link);
                }
                FollowerEffect::SetHighWatermark(offset) => {
                    self.log.lock().set_high_watermark(offset);
                    self.metrics.high_watermark(offset);
                    state.wake_fetches();
                }
            }
            queue.extend(more);
        }
    }

    fn send_position(&self, link: &FollowLink, position: wire::Position) {
        if self.is_silent() {
            return;
        }
        // A synced replica may count for the leader with what it says here.
        if position.restart && self.is_synced() && !self.sync_before_restart() {
            return;
        }
        if position.restart {
            let (leader, leader_epoch, offset) =
                (link.leader, position.leader_epoch, position.offset);
            tracing::debug!(
                partition = %self.name, %leader, %leader_epoch, %offset, "asks anew"
            );
        }
        link.send(position);
    }

    /// Syncs the whole log; on a failure nothing is said, and the machine asks again by itself.
    fn sync_before_restart(&self) -> bool {
        match self.log.lock().flush() {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "cannot sync");
                self.shared.failures.push(&error);
                false
            }
        }
    }

    /// Tells the leader of a new log start (DeleteRecords waits for it). Progress of the log goes
    /// by the machine's own positions: here it is what is durable where that is what counts.
    fn report_log_start(&self, state: &State, link: &FollowLink) {
        if self.is_silent() {
            return;
        }
        let Role::Following(follower, _) = &state.role else { return };
        let facts = follower.log();
        let log = self.log.lock();
        let offset = match self.is_synced() {
            true => log.synced_offset().min(facts.end_offset),
            false => facts.end_offset,
        };
        link.send(wire::Position {
            topic_id: Bytes::copy_from_slice(&self.id.topic_id.0),
            partition: self.id.partition.0,
            leader_epoch: follower.role().leader_epoch.0,
            offset: offset.0,
            last_epoch: facts.last_epoch.0,
            log_start_offset: log.start_offset().0,
            restart: false,
            partition_epoch: self.partition_epoch.load(Ordering::Acquire),
        });
    }

    fn append_chunk(
        self: &Arc<Self>,
        state: &mut State,
        leader_epoch: LeaderEpoch,
        records: &Bytes,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let now = self.now();
        let wall = self.shared.env.clock.wall();
        let (fitting, unfit) = batches_of_epoch(records, leader_epoch);
        let has_future = unfit.is_none() && fitting.len() < records.len();
        let (end_offset, refused) = {
            let mut log = self.log.lock();
            let refused = log.append_as_follower(&fitting, wall).err();
            (log.end_offset(), refused.or(unfit.map(AppendError::Corrupt)))
        };
        let last_epoch = self.last_record_epoch();
        let Role::Following(follower, _) = &mut state.role else { return };
        let has_moved = end_offset > follower.log().end_offset;
        if has_moved {
            // Also where only some of it is in: what is asked for next is what was refused.
            self.metrics.log_end(end_offset);
            follower.appended(now, end_offset, last_epoch, effects);
        }
        match &refused {
            None => self.topic_metrics.replicated_in(fitting.len() as u64),
            Some(error) => {
                tracing::error!(partition = %self.name, %error, "cannot append from the leader");
                if let AppendError::Io(error) = error {
                    self.shared.failures.push(error);
                }
            }
        }
        if has_future {
            tracing::debug!(partition = %self.name, %leader_epoch, "batches of a later epoch");
        }
        if !has_moved || has_future || refused.is_some() {
            // Asks again: a leader that is asked twice for the same looks at what it has.
            follower.failed(now);
        }
        let is_stale = matches!(refused, Some(AppendError::StaleLeaderEpoch { .. })) && !has_moved;
        if is_stale && state.stale_chunks.are_too_many(leader_epoch, end_offset) {
            self.blame_own_epoch(end_offset.plus(-1));
        }
        if has_moved && (self.is_synced() || self.log.lock().wants_flush()) {
            self.start_sync(state);
        }
    }

    fn truncated(
        &self,
        state: &mut State,
        done: Result<(), log::LogDirError>,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let now = self.now();
        let log = self.follower_log();
        let Role::Following(follower, _) = &mut state.role else { return };
        match done {
            Ok(()) => follower.truncated(now, log, effects),
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "cannot truncate");
                self.shared.failures.push(&error);
                follower.failed(now);
            }
        }
    }

    /// The log as the follower's machine sees it.
    pub(super) fn follower_log(&self) -> FollowerLog {
        let last_epoch = self.last_record_epoch();
        let log = self.log.lock();
        FollowerLog {
            start_offset: log.start_offset(),
            end_offset: log.end_offset(),
            last_epoch,
            high_watermark: log.high_watermark(),
        }
    }

    /// The epoch that wrote the last record. Not the newest epoch that the log knows: that may be
    /// one in which this broker led and wrote nothing, which no other leader has heard of.
    fn last_record_epoch(&self) -> LeaderEpoch {
        let log = self.log.lock();
        if log.end_offset() <= log.start_offset() {
            return LeaderEpoch::NONE;
        }
        log.epoch_at(log.end_offset().plus(-1)).unwrap_or(LeaderEpoch::NONE)
    }
}

/// The leading batches of a chunk that the leader of this epoch may have written (KAFKA-18723), and
/// what is wrong with the one after them if it is no batch.
fn batches_of_epoch(
    records: &Bytes,
    leader_epoch: LeaderEpoch,
) -> (Bytes, Option<records::BatchError>) {
    let mut epochs = Vec::new();
    let mut ends = Vec::new();
    let mut end = 0;
    let mut unfit = None;
    for batch in records::batches(records) {
        let header = match batch {
            Ok(batch) => batch.header,
            Err(error) => {
                unfit = Some(error);
                break;
            }
        };
        end += header.size();
        epochs.push(header.leader_epoch);
        ends.push(end);
    }
    let parsed = epochs.len();
    let count = epoch_batches_to_append(leader_epoch, epochs);
    let fitting = if count == 0 { Bytes::new() } else { records.slice(..ends[count - 1]) };
    (fitting, unfit.filter(|_| count == parsed))
}

/// How often one leader's batches were older than what this log ends with, from the same offset.
#[derive(Default)]
pub(super) struct StaleChunks {
    at: Option<(LeaderEpoch, Offset)>,
    times: u32,
}

impl StaleChunks {
    /// By then, some five seconds, a leader that was wrong itself has found that out (it looks when
    /// asked again) and no longer sends what it has there: it is this log whose last epoch is wrong.
    const TIMES_MAX: u32 = 50;

    /// Takes note of one more.
    fn are_too_many(&mut self, leader_epoch: LeaderEpoch, offset: Offset) -> bool {
        let at = Some((leader_epoch, offset));
        self.times = if self.at == at { self.times.saturating_add(1) } else { 1 };
        self.at = at;
        self.times >= StaleChunks::TIMES_MAX
    }
}
