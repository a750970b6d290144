//! [`Follower`] itself.

use super::chunk::{Chunk, Divergence};
use super::effect::FollowerEffect;
use crate::divergence::truncation_point;
use crate::refusal::Refusal;
use std::time::Duration;
use types::{LeaderEpoch, Monotonic, NodeId, Offset};

/// How long a follower waits after a refusal before it says again where it stands
/// (Kafka's `replica.fetch.backoff.ms` is 1 s; a stream costs less than a fetch).
const PAUSE: Duration = Duration::from_millis(100);
/// The same after FENCED_LEADER_EPOCH: newer metadata is on its way, and ends the pause early.
const FENCED_PAUSE: Duration = Duration::from_secs(1);
/// How long the answer to a restart may take before it is asked for again. A chunk may wait behind
/// other partitions' data, and asking twice costs a repeated chunk: longer than any usual queue.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Whom a follower follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerRole {
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
}

/// The follower's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FollowerLog {
    pub start_offset: Offset,
    pub end_offset: Offset,
    /// Epoch of the last record; -1 for an empty log.
    pub last_epoch: LeaderEpoch,
    pub high_watermark: Offset,
}

/// What the follower waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// For a stream to its leader.
    Disconnected,
    /// For the first chunk after a restart, until then; chunks that do not fit are leftovers.
    Restarting(Monotonic),
    /// For the next chunk.
    Following,
    /// For the shell's append of a chunk with this watermark and log start.
    Appending { high_watermark: Offset, log_start_offset: Offset },
    /// For the shell's truncation.
    Truncating,
    /// For a moment, before it asks again.
    Paused(Monotonic),
}

/// One partition's follower.
#[derive(Clone, Debug)]
pub struct Follower {
    role: FollowerRole,
    log: FollowerLog,
    state: State,
    synced: bool,
}

impl Follower {
    /// Begins to follow. Says nothing until its stream is open.
    pub fn new(role: FollowerRole, log: FollowerLog) -> Follower {
        assert!(
            log.start_offset <= log.end_offset,
            "log of {role:?} ends before it starts: {log:?}"
        );
        let log = FollowerLog { high_watermark: log.high_watermark.min(log.end_offset), ..log };
        Follower { role, log, state: State::Disconnected, synced: false }
    }

    /// `ottla.durability` = `synced`: progress is reported by [`Follower::durable`] alone, and the
    /// shell syncs the log before it sends a position with `restart`.
    pub fn config_changed(&mut self, synced: bool) {
        self.synced = synced;
    }

    /// The stream to the leader is open (again): says where it stands, with a restart.
    pub fn stream_opened(&mut self, now: Monotonic, effects: &mut Vec<FollowerEffect>) {
        self.restart(now, effects);
    }

    /// The stream broke; nothing is sent until it is open again.
    pub fn stream_broken(&mut self) {
        self.state = State::Disconnected;
    }

    /// The metadata image names another leader or leader epoch. An epoch that is not newer is
    /// ignored. `stream_open`: whether the stream to the new leader is open now.
    pub fn leader_changed(
        &mut self,
        now: Monotonic,
        role: FollowerRole,
        stream_open: bool,
        effects: &mut Vec<FollowerEffect>,
    ) {
        if role.leader_epoch <= self.role.leader_epoch {
            return;
        }
        self.role = role;
        self.state = State::Disconnected;
        if stream_open {
            self.restart(now, effects);
        }
    }

    /// A chunk came. The effects of the former chunk are done and reported (else this panics).
    pub fn chunk(&mut self, now: Monotonic, chunk: &Chunk, effects: &mut Vec<FollowerEffect>) {
        assert!(
            !matches!(self.state, State::Appending { .. } | State::Truncating),
            "a chunk of {:?} before the effects of the former one were reported",
            self.role
        );
        let is_open = matches!(self.state, State::Restarting(_) | State::Following);
        if !is_open || chunk.leader_epoch != self.role.leader_epoch {
            return;
        }
        let fits = chunk.position == self.log.end_offset;
        match (chunk.refusal, chunk.divergence) {
            (Some(refusal), _) => self.refused(now, refusal, fits, chunk.log_start_offset, effects),
            (None, Some(divergence)) if fits => self.diverged(divergence, effects),
            (None, None) if fits => self.accepted(chunk, effects),
            (None, Some(_)) => self.ask_again(now, effects),
            (None, None) if chunk.position > self.log.end_offset => self.ask_again(now, effects),
            // It repeats what is here already.
            (None, None) => {}
        }
    }

    /// The append that was asked for is done; the log is now like this (nothing may have been
    /// appended, if all batches were dropped).
    pub fn appended(
        &mut self,
        now: Monotonic,
        end_offset: Offset,
        last_epoch: LeaderEpoch,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let has_moved = end_offset > self.log.end_offset;
        assert!(end_offset >= self.log.end_offset, "an append took {:?} back", self.log);
        self.log.end_offset = end_offset;
        self.log.last_epoch = last_epoch;
        let State::Appending { high_watermark, log_start_offset } = self.state else {
            return;
        };
        if !has_moved {
            // Every batch was of a later epoch: this leader is not the one we follow any more.
            self.state = State::Paused(now + PAUSE);
            return;
        }
        self.state = State::Following;
        self.follow_watermarks(high_watermark, log_start_offset, effects);
        if !self.synced {
            effects.push(self.position(self.log.end_offset, false));
        }
    }

    /// The log is synced up to here. Only needed for `synced` topics.
    pub fn durable(&mut self, offset: Offset, effects: &mut Vec<FollowerEffect>) {
        let is_following = matches!(self.state, State::Following | State::Appending { .. });
        if self.synced && is_following {
            effects.push(self.position(offset.min(self.log.end_offset), false));
        }
    }

    /// The truncation that was asked for is done; the log is now like this.
    pub fn truncated(
        &mut self,
        now: Monotonic,
        log: FollowerLog,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let is_unchanged =
            (log.end_offset, log.last_epoch) == (self.log.end_offset, self.log.last_epoch);
        self.log = FollowerLog { high_watermark: log.high_watermark.min(log.end_offset), ..log };
        if self.state != State::Truncating {
            return;
        }
        if is_unchanged {
            // The same question would get the same answer; do not ask it in a loop.
            self.state = State::Paused(now + PAUSE);
        } else {
            self.restart(now, effects);
        }
    }

    /// The append or truncation failed without harm to the log (bad checksum, say): asks again
    /// after a pause.
    pub fn failed(&mut self, now: Monotonic) {
        if self.state != State::Disconnected {
            self.state = State::Paused(now + PAUSE);
        }
    }

    /// The local log start moved by itself (retention).
    pub fn log_start_moved(&mut self, offset: Offset) {
        self.log.start_offset = self.log.start_offset.max(offset).min(self.log.end_offset);
    }

    /// Time has passed: asks again if a pause is over.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<FollowerEffect>) {
        if now >= self.next_deadline() {
            self.restart(now, effects);
        }
    }

    /// When [`Follower::tick`] next has something to do; `Monotonic::NEVER` if nothing is due.
    pub fn next_deadline(&self) -> Monotonic {
        match self.state {
            State::Restarting(until) | State::Paused(until) => until,
            State::Disconnected
            | State::Following
            | State::Appending { .. }
            | State::Truncating => Monotonic::NEVER,
        }
    }

    pub fn role(&self) -> FollowerRole {
        self.role
    }

    pub fn log(&self) -> FollowerLog {
        self.log
    }

    /// Whether the leader has accepted this follower's position and sends records.
    pub fn is_following(&self) -> bool {
        matches!(self.state, State::Following | State::Appending { .. })
    }

    /// Something does not fit where this log ends now: ask, but once, since every leftover of the
    /// broken flow would ask too.
    fn ask_again(&mut self, now: Monotonic, effects: &mut Vec<FollowerEffect>) {
        if self.state == State::Following {
            self.restart(now, effects);
        }
    }

    fn refused(
        &mut self,
        now: Monotonic,
        refusal: Refusal,
        fits: bool,
        leader_start: Offset,
        effects: &mut Vec<FollowerEffect>,
    ) {
        match refusal {
            Refusal::FencedLeaderEpoch => self.state = State::Paused(now + FENCED_PAUSE),
            Refusal::OffsetOutOfRange if !fits => self.ask_again(now, effects),
            Refusal::OffsetOutOfRange if self.must_start_anew(leader_start) => {
                self.state = State::Truncating;
                effects.push(FollowerEffect::TruncateFullyAndStartAt(leader_start));
            }
            Refusal::OffsetOutOfRange
            | Refusal::UnknownLeaderEpoch
            | Refusal::NotLeaderOrFollower
            | Refusal::UnknownPartition
            | Refusal::Storage
            | Refusal::Diverging(_) => self.state = State::Paused(now + PAUSE),
        }
    }

    /// The leader has nothing that continues this log: it starts above the log's end, or this log
    /// is empty and stands beyond the leader's end, where no epoch can tell.
    fn must_start_anew(&self, leader_start: Offset) -> bool {
        let is_empty = self.log.last_epoch < LeaderEpoch(0);
        leader_start > self.log.end_offset || (is_empty && leader_start < self.log.end_offset)
    }

    fn diverged(&mut self, divergence: Divergence, effects: &mut Vec<FollowerEffect>) {
        let point = truncation_point(divergence.leader, divergence.own, self.log.end_offset);
        self.state = State::Truncating;
        effects.push(FollowerEffect::TruncateTo(point.max(self.log.start_offset)));
    }

    fn accepted(&mut self, chunk: &Chunk, effects: &mut Vec<FollowerEffect>) {
        if chunk.has_records {
            self.state = State::Appending {
                high_watermark: chunk.high_watermark,
                log_start_offset: chunk.log_start_offset,
            };
            effects.push(FollowerEffect::AppendChunk { leader_epoch: self.role.leader_epoch });
        } else {
            self.state = State::Following;
            self.follow_watermarks(chunk.high_watermark, chunk.log_start_offset, effects);
        }
    }

    /// The watermark goes up only: what was below it was committed, and a new leader that has not
    /// learned so yet has those records all the same (a truncation takes it back if not).
    fn follow_watermarks(
        &mut self,
        leader_high_watermark: Offset,
        leader_log_start: Offset,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let high_watermark = leader_high_watermark.min(self.log.end_offset);
        if high_watermark > self.log.high_watermark {
            self.log.high_watermark = high_watermark;
            effects.push(FollowerEffect::SetHighWatermark(high_watermark));
        }
        let log_start = leader_log_start.min(self.log.high_watermark);
        if log_start > self.log.start_offset {
            self.log.start_offset = log_start;
            effects.push(FollowerEffect::AdvanceLogStart(log_start));
        }
    }

    fn restart(&mut self, now: Monotonic, effects: &mut Vec<FollowerEffect>) {
        self.state = State::Restarting(now + ANSWER_TIME_MAX);
        effects.push(self.position(self.log.end_offset, true));
    }

    fn position(&self, offset: Offset, restart: bool) -> FollowerEffect {
        FollowerEffect::SendPosition {
            leader_epoch: self.role.leader_epoch,
            offset,
            last_epoch: self.log.last_epoch,
            log_start_offset: self.log.start_offset,
            restart,
        }
    }
}
