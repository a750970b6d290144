//! The commands of the scripts: `lead` and what a leader hears, `follow` and what a follower hears,
//! `pair` and a run of the two against each other.

use super::model_log::ModelLog;
use super::script::{Command, Runner};
use replication::*;
use std::collections::BTreeMap;
use std::time::Duration;
use types::*;

#[derive(Default)]
pub struct Bench {
    now: u64,
    leader: Option<Leader>,
    leader_log: ModelLog,
    leader_epoch: i32,
    config: Option<LeaderConfig>,
    brokers: BTreeMap<NodeId, BrokerState>,
    follower: Option<Follower>,
    follower_log: ModelLog,
    effects: Vec<String>,
}

fn nodes(ids: Vec<i64>) -> Vec<NodeId> {
    ids.into_iter().map(|id| NodeId(id as i32)).collect()
}

impl Runner for Bench {
    fn run(&mut self, command: &Command) -> Vec<String> {
        match command.name {
            "at" => self.now = command.word(0) as u64,
            "lead" => self.lead(command),
            "append" => self.append(command),
            "durable" => {
                let offset = Offset(command.word(0));
                self.with_leader(|leader, now, effects| leader.durable(now, offset, effects));
            }
            "position" => self.position(command),
            "broker" => self.broker(command),
            "metadata" => self.metadata(command),
            "answer" => self.answer(command),
            "admit" => self.admit(command),
            "wait" => self.wait(command),
            "heard" => {
                let broker = NodeId(command.word(0) as i32);
                self.with_leader(|leader, now, _| leader.broker_heard(broker, now));
            }
            "tick" => self.with_leader(|leader, now, effects| leader.tick(now, effects)),
            "resign" => self.with_leader(|leader, _, effects| leader.resign(effects)),
            "state" => self.state(),
            "follow" => self.follow(command),
            "stream" => self.stream(command),
            "chunk" => self.chunk(command),
            "appended" => self.appended(command),
            "flushed" => {
                let offset = Offset(command.word(0));
                self.with_follower(|follower, _, effects| follower.durable(offset, effects));
            }
            "wake" => {
                self.with_follower(|follower, now, effects| follower.tick(now, effects));
            }
            "leader" => self.new_leader(command),
            "pair" => self.pair(command),
            other => panic!("unknown command {other}"),
        }
        std::mem::take(&mut self.effects)
    }
}

impl Bench {
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_millis(self.now)
    }

    fn say(&mut self, line: impl Into<String>) {
        self.effects.push(line.into());
    }

    fn with_leader(&mut self, act: impl FnOnce(&mut Leader, Monotonic, &mut Vec<LeaderEffect>)) {
        let now = self.monotonic();
        let mut effects = Vec::new();
        act(self.leader.as_mut().expect("lead first"), now, &mut effects);
        self.effects.extend(effects.iter().map(show_leader_effect));
    }

    fn lead(&mut self, command: &Command) {
        let start = command.number("start", 0);
        let runs: Vec<&str> = command.words.clone();
        self.leader_log = ModelLog::parse(&runs, start);
        self.leader_epoch = command.number("epoch", 1) as i32;
        self.leader_log.begin_epoch(self.leader_epoch);
        let replicas = nodes(command.list("replicas"));
        for id in &replicas {
            let epoch = BrokerEpoch(i64::from(id.0) * 10);
            let state = BrokerState { epoch, fenced: false, in_controlled_shutdown: false };
            self.brokers.entry(*id).or_insert(state);
        }
        let role = LeaderRole {
            id: replicas[0],
            leader_epoch: LeaderEpoch(self.leader_epoch),
            partition_epoch: PartitionEpoch(command.number("partition_epoch", 7) as i32),
            isr: nodes(command.list("isr")),
            replicas,
            brokers: self.brokers.clone(),
        };
        let log = LeaderLog {
            start_offset: Offset(start),
            end_offset: self.leader_log.end(),
            durable_offset: Offset(command.number("durable", 0)),
            high_watermark: Offset(command.number("hw", 0)),
        };
        let config = LeaderConfig {
            replica_lag_time_max: Duration::from_millis(command.number("lag", 1000) as u64),
            slow_follower_max: command
                .get("slow")
                .map(|_| Duration::from_millis(command.number("slow", 0) as u64)),
            min_insync_replicas: command.number("min", 2) as usize,
            synced: command.get("synced").is_some(),
        };
        self.config = Some(config);
        let mut effects = Vec::new();
        self.leader = Some(Leader::new(role, log, config, self.monotonic(), &mut effects));
        self.effects.extend(effects.iter().map(show_leader_effect));
    }

    fn append(&mut self, command: &Command) {
        self.leader_log.append(self.leader_epoch, command.word(0) as usize);
        let end = self.leader_log.end();
        self.with_leader(|leader, now, effects| leader.appended(now, end, effects));
    }

    fn position(&mut self, command: &Command) {
        let id = command.word(0) as i32;
        let offset = Offset(command.word(1));
        let epoch = self.leader_epoch;
        // By default the follower holds what the leader holds up to there.
        let records = (offset.0 - self.leader_log.start - 1).max(0) as usize;
        let last = self.leader_log.epochs.get(records).copied().unwrap_or(-1);
        let last_epoch = LeaderEpoch(command.number("last", i64::from(last)) as i32);
        let known = self.leader.as_ref().map_or(0, |leader| leader.partition_epoch().0);
        let position = FollowerPosition {
            broker: NodeId(id),
            broker_epoch: BrokerEpoch(command.number("broker_epoch", i64::from(id) * 10)),
            leader_epoch: LeaderEpoch(command.number("epoch", i64::from(epoch)) as i32),
            offset,
            last_epoch,
            log_start_offset: Offset(command.number("start", 0)),
            partition_epoch: PartitionEpoch(command.number("known", i64::from(known)) as i32),
            restart: command.words.contains(&"restart"),
            epoch_end: self.leader_log.epoch_end(last_epoch),
        };
        let mut refusal = Ok(());
        self.with_leader(|leader, now, effects| refusal = leader.position(now, &position, effects));
        if let Err(refusal) = refusal {
            let code = refusal.code().map_or("DIVERGING", ErrorCode::name);
            self.say(format!("{code}: {refusal}"));
        }
    }

    fn broker(&mut self, command: &Command) {
        let id = NodeId(command.word(0) as i32);
        let state = self.brokers.get_mut(&id).expect("a replica's broker");
        let has = |word: &str| command.words.contains(&word);
        state.fenced = has("fenced");
        state.in_controlled_shutdown = has("stopping");
        state.epoch = BrokerEpoch(command.number("epoch", state.epoch.0));
        let brokers = self.brokers.clone();
        self.with_leader(|leader, now, effects| leader.brokers_changed(now, &brokers, effects));
    }

    fn metadata(&mut self, command: &Command) {
        let replicas = match command.get("replicas") {
            Some(_) => nodes(command.list("replicas")),
            None => self.leader.as_ref().expect("lead first").replicas().to_vec(),
        };
        let mut config = self.config.expect("lead first");
        config.min_insync_replicas =
            command.number("min", config.min_insync_replicas as i64) as usize;
        self.config = Some(config);
        let change = PartitionChange {
            config,
            partition_epoch: PartitionEpoch(command.number("partition_epoch", 0) as i32),
            replicas,
            isr: nodes(command.list("isr")),
        };
        self.with_leader(|leader, now, effects| leader.metadata_changed(now, &change, effects));
    }

    fn answer(&mut self, command: &Command) {
        let leader = self.leader.as_ref().expect("lead first");
        let proposed_on = leader.partition_epoch().0;
        let proposed_on = PartitionEpoch(command.number("to", i64::from(proposed_on)) as i32);
        let answer = match command.words.first().copied() {
            None => AlterPartitionAnswer::Committed {
                isr: nodes(command.list("isr")),
                partition_epoch: PartitionEpoch(command.number("partition_epoch", 0) as i32),
            },
            Some("LOST") => AlterPartitionAnswer::Lost,
            Some(name) => {
                let code = ErrorCode::ALL.iter().find(|code| code.name() == name);
                AlterPartitionAnswer::Refused(*code.expect("an error code"))
            }
        };
        self.with_leader(|leader, now, effects| {
            leader.alter_partition_answered(now, proposed_on, answer, effects);
        });
    }

    fn admit(&mut self, command: &Command) {
        let acks = Acks::from_wire(command.word(0) as i16).expect("acks");
        let said = match self.leader.as_ref().expect("lead first").admit(acks) {
            Ok(()) => "admitted".to_owned(),
            Err(refused) => format!("{}: {refused}", refused.code()),
        };
        self.say(said);
    }

    fn wait(&mut self, command: &Command) {
        let (token, offset) = (WaitToken(command.word(0) as u64), Offset(command.word(1)));
        let deadline = Monotonic::from_millis(command.number("until", 1_000_000) as u64);
        self.with_leader(|leader, _, effects| leader.wait_for(offset, token, deadline, effects));
    }

    fn state(&mut self) {
        let leader = self.leader.as_ref().expect("lead first");
        let due = match leader.next_deadline() {
            Monotonic::NEVER => "never".to_owned(),
            at => format!("{at:?}"),
        };
        let followers = leader.followers();
        let ends: Vec<_> = followers.iter().map(|f| (f.broker, f.end_offset)).collect();
        let line = format!(
            "hw={} end={} isr={:?} maximal={:?} partition_epoch={} followers={ends:?} latest={} due={due}",
            leader.high_watermark(),
            leader.end_offset(),
            leader.isr(),
            leader.maximal_isr(),
            leader.partition_epoch(),
            leader.is_latest_offset_known(),
        );
        self.say(line);
    }

    fn follow(&mut self, command: &Command) {
        self.follower_log = ModelLog::parse(&command.words, command.number("start", 0));
        let role = FollowerRole {
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(command.number("epoch", 1) as i32),
        };
        let mut follower = Follower::new(role, self.facts(Offset(command.number("hw", 0))));
        follower.config_changed(command.get("synced").is_some());
        self.follower = Some(follower);
    }

    fn facts(&self, high_watermark: Offset) -> FollowerLog {
        FollowerLog {
            start_offset: Offset(self.follower_log.start),
            end_offset: self.follower_log.end(),
            last_epoch: self.follower_log.last_epoch(),
            high_watermark,
        }
    }

    fn with_follower(
        &mut self,
        act: impl FnOnce(&mut Follower, Monotonic, &mut Vec<FollowerEffect>),
    ) -> Vec<FollowerEffect> {
        let now = self.monotonic();
        let mut effects = Vec::new();
        act(self.follower.as_mut().expect("follow first"), now, &mut effects);
        self.effects.extend(effects.iter().map(show_follower_effect));
        self.truncate_as_told(&effects);
        effects
    }

    /// Truncations are carried out at once; appends by the script.
    fn truncate_as_told(&mut self, effects: &[FollowerEffect]) {
        for effect in effects {
            match *effect {
                FollowerEffect::TruncateTo(end) => self.follower_log.truncate(end),
                FollowerEffect::TruncateFullyAndStartAt(start) => {
                    self.follower_log = ModelLog::parse(&[], start.0);
                }
                FollowerEffect::SendPosition { .. }
                | FollowerEffect::AppendChunk { .. }
                | FollowerEffect::AdvanceLogStart(_)
                | FollowerEffect::SetHighWatermark(_) => continue,
            }
            let high_watermark = self.follower.as_ref().expect("follow first").log().high_watermark;
            let log = self.facts(high_watermark);
            self.with_follower(|follower, now, effects| follower.truncated(now, log, effects));
        }
    }

    fn stream(&mut self, command: &Command) {
        let broken = command.words.contains(&"broken");
        self.with_follower(|follower, now, effects| match broken {
            true => follower.stream_broken(),
            false => follower.stream_opened(now, effects),
        });
    }

    fn chunk(&mut self, command: &Command) {
        let epoch = self.follower.as_ref().expect("follow first").role().leader_epoch.0;
        let error = command.get("error").map(|name| {
            let code = ErrorCode::ALL.iter().find(|code| code.name() == name);
            Refusal::from_code(*code.expect("an error code"))
        });
        let divergence = command.get("diverging").map(|text| {
            let (epoch, offset) = text.split_once('@').expect("epoch@offset");
            let epoch = LeaderEpoch(epoch.parse().expect("epoch"));
            let leader = EpochOffset { epoch, offset: Offset(offset.parse().expect("offset")) };
            Divergence { leader, own: self.follower_log.epoch_end(epoch) }
        });
        let chunk = Chunk {
            leader_epoch: LeaderEpoch(command.number("epoch", i64::from(epoch)) as i32),
            position: Offset(command.word(0)),
            has_records: command.words.contains(&"records"),
            high_watermark: Offset(command.number("hw", 0)),
            log_start_offset: Offset(command.number("start", 0)),
            refusal: error,
            divergence,
        };
        self.with_follower(|follower, now, effects| follower.chunk(now, &chunk, effects));
    }

    /// `appended 5*2`: what the chunk held; batches of a later epoch are dropped as told.
    fn appended(&mut self, command: &Command) {
        let epoch = self.follower.as_ref().expect("follow first").role().leader_epoch;
        let runs = ModelLog::parse(&command.words, 0);
        let epochs = runs.epochs.iter().map(|epoch| LeaderEpoch(*epoch));
        let count = epoch_batches_to_append(epoch, epochs);
        for record in &runs.epochs[..count] {
            self.follower_log.append(*record, 1);
        }
        let (end, last) = (self.follower_log.end(), self.follower_log.last_epoch());
        self.with_follower(|follower, now, effects| follower.appended(now, end, last, effects));
        let shown = self.follower_log.show();
        self.say(format!("log {shown}"));
    }

    fn new_leader(&mut self, command: &Command) {
        let role = FollowerRole {
            leader: NodeId(command.word(0) as i32),
            leader_epoch: LeaderEpoch(command.number("epoch", 0) as i32),
        };
        self.with_follower(|follower, now, effects| {
            follower.leader_changed(now, role, true, effects);
        });
    }

    /// The follower against the leader until it is accepted, then all records.
    fn pair(&mut self, command: &Command) {
        let id = command.number("follower", 2) as i32;
        self.with_follower(|follower, now, effects| follower.stream_opened(now, effects));
        for _ in 0..command.number("rounds", 8) {
            let FollowerLog { end_offset: offset, last_epoch, .. } =
                self.follower.as_ref().expect("follow first").log();
            let position = FollowerPosition {
                broker: NodeId(id),
                broker_epoch: BrokerEpoch(i64::from(id) * 10),
                leader_epoch: LeaderEpoch(self.leader_epoch),
                offset,
                last_epoch,
                log_start_offset: Offset(self.follower_log.start),
                partition_epoch: PartitionEpoch(7),
                restart: true,
                epoch_end: self.leader_log.epoch_end(last_epoch),
            };
            let now = self.monotonic();
            let leader = self.leader.as_mut().expect("lead first");
            let answer = leader.position(now, &position, &mut Vec::new());
            match answer {
                Ok(()) => {
                    self.copy_rest(offset);
                    break;
                }
                Err(refusal) => self.refuse(offset, refusal),
            }
        }
        let shown = (self.leader_log.show(), self.follower_log.show());
        self.say(format!("leader   {}", shown.0));
        self.say(format!("follower {}", shown.1));
    }

    fn refuse(&mut self, position: Offset, refusal: Refusal) {
        self.say(format!("leader says: {refusal}"));
        let divergence = match refusal {
            Refusal::Diverging(leader) => {
                Some(Divergence { leader, own: self.follower_log.epoch_end(leader.epoch) })
            }
            _ => None,
        };
        let chunk = Chunk {
            leader_epoch: LeaderEpoch(self.leader_epoch),
            position,
            has_records: false,
            high_watermark: Offset(0),
            log_start_offset: Offset(self.leader_log.start),
            refusal: refusal.code().map(Refusal::from_code),
            divergence,
        };
        self.with_follower(|follower, now, effects| follower.chunk(now, &chunk, effects));
    }

    fn copy_rest(&mut self, from: Offset) {
        let skip = (from.0 - self.leader_log.start) as usize;
        for epoch in &self.leader_log.epochs[skip..] {
            self.follower_log.append(*epoch, 1);
        }
        self.say("accepted");
    }
}

fn show_leader_effect(effect: &LeaderEffect) -> String {
    match effect {
        LeaderEffect::HighWatermark(offset) => format!("high watermark {offset}"),
        LeaderEffect::ProposeIsr(proposal) => {
            let member = |m: &IsrMember| format!("{}@{}", m.broker, m.broker_epoch);
            let members: Vec<String> = proposal.isr.iter().map(member).collect();
            let (leader, partition) = (proposal.leader_epoch, proposal.partition_epoch);
            let isr = members.join(" ");
            format!("propose isr {isr} on partition epoch {partition}, leader epoch {leader}")
        }
        LeaderEffect::IsrChanged { isr, partition_epoch } => {
            format!("isr is {isr:?} at partition epoch {partition_epoch}")
        }
        LeaderEffect::AskAnew(broker) => format!("ask {broker} anew"),
        LeaderEffect::SlowFollower(broker) => format!("{broker} is slow"),
        LeaderEffect::Complete { token, outcome } => {
            let code = outcome.code().map_or("ok", ErrorCode::name);
            format!("complete {}: {code}", token.0)
        }
    }
}

fn show_follower_effect(effect: &FollowerEffect) -> String {
    match effect {
        FollowerEffect::SendPosition {
            leader_epoch,
            offset,
            last_epoch,
            log_start_offset,
            restart,
        } => {
            let kind = if *restart { "restart" } else { "progress" };
            format!(
                "send {kind} at {offset} after epoch {last_epoch}, start {log_start_offset}, leader epoch {leader_epoch}"
            )
        }
        FollowerEffect::AppendChunk { leader_epoch } => {
            format!("append the chunk up to epoch {leader_epoch}")
        }
        FollowerEffect::TruncateTo(offset) => format!("truncate to {offset}"),
        FollowerEffect::TruncateFullyAndStartAt(offset) => {
            format!("drop the log and start at {offset}")
        }
        FollowerEffect::AdvanceLogStart(offset) => format!("log start {offset}"),
        FollowerEffect::SetHighWatermark(offset) => format!("high watermark {offset}"),
    }
}
