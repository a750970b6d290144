//! [`Leader`] itself.

use super::acks::{Acks, NotEnoughReplicas};
use super::effect::{IsrMember, IsrProposal, LeaderEffect, WaitOutcome};
use super::followers::{FollowerPosition, FollowerView, Progress};
use super::isr::{AlterPartitionAnswer, Isr};
use super::pace::SlowLimit;
use super::role::{BrokerState, LeaderConfig, LeaderLog, LeaderRole, PartitionChange};
use super::waits::{WaitToken, Waits};
use crate::divergence::diverges;
use crate::mutant::Mutant;
use crate::refusal::{Refusal, check_leader_epoch};
use std::collections::BTreeMap;
use types::{BrokerEpoch, LeaderEpoch, Monotonic, NodeId, Offset, PartitionEpoch};

/// How many times the least time that makes a follower slow its habit may extend that. What waits
/// for it must be answered within the time that clients wait.
const HABIT_TIMES_MAX: u32 = 4;
/// How often a follower is looked at in the least time that makes it slow.
const SLOW_CHECKS: u32 = 5;

/// One partition's leader in one leader epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    id: NodeId,
    leader_epoch: LeaderEpoch,
    /// Only the replicas' brokers.
    brokers: BTreeMap<NodeId, BrokerState>,
    replicas: Vec<NodeId>,
    /// One for every replica but this one, in the order of the replicas.
    followers: Vec<Progress>,
    isr: Isr,
    log: LeaderLog,
    epoch_start_offset: Offset,
    config: LeaderConfig,
    waits: Waits,
    /// When the ISR is next looked through for followers that lag (Kafka's half of the lag time).
    next_lag_check: Monotonic,
    /// When followers that keep produces waiting are looked for.
    next_slow_check: Monotonic,
    /// The time of the last input.
    now: Monotonic,
    mutant: Option<Mutant>,
}

impl Leader {
    /// Begins to lead. ISR members count as caught up now, others as never (they must be heard
    /// first). Effects: a watermark move, if this leader alone decides it.
    pub fn new(
        role: LeaderRole,
        log: LeaderLog,
        config: LeaderConfig,
        now: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) -> Leader {
        assert!(role.replicas.contains(&role.id), "{} leads what it has no replica of", role.id);
        assert!(log.start_offset <= log.end_offset, "log ends before it starts: {log:?}");
        let mut leader = Leader {
            id: role.id,
            leader_epoch: role.leader_epoch,
            brokers: BTreeMap::new(),
            followers: Vec::new(),
            isr: Isr::new(role.isr, role.partition_epoch),
            log: LeaderLog { high_watermark: log.high_watermark.min(log.end_offset), ..log },
            epoch_start_offset: log.end_offset,
            config,
            waits: Waits::default(),
            next_lag_check: now + config.replica_lag_time_max / 2,
            next_slow_check: now,
            now,
            replicas: Vec::new(),
            mutant: None,
        };
        leader.assign(role.replicas);
        leader.learn_brokers(&role.brokers);
        leader.settle(effects);
        leader
    }

    /// For the simulator's tests of itself.
    #[doc(hidden)]
    pub fn set_mutant(&mut self, mutant: Option<Mutant>) {
        self.mutant = mutant;
    }

    /// For the simulator's tests of itself: [`Mutant::KeepFollowers`].
    #[doc(hidden)]
    pub fn keep_followers(&mut self, former: &Leader) {
        for follower in &mut self.followers {
            let known = former.followers.iter().find(|known| known.broker == follower.broker);
            *follower = known.copied().unwrap_or(*follower);
        }
    }

    /// The local append ended at `end_offset` (page cache). Never below the former end.
    pub fn appended(
        &mut self,
        now: Monotonic,
        end_offset: Offset,
        effects: &mut Vec<LeaderEffect>,
    ) {
        assert!(end_offset >= self.log.end_offset, "an append took {:?} back", self.log);
        self.advance(now);
        for follower in &mut self.followers {
            follower.leader_grows(now, self.log.end_offset, end_offset);
        }
        self.log.end_offset = end_offset;
        self.settle(effects);
    }

    /// The local log is synced up to here. Only needed for `synced` topics.
    pub fn durable(&mut self, now: Monotonic, offset: Offset, effects: &mut Vec<LeaderEffect>) {
        self.advance(now);
        self.log.durable_offset = self.log.durable_offset.max(offset);
        self.settle(effects);
    }

    /// The local log start moved (retention, DeleteRecords).
    pub fn log_start_moved(&mut self, offset: Offset) {
        self.log.start_offset = self.log.start_offset.max(offset);
    }

    /// A follower reports its position. `Ok`: it counts; on a restart send from there, and at once
    /// at least an empty chunk, which tells the follower that it is accepted. `Err`: answer with
    /// the code (and this leader's log start) or the divergence; the position does not count
    /// (KAFKA-13141), and nothing is sent until the follower restarts.
    pub fn position(
        &mut self,
        now: Monotonic,
        position: &FollowerPosition,
        effects: &mut Vec<LeaderEffect>,
    ) -> Result<(), Refusal> {
        self.advance(now);
        self.check_sender(position)?;
        let checked = self.check_offset(position);
        if self.mutant != Some(Mutant::CountDiverging) {
            checked?;
        }
        let leader_end = self.log.end_offset;
        let mut followers = self.followers.iter_mut();
        let Some(follower) = followers.find(|follower| follower.broker == position.broker) else {
            return Err(Refusal::NotLeaderOrFollower);
        };
        if !follower.counts(position) && self.mutant != Some(Mutant::CountOldWord) {
            return if position.restart { Err(Refusal::NotLeaderOrFollower) } else { checked };
        }
        follower.report(now, position, leader_end);
        self.propose_joining(Some(position.broker), effects);
        self.settle(effects);
        checked
    }

    /// A follower's broker said something at that time, of whatever partition: it is alive, and works.
    pub fn broker_heard(&mut self, broker: NodeId, at: Monotonic) {
        let mut followers = self.followers.iter_mut();
        if let Some(follower) = followers.find(|follower| follower.broker == broker) {
            follower.pace.broker_heard(at);
        }
    }

    /// Brokers of the image changed (registered, fenced, unfenced, shutting down). The map holds at
    /// least this partition's replicas, as in [`LeaderRole::brokers`].
    pub fn brokers_changed(
        &mut self,
        now: Monotonic,
        brokers: &BTreeMap<NodeId, BrokerState>,
        effects: &mut Vec<LeaderEffect>,
    ) {
        self.advance(now);
        self.learn_brokers(brokers);
        self.settle(effects);
    }

    /// The image's partition record changed in the same leader epoch, with this broker still its
    /// leader. An epoch that is not newer than what this leader has is ignored (an AlterPartition
    /// answer may arrive before its metadata).
    pub fn metadata_changed(
        &mut self,
        now: Monotonic,
        change: &PartitionChange,
        effects: &mut Vec<LeaderEffect>,
    ) {
        self.advance(now);
        let former = self.isr.clone();
        if !self.isr.commit(&change.isr, change.partition_epoch) {
            return;
        }
        self.config = change.config;
        self.assign(change.replicas.clone());
        self.expel_removed(&former, effects);
        self.tell_isr(effects);
        self.settle(effects);
    }

    /// Topic settings changed.
    pub fn config_changed(
        &mut self,
        now: Monotonic,
        config: LeaderConfig,
        effects: &mut Vec<LeaderEffect>,
    ) {
        self.advance(now);
        self.config = config;
        self.settle(effects);
    }

    /// The controller's answer to the proposal that rested on `proposed_on`. An answer to another
    /// proposal than the one under way is ignored.
    pub fn alter_partition_answered(
        &mut self,
        now: Monotonic,
        proposed_on: PartitionEpoch,
        answer: AlterPartitionAnswer,
        effects: &mut Vec<LeaderEffect>,
    ) {
        self.advance(now);
        let former = self.isr.clone();
        if self.isr.answered(now, proposed_on, &answer) {
            self.expel_removed(&former, effects);
            self.tell_isr(effects);
        }
        self.settle(effects);
    }

    /// Whether a produce may be appended.
    pub fn admit(&self, acks: Acks) -> Result<(), NotEnoughReplicas> {
        let isr = self.isr.committed().len();
        let min_isr = self.effective_min_isr();
        match acks {
            Acks::All if isr < min_isr => Err(NotEnoughReplicas { isr, min_isr }),
            Acks::All | Acks::Leader | Acks::None => Ok(()),
        }
    }

    /// Parks a produce until the high watermark reaches `offset` (the end, exclusive, of its
    /// records) or `deadline` passes. Completes at once if it is already there. How many waits
    /// there are is bounded by the requests that the shell has in flight.
    pub fn wait_for(
        &mut self,
        offset: Offset,
        token: WaitToken,
        deadline: Monotonic,
        effects: &mut Vec<LeaderEffect>,
    ) {
        self.waits.add(offset, token, deadline);
        self.complete_reached(effects);
    }

    /// Time has passed: expires waits, takes lagging followers out of the ISR, asks again.
    pub fn tick(&mut self, now: Monotonic, effects: &mut Vec<LeaderEffect>) {
        self.advance(now);
        if let Some(proposal) = self.isr.take_retry(now) {
            effects.push(LeaderEffect::ProposeIsr(proposal));
        }
        if now >= self.next_lag_check {
            self.next_lag_check = now + self.config.replica_lag_time_max / 2;
            self.propose_shrunk(effects);
        }
        self.look_for_slow(effects);
        self.settle(effects);
        for token in self.waits.take_expired(now) {
            let outcome = WaitOutcome::TimedOut;
            effects.push(LeaderEffect::Complete { token, outcome });
        }
    }

    /// When [`Leader::tick`] next has something to do; `Monotonic::NEVER` if nothing is due. May
    /// be asked after every input; calling `tick` early or often does no harm.
    pub fn next_deadline(&self) -> Monotonic {
        let end = self.log.end_offset;
        let lags = |follower: &Progress| {
            self.isr.may_contain(follower.broker) && follower.end_offset != end
        };
        // A watermark below the end may wait for a follower's time to pass.
        let is_behind = self.log.high_watermark < end || self.followers.iter().any(lags);
        let lag_check = if is_behind { self.next_lag_check } else { Monotonic::NEVER };
        let resting = self.followers.iter().map(|follower| follower.pace.rest_until);
        let rested = resting.filter(|until| *until > self.now).min().unwrap_or(Monotonic::NEVER);
        let others = self.isr.next_deadline(self.now).min(self.waits.next_deadline());
        lag_check.min(self.slow_check()).min(rested).min(others)
    }

    /// Leadership is over (new leader or epoch, deletion, shutdown): every wait ends with
    /// `NotLeader`. The machine is dropped afterwards.
    pub fn resign(&mut self, effects: &mut Vec<LeaderEffect>) {
        for token in self.waits.take_all() {
            let outcome = WaitOutcome::NotLeader;
            effects.push(LeaderEffect::Complete { token, outcome });
        }
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn config(&self) -> LeaderConfig {
        self.config
    }

    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.isr.partition_epoch()
    }

    pub fn high_watermark(&self) -> Offset {
        self.log.high_watermark
    }

    pub fn end_offset(&self) -> Offset {
        self.log.end_offset
    }

    /// Where this leader epoch starts: the log end when this leader began.
    pub fn epoch_start_offset(&self) -> Offset {
        self.epoch_start_offset
    }

    /// Whether ListOffsets "latest" may be answered: until the high watermark has reached the start
    /// of this epoch the answer is OFFSET_NOT_AVAILABLE, since it could seem to go back (KIP-207).
    pub fn is_latest_offset_known(&self) -> bool {
        self.log.high_watermark >= self.epoch_start_offset
    }

    /// The high watermark as readers may be told it: `None` until the start of this epoch is
    /// covered, since what leaders of earlier epochs told may be more than this one knows of yet. What
    /// lies below [`Leader::high_watermark`] may be read all the same.
    pub fn told_high_watermark(&self) -> Option<Offset> {
        let is_known = self.is_latest_offset_known() || self.mutant == Some(Mutant::TellEarly);
        is_known.then_some(self.log.high_watermark)
    }

    /// The committed ISR.
    pub fn isr(&self) -> &[NodeId] {
        self.isr.committed()
    }

    /// The ISR that the controller may have at most: what acks=all must satisfy.
    pub fn maximal_isr(&self) -> Vec<NodeId> {
        self.replicas.iter().copied().filter(|id| self.isr.may_contain(*id)).collect()
    }

    pub fn replicas(&self) -> &[NodeId] {
        &self.replicas
    }

    /// min(`min.insync.replicas`, number of replicas), at least 1.
    pub fn effective_min_isr(&self) -> usize {
        if self.mutant == Some(Mutant::MinIsrAboveReplicas) {
            return self.config.min_insync_replicas;
        }
        self.config.min_insync_replicas.min(self.replicas.len()).max(1)
    }

    pub fn is_under_min_isr(&self) -> bool {
        self.isr.committed().len() < self.effective_min_isr()
    }

    /// The smallest log start of the replicas whose brokers are live (DeleteRecords' answer).
    pub fn low_watermark(&self) -> Offset {
        let is_live = |id: &NodeId| self.brokers.get(id).is_some_and(|broker| !broker.fenced);
        let live = self.followers.iter().filter(|follower| is_live(&follower.broker));
        live.map(|follower| follower.log_start_offset).fold(self.log.start_offset, Offset::min)
    }

    /// Every follower, in the order of the replicas.
    pub fn followers(&self) -> Vec<FollowerView> {
        let view = |follower: &Progress| FollowerView {
            broker: follower.broker,
            end_offset: follower.end_offset,
            log_start_offset: follower.log_start_offset,
            in_isr: self.isr.committed().contains(&follower.broker),
        };
        self.followers.iter().map(view).collect()
    }

    fn advance(&mut self, now: Monotonic) {
        assert!(now >= self.now, "time went back from {:?} to {now:?}", self.now);
        self.now = now;
    }

    fn assign(&mut self, replicas: Vec<NodeId>) {
        let former = std::mem::take(&mut self.followers);
        for broker in replicas.iter().copied().filter(|broker| *broker != self.id) {
            let known = former.iter().find(|follower| follower.broker == broker).copied();
            let in_isr = self.isr.committed().contains(&broker);
            self.followers.push(known.unwrap_or(Progress::new(broker, in_isr, self.now)));
        }
        self.replicas = replicas;
    }

    /// When the controller changes a partition by itself, it has a reason: a broker fell silent, is
    /// stopping, or a log directory of it failed. Whoever is not in the ISR then may be the one.
    /// What those reported before is forgotten, or one whose log is gone would be proposed at
    /// once, and hold the watermark besides. After a change that this leader proposed, that holds
    /// for those alone that left: the controller's own removal of the same looks the same.
    fn expel_removed(&mut self, former: &Isr, effects: &mut Vec<LeaderEffect>) {
        if self.mutant == Some(Mutant::KeepExpelled) {
            return;
        }
        let is_own = former.foresaw(&self.isr);
        let since = self.isr.partition_epoch();
        let is_member = |isr: &Isr, id| isr.committed().contains(&id);
        for follower in &mut self.followers {
            let id = follower.broker;
            if !is_member(&self.isr, id) && (!is_own || is_member(former, id)) {
                follower.expel(since);
                effects.push(LeaderEffect::AskAnew(id));
            }
        }
    }

    /// A follower heard under an older registration than the image's has started anew since, maybe
    /// without part of its log.
    fn learn_brokers(&mut self, brokers: &BTreeMap<NodeId, BrokerState>) {
        let is_replica = |id: &NodeId| self.replicas.contains(id);
        self.brokers = brokers
            .iter()
            .filter(|(id, _)| is_replica(id))
            .map(|(id, broker)| (*id, *broker))
            .collect();
        for follower in &mut self.followers {
            let known = self.brokers.get(&follower.broker);
            let is_older = known.is_some_and(|broker| follower.broker_epoch < broker.epoch);
            if follower.is_heard() && is_older && self.mutant != Some(Mutant::AnyBrokerEpoch) {
                follower.forget_log();
            }
        }
    }

    fn check_sender(&self, position: &FollowerPosition) -> Result<(), Refusal> {
        if self.mutant != Some(Mutant::AnyLeaderEpoch) {
            check_leader_epoch(Some(position.leader_epoch), self.leader_epoch)?;
        }
        let Some(follower) = self.followers.iter().find(|f| f.broker == position.broker) else {
            return Err(Refusal::NotLeaderOrFollower);
        };
        let in_image = self.brokers.get(&position.broker).map(|broker| broker.epoch);
        let newest = follower.broker_epoch.max(in_image.unwrap_or(BrokerEpoch::NONE));
        if position.broker_epoch < newest && self.mutant != Some(Mutant::AnyBrokerEpoch) {
            return Err(Refusal::NotLeaderOrFollower);
        }
        Ok(())
    }

    /// The log start goes first: below it no epoch says anything (as Kafka orders it).
    fn check_offset(&self, position: &FollowerPosition) -> Result<(), Refusal> {
        let is_below = position.offset < self.log.start_offset;
        let is_unexplained = position.last_epoch >= LeaderEpoch(0) && position.epoch_end.is_none();
        if is_below || is_unexplained {
            return Err(Refusal::OffsetOutOfRange);
        }
        if let Some(end) = diverges(position.last_epoch, position.offset, position.epoch_end) {
            return Err(Refusal::Diverging(end));
        }
        if position.offset > self.log.end_offset {
            return Err(Refusal::OffsetOutOfRange);
        }
        Ok(())
    }

    /// What every input ends with: the watermark, then the waits it reaches, then the ISR.
    fn settle(&mut self, effects: &mut Vec<LeaderEffect>) {
        self.advance_high_watermark(effects);
        self.complete_reached(effects);
        self.propose_joining(None, effects);
    }

    fn advance_high_watermark(&mut self, effects: &mut Vec<LeaderEffect>) {
        if self.is_under_min_isr() && self.mutant != Some(Mutant::WatermarkUnderMinIsr) {
            return;
        }
        let counted = self.followers.iter().filter(|follower| self.counts(follower));
        let own = match self.config.synced {
            true => self.log.durable_offset.min(self.log.end_offset),
            false => self.log.end_offset,
        };
        let replicated = counted.map(|follower| follower.end_offset).fold(own, Offset::min);
        if replicated > self.log.high_watermark {
            self.log.high_watermark = replicated;
            effects.push(LeaderEffect::HighWatermark(replicated));
        }
    }

    /// Whether the watermark waits for this follower: it may be in the ISR, or is about to be and
    /// would never get there if the watermark ran ahead of it (KAFKA-15021: unless it cannot join).
    fn counts(&self, follower: &Progress) -> bool {
        if self.mutant == Some(Mutant::WatermarkOverProposedIsr) {
            let proposed = self.isr.proposed();
            let in_proposed = proposed.map(|p| p.isr.iter().any(|m| m.broker == follower.broker));
            return in_proposed.unwrap_or(self.isr.committed().contains(&follower.broker));
        }
        if self.mutant == Some(Mutant::IgnoreUnheard) && !follower.is_heard() {
            return false;
        }
        self.isr.may_contain(follower.broker)
            || (self.is_caught_up(follower) && self.is_eligible(follower))
    }

    fn is_caught_up(&self, follower: &Progress) -> bool {
        follower.is_caught_up(self.now, self.log.end_offset, self.config.replica_lag_time_max)
    }

    /// Registered, neither fenced nor shutting down, heard under the registration in force, and not
    /// resting from its slowness.
    fn is_eligible(&self, follower: &Progress) -> bool {
        let Some(broker) = self.brokers.get(&follower.broker) else { return false };
        let is_same =
            broker.epoch == follower.broker_epoch || self.mutant == Some(Mutant::AnyBrokerEpoch);
        let is_trusted = !broker.fenced && !broker.in_controlled_shutdown
            || self.mutant == Some(Mutant::JoinWhileFenced);
        follower.is_heard() && is_same && is_trusted && !follower.pace.is_resting(self.now)
    }

    /// Reached the watermark and the start of this epoch: below that start there may be records
    /// that were committed before this leader learned so.
    fn has_reached_isr(&self, follower: &Progress) -> bool {
        let has_watermark = follower.end_offset >= self.log.high_watermark
            || self.mutant == Some(Mutant::JoinBelowWatermark);
        let has_epoch_start = follower.end_offset >= self.epoch_start_offset
            || self.mutant == Some(Mutant::JoinBelowEpochStart);
        has_watermark && has_epoch_start
    }

    /// Proposes the followers that may join. One that has just `reported` needs no more than the
    /// conditions; the others must be caught up too, or one that fell silent would rejoin as soon
    /// as it had left, while the watermark stands still.
    fn propose_joining(&mut self, reported: Option<NodeId>, effects: &mut Vec<LeaderEffect>) {
        if !self.isr.can_propose(self.now) {
            return;
        }
        let joins = |follower: &&Progress| {
            !self.isr.committed().contains(&follower.broker)
                && (reported == Some(follower.broker) || self.is_caught_up(follower))
                && self.is_eligible(follower)
                && self.has_reached_isr(follower)
        };
        let joining: Vec<NodeId> = self.followers.iter().filter(joins).map(|f| f.broker).collect();
        if !joining.is_empty() {
            self.propose(|id, leader| joining.contains(&id) || leader.isr.may_contain(id), effects);
        }
    }

    fn propose_shrunk(&mut self, effects: &mut Vec<LeaderEffect>) {
        if !self.isr.can_propose(self.now) {
            return;
        }
        let is_member = |follower: &&Progress| self.isr.committed().contains(&follower.broker);
        let members = self.followers.iter().filter(is_member);
        let lagging: Vec<NodeId> =
            members.filter(|follower| !self.is_caught_up(follower)).map(|f| f.broker).collect();
        if !lagging.is_empty() {
            let stays = |id, leader: &Leader| !lagging.contains(&id) && leader.isr.may_contain(id);
            self.propose(stays, effects);
        }
    }

    fn slow_limit(&self) -> Option<SlowLimit> {
        let lag_time_max = self.config.replica_lag_time_max;
        let min = self.config.slow_follower_max?.min(lag_time_max);
        Some(SlowLimit { min, max: (min * HABIT_TIMES_MAX).min(lag_time_max) })
    }

    /// Only waiting produces make it matter how slow a follower is.
    fn slow_check(&self) -> Monotonic {
        match self.config.slow_follower_max.is_some() && self.waits.first_offset().is_some() {
            true => self.next_slow_check,
            false => Monotonic::NEVER,
        }
    }

    /// Takes followers out of the ISR that keep produces waiting and do not move, while another one
    /// does (or there is no other), and those that stay are enough.
    fn look_for_slow(&mut self, effects: &mut Vec<LeaderEffect>) {
        let Some(limit) = self.slow_limit().filter(|_| self.now >= self.slow_check()) else {
            return;
        };
        let interval = limit.min / SLOW_CHECKS;
        if self.now.since(self.next_slow_check) > interval {
            // Late: this process may have been stopped, and what others sent lie unread.
            self.followers.iter_mut().for_each(|follower| follower.pace.begin_anew(self.now));
        }
        self.next_slow_check = self.now + interval;
        let slow = self.slow_followers(limit);
        if slow.is_empty() || !self.isr.can_propose(self.now) {
            return;
        }
        if self.isr.committed().len() - slow.len() < self.effective_min_isr() {
            self.relieve_slow(effects);
            return;
        }
        for follower in self.followers.iter_mut().filter(|f| slow.contains(&f.broker)) {
            follower.pace.begin_rest(self.now, limit);
            effects.push(LeaderEffect::SlowFollower(follower.broker));
        }
        self.propose(|id, leader| !slow.contains(&id) && leader.isr.may_contain(id), effects);
    }

    fn slow_followers(&self, limit: SlowLimit) -> Vec<NodeId> {
        let Some(wanted) = self.waits.first_offset() else { return Vec::new() };
        if self.config.synced && self.log.durable_offset < wanted {
            // The leader's own disk is no faster.
            return Vec::new();
        }
        let is_member = |follower: &&Progress| self.isr.committed().contains(&follower.broker);
        let members: Vec<&Progress> = self.followers.iter().filter(is_member).collect();
        let is_slow = |follower: &&&Progress| {
            follower.end_offset < wanted
                && follower.pace.is_slow(self.now, follower.is_heard(), limit)
        };
        let slow: Vec<NodeId> = members.iter().filter(is_slow).map(|f| f.broker).collect();
        // Where all of several are slow, it is rather this broker that nobody hears.
        let others_keep_up = slow.len() < members.len() || members.len() == 1;
        if others_keep_up { slow } else { Vec::new() }
    }

    /// Slow ones that are needed may be needed no longer once those that rest and have caught up are
    /// back.
    fn relieve_slow(&mut self, effects: &mut Vec<LeaderEffect>) {
        let (now, end) = (self.now, self.log.end_offset);
        let lag_time_max = self.config.replica_lag_time_max;
        for follower in &mut self.followers {
            if follower.is_caught_up(now, end, lag_time_max) {
                follower.pace.end_rest(now);
            }
        }
        self.propose_joining(None, effects);
    }

    fn propose(
        &mut self,
        is_member: impl Fn(NodeId, &Leader) -> bool,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let members = self.replicas.iter().copied().filter(|id| is_member(*id, self));
        let proposal = IsrProposal {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.isr.partition_epoch(),
            isr: members.map(|broker| self.member(broker)).collect(),
        };
        self.isr.propose(proposal.clone());
        effects.push(LeaderEffect::ProposeIsr(proposal));
    }

    /// A member with the registration it was heard under, else with the image's: if that is out of
    /// date, the controller refuses, as it should.
    fn member(&self, broker: NodeId) -> IsrMember {
        if self.mutant == Some(Mutant::AnyBrokerEpoch) {
            return IsrMember { broker, broker_epoch: BrokerEpoch::NONE };
        }
        let mut followers = self.followers.iter();
        let follower = followers.find(|follower| follower.broker == broker && follower.is_heard());
        let heard = follower.map(|follower| follower.broker_epoch);
        let in_image = self.brokers.get(&broker).map(|state| state.epoch);
        let broker_epoch = heard.or(in_image).unwrap_or(BrokerEpoch::NONE);
        IsrMember { broker, broker_epoch }
    }

    fn complete_reached(&mut self, effects: &mut Vec<LeaderEffect>) {
        let reached = self.waits.take_reached(self.log.high_watermark);
        if reached.is_empty() {
            return;
        }
        let outcome = match self.maximal_isr().len() < self.effective_min_isr() {
            true => WaitOutcome::NotEnoughReplicasAfterAppend,
            false => WaitOutcome::Committed,
        };
        let complete = |token| LeaderEffect::Complete { token, outcome };
        effects.extend(reached.into_iter().map(complete));
    }

    fn tell_isr(&self, effects: &mut Vec<LeaderEffect>) {
        let isr = self.isr.committed().to_vec();
        effects.push(LeaderEffect::IsrChanged { isr, partition_epoch: self.isr.partition_epoch() });
    }
}
