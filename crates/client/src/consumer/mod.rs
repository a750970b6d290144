//! Reads records, from partitions given or owned as a member of a group.
//!
//! Promises:
//! - Records of one partition come in offset order, none twice and none left out, as long as
//!   positions are not moved by hand.
//! - With read_committed, records of aborted transactions never come.
//! - At most one fetch per broker is in flight, and none while earlier records wait to be taken,
//!   so memory stays within `fetch_bytes_max` per broker.
//! - After every change of a leader the position is compared with the new leader's log, before more
//!   is read: a log that lost what was read (an unclean election) does not pass unnoticed (KIP-320).
//! - A group member that is polled keeps its membership; its heartbeats run inside `poll`.
//!
//! Does not: run in the background; nothing happens between calls of `poll`.

mod assignor;
mod fetch;
mod group;
mod observation;
mod protocol;
mod truncation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use records::Header;
use types::{ErrorCode, LeaderEpoch, Monotonic, NodeId, Offset, Timestamp, TopicPartition};

use crate::admin::OffsetSpec;
use crate::client::Client;
use crate::error::ClientError;
use crate::options::{parse_bool, parse_ms, parse_number};
use fetch::{FetchDone, FetchedPartition};
use group::{GroupMember, Membership};
use observation::Observations;

pub use observation::FetchObservation;
pub use protocol::decode_assignment;

/// Whether records of open and aborted transactions are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Isolation {
    ReadUncommitted = 0,
    ReadCommitted = 1,
}

/// Where to start without a position (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Earliest,
    Latest,
    /// An error instead.
    None,
}

/// How a consumer behaves, under Kafka's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// `group.id`; needed to subscribe and to commit.
    pub group: Option<String>,
    /// `group.instance.id`.
    pub group_instance: Option<String>,
    /// `auto.offset.reset`.
    pub reset: OffsetReset,
    /// `isolation.level`.
    pub isolation: Isolation,
    /// `fetch.min.bytes`.
    pub fetch_bytes_min: i32,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes`.
    pub partition_bytes_max: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_wait_max: Duration,
    /// `max.poll.records`.
    pub poll_records_max: usize,
    /// `client.rack`.
    pub rack: String,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `enable.auto.commit`.
    pub auto_commit: bool,
    /// `auto.commit.interval.ms`.
    pub auto_commit_interval: Duration,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: the time a member has to rejoin.
    pub rebalance_timeout: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            group: None,
            group_instance: None,
            reset: OffsetReset::Latest,
            isolation: Isolation::ReadUncommitted,
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
            fetch_wait_max: Duration::from_millis(500),
            poll_records_max: 500,
            rack: String::new(),
            check_crcs: true,
            auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(300),
        }
    }
}

impl ConsumerOptions {
    /// Takes a consumer property by Kafka's name. `Ok(false)`: not a property of this struct.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool, ClientError> {
        let unknown = || Err(ClientError::Invalid(format!("{key} does not take {value}")));
        match key {
            "group.id" => self.group = Some(value.to_owned()),
            "group.instance.id" => self.group_instance = Some(value.to_owned()),
            "auto.offset.reset" => match value {
                "earliest" => self.reset = OffsetReset::Earliest,
                "latest" => self.reset = OffsetReset::Latest,
                "none" => self.reset = OffsetReset::None,
                _ => return unknown(),
            },
            "isolation.level" => match value {
                "read_committed" => self.isolation = Isolation::ReadCommitted,
                "read_uncommitted" => self.isolation = Isolation::ReadUncommitted,
                _ => return unknown(),
            },
            "fetch.min.bytes" => self.fetch_bytes_min = parse_number(key, value)?,
            "fetch.max.bytes" => self.fetch_bytes_max = parse_number(key, value)?,
            "max.partition.fetch.bytes" => self.partition_bytes_max = parse_number(key, value)?,
            "fetch.max.wait.ms" => self.fetch_wait_max = parse_ms(key, value)?,
            "max.poll.records" => self.poll_records_max = parse_number(key, value)?,
            "client.rack" => self.rack = value.to_owned(),
            "check.crcs" => self.check_crcs = parse_bool(key, value)?,
            "enable.auto.commit" => self.auto_commit = parse_bool(key, value)?,
            "auto.commit.interval.ms" => self.auto_commit_interval = parse_ms(key, value)?,
            "session.timeout.ms" => self.session_timeout = parse_ms(key, value)?,
            "heartbeat.interval.ms" => self.heartbeat_interval = parse_ms(key, value)?,
            "max.poll.interval.ms" => self.rebalance_timeout = parse_ms(key, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A record read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub partition: TopicPartition,
    pub offset: Offset,
    pub timestamp: Timestamp,
    /// Whether the broker set the timestamp.
    pub is_append_time: bool,
    pub leader_epoch: LeaderEpoch,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// Where reading a partition goes on.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// The next record to fetch; absent until it is looked up.
    fetch: Option<Offset>,
    /// Where to look if `fetch` is absent.
    start: OffsetSpec,
    /// The next record to hand out; what a commit writes.
    taken: Option<Offset>,
    /// The leader epoch of what lies before `fetch`, NONE if it is not known.
    last_epoch: LeaderEpoch,
    /// The leader epoch in which the log was seen to hold that.
    seen_in: LeaderEpoch,
    /// Not before this time, after an error.
    retry_at: Monotonic,
}

/// A consumer. Used by one task; all waiting happens in [`Consumer::poll`].
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    positions: BTreeMap<TopicPartition, Position>,
    /// Raised with every change of the assignment, so that late answers are dropped.
    assignment_epoch: u64,
    in_flight: FuturesUnordered<BoxFuture<'static, FetchDone>>,
    busy: BTreeSet<NodeId>,
    ready: VecDeque<ConsumedRecord>,
    group: Option<GroupMember>,
    committed_at: Monotonic,
    observations: Observations,
}

/// The pause after a partition's retriable error.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

impl Consumer {
    pub fn new(client: Client, options: ConsumerOptions) -> Consumer {
        let committed_at = client.env().clock.now();
        Consumer {
            client,
            options,
            positions: BTreeMap::new(),
            assignment_epoch: 0,
            in_flight: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            ready: VecDeque::new(),
            group: None,
            committed_at,
            observations: Observations::default(),
        }
    }

    /// Reads these partitions from these places on, instead of what was read before.
    pub fn assign(&mut self, partitions: &[(TopicPartition, OffsetSpec)]) {
        self.drop_assignment();
        for (of, start) in partitions {
            self.add(of.clone(), None, *start);
        }
    }

    /// Reads a partition from an offset on.
    pub fn seek(&mut self, of: &TopicPartition, offset: Offset) {
        self.assignment_epoch += 1;
        self.ready.retain(|record| record.partition != *of);
        self.add(of.clone(), Some(offset), OffsetSpec::Earliest);
    }

    /// Becomes a member of the group and reads what it assigns.
    pub fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        let Some(group) = self.options.group.clone() else {
            return Err(ClientError::Invalid("subscribing needs a group.id".to_owned()));
        };
        self.drop_assignment();
        self.group = Some(GroupMember::new(&self.client, &self.options, group, topics.to_vec()));
        Ok(())
    }

    /// The partitions read at present.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.positions.keys().cloned().collect()
    }

    /// The offset of the next record that `poll` would return from a partition.
    pub fn position(&self, of: &TopicPartition) -> Option<Offset> {
        self.positions.get(of).and_then(|position| position.taken.or(position.fetch))
    }

    /// The generation that this consumer is a member of, absent while it is none.
    pub fn generation(&self) -> Option<i32> {
        self.group.as_ref().and_then(GroupMember::generation)
    }

    /// Grows whenever what is read, or from where, changes: by an assignment (a member may come back
    /// into the generation that it was in, to its committed offsets) or by a seek.
    pub fn assignment_epoch(&self) -> u64 {
        self.assignment_epoch
    }

    /// From now on keeps what fetches tell besides records, for [`Consumer::take_fetches`].
    pub fn watch_fetches(&mut self) {
        self.observations.watch();
    }

    /// What fetches told since the last call, oldest first.
    pub fn take_fetches(&mut self) -> Vec<FetchObservation> {
        self.observations.take()
    }

    fn add(&mut self, of: TopicPartition, fetch: Option<Offset>, start: OffsetSpec) {
        let retry_at = Monotonic::ZERO;
        let (last_epoch, seen_in) = (LeaderEpoch::NONE, LeaderEpoch::NONE);
        let taken = fetch;
        let position = Position { fetch, start, taken, last_epoch, seen_in, retry_at };
        self.positions.insert(of, position);
    }

    fn drop_assignment(&mut self) {
        self.assignment_epoch += 1;
        self.positions.clear();
        self.ready.clear();
    }

    /// Returns the next records, waiting for some up to `time`. Empty when the time is up.
    pub async fn poll(&mut self, time: Duration) -> Result<Vec<ConsumedRecord>, ClientError> {
        let deadline = self.client.env().clock.now() + time;
        loop {
            self.keep_membership().await?;
            self.commit_if_due().await?;
            if !self.ready.is_empty() {
                return Ok(self.take_ready());
            }
            self.find_positions().await?;
            self.check_positions().await?;
            self.start_fetches().await?;
            let now = self.client.env().clock.now();
            if now >= deadline {
                return Ok(Vec::new());
            }
            let pause = deadline.since(now).min(self.pause_max());
            tokio::select! {
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.fetched(done)?;
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits no longer than the next heartbeat or retry asks for.
    fn pause_max(&self) -> Duration {
        let now = self.client.env().clock.now();
        let mut pause = self.options.heartbeat_interval;
        for position in self.positions.values() {
            if position.retry_at > now {
                pause = pause.min(position.retry_at.since(now));
            }
        }
        if self.positions.is_empty() { pause.min(RETRY_PAUSE) } else { pause }
    }

    fn take_ready(&mut self) -> Vec<ConsumedRecord> {
        let count = self.ready.len().min(self.options.poll_records_max.max(1));
        let records: Vec<ConsumedRecord> = self.ready.drain(..count).collect();
        for record in &records {
            if let Some(position) = self.positions.get_mut(&record.partition) {
                position.taken = Some(record.offset.plus(1));
            }
        }
        if self.ready.is_empty() {
            // Offsets that hold no record for us (markers, compacted ones) count as taken too.
            for position in self.positions.values_mut() {
                position.taken = position.fetch;
            }
        }
        records
    }

    /// Looks up the start of partitions that have none.
    async fn find_positions(&mut self) -> Result<(), ClientError> {
        let now = self.client.env().clock.now();
        let missing = self.positions.iter().filter(|(_, p)| p.fetch.is_none() && p.retry_at <= now);
        let wanted: Vec<_> = missing.map(|(of, p)| (of.clone(), p.start)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for (of, found) in self.client.list_offsets(&wanted, self.options.isolation).await? {
            let Some(position) = self.positions.get_mut(&of) else { continue };
            match found {
                Ok(found) if found.offset >= Offset::ZERO => {
                    position.fetch = Some(found.offset);
                    position.taken = Some(found.offset);
                    (position.last_epoch, position.seen_in) =
                        (found.leader_epoch, found.leader_epoch);
                }
                // No record is as late as the time asked for: wait at the end.
                Ok(_) => position.start = OffsetSpec::Latest,
                Err(error) if error.is_retriable() => position.retry_at = now + RETRY_PAUSE,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Starts a fetch at every leader that has none.
    async fn start_fetches(&mut self) -> Result<(), ClientError> {
        let now = self.client.env().clock.now();
        let mut by_leader: BTreeMap<NodeId, Vec<(TopicPartition, Offset, LeaderEpoch)>> =
            BTreeMap::new();
        let due: Vec<_> = self
            .positions
            .iter()
            .filter(|(_, position)| position.retry_at <= now)
            .filter_map(|(of, position)| Some((of.clone(), position.fetch?, position.seen_in)))
            .collect();
        for (of, offset, seen_in) in due {
            match self.client.leadership(&of).await {
                Ok((leader, _)) if self.busy.contains(&leader) => {}
                // Not looked at in this epoch, or the metadata is older than what was seen.
                Ok((_, epoch)) if epoch != seen_in => self.postpone(&of),
                Ok((leader, epoch)) => {
                    by_leader.entry(leader).or_default().push((of, offset, epoch));
                }
                Err(error) if error.is_retriable() => self.postpone(&of),
                Err(error) => return Err(error),
            }
        }
        for (leader, partitions) in by_leader {
            self.busy.insert(leader);
            let fetch = fetch::Fetch {
                client: self.client.clone(),
                options: self.options.clone(),
                leader,
                partitions,
                assignment_epoch: self.assignment_epoch,
            };
            self.in_flight.push(Box::pin(fetch.run()));
        }
        Ok(())
    }

    fn postpone(&mut self, of: &TopicPartition) {
        let at = self.client.env().clock.now() + RETRY_PAUSE;
        self.client.forget_topic(&of.topic);
        if let Some(position) = self.positions.get_mut(of) {
            position.retry_at = at;
        }
    }

    /// Takes the answer of one broker.
    fn fetched(&mut self, done: FetchDone) -> Result<(), ClientError> {
        self.busy.remove(&done.leader);
        self.observe(&done);
        if done.assignment_epoch != self.assignment_epoch {
            return Ok(());
        }
        let partitions = match done.result {
            Ok(partitions) => partitions,
            Err(error) if error.is_retriable() => {
                for of in done.asked {
                    self.postpone(&of);
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for FetchedPartition { of, asked, result } in partitions {
            match result {
                Ok(fetched) => {
                    let Some(position) = self.positions.get_mut(&of) else { continue };
                    if position.fetch == Some(asked) {
                        position.fetch = Some(fetched.next_offset);
                        position.last_epoch = fetched.last_epoch.unwrap_or(position.last_epoch);
                        self.ready.extend(fetched.records);
                    }
                }
                Err(error) => self.fetch_failed(&of, error)?,
            }
        }
        Ok(())
    }

    fn observe(&mut self, done: &FetchDone) {
        let (began, ended) = done.span;
        for FetchedPartition { of, asked, result } in done.result.iter().flatten() {
            let Ok(fetched) = result else { continue };
            self.observations.add(FetchObservation {
                partition: of.clone(),
                asked: *asked,
                began,
                ended,
                high_watermark: fetched.high_watermark,
                log_start: fetched.log_start,
            });
        }
    }

    fn fetch_failed(&mut self, of: &TopicPartition, error: ClientError) -> Result<(), ClientError> {
        if error.code() == Some(ErrorCode::OffsetOutOfRange) {
            if self.options.reset == OffsetReset::None {
                return Err(error);
            }
            tracing::info!(partition = %of, "offset out of range, reset");
            return self.reset(of);
        }
        if error.is_retriable() {
            self.postpone(of);
            return Ok(());
        }
        Err(error)
    }

    /// Begins anew, where the options say.
    fn reset(&mut self, of: &TopicPartition) -> Result<(), ClientError> {
        let start = match self.options.reset {
            OffsetReset::Earliest => OffsetSpec::Earliest,
            OffsetReset::Latest => OffsetSpec::Latest,
            OffsetReset::None => {
                return Err(ClientError::refused(ErrorCode::OffsetOutOfRange, None));
            }
        };
        self.add(of.clone(), None, start);
        Ok(())
    }

    /// Joins, rejoins and sends heartbeats as due; takes over a new assignment.
    async fn keep_membership(&mut self) -> Result<(), ClientError> {
        let Some(mut group) = self.group.take() else { return Ok(()) };
        let result = self.keep_member(&mut group).await;
        self.group = Some(group);
        result
    }

    async fn keep_member(&mut self, group: &mut GroupMember) -> Result<(), ClientError> {
        match group.heartbeat_if_due().await? {
            Membership::Stable => return Ok(()),
            Membership::Rebalancing => {
                if self.options.auto_commit {
                    // The group moves on without us if this fails; records come again then.
                    if let Err(error) = group.commit(&self.taken()).await {
                        tracing::warn!(%error, "offsets not committed before the rebalance");
                    }
                }
            }
            Membership::Lost => {}
        }
        self.drop_assignment();
        let assigned = group.join().await?;
        let committed = group.committed(&assigned).await?;
        let reset = match self.options.reset {
            OffsetReset::Earliest => Some(OffsetSpec::Earliest),
            OffsetReset::Latest => Some(OffsetSpec::Latest),
            OffsetReset::None => None,
        };
        for of in assigned {
            let offset = committed.get(&of).copied();
            let Some(start) = reset.or(offset.map(|_| OffsetSpec::Earliest)) else {
                let text = format!("no committed offset for {of} and no reset policy");
                return Err(ClientError::Invalid(text));
            };
            self.add(of, offset, start);
        }
        Ok(())
    }

    /// The offset after the last record that `poll` has returned, per partition: what a commit writes.
    pub fn taken(&self) -> BTreeMap<TopicPartition, Offset> {
        let taken = self.positions.iter();
        taken.filter_map(|(of, position)| Some((of.clone(), position.taken?))).collect()
    }

    async fn commit_if_due(&mut self) -> Result<(), ClientError> {
        let now = self.client.env().clock.now();
        let interval = self.options.auto_commit_interval;
        if !self.options.auto_commit || now.since(self.committed_at) < interval {
            return Ok(());
        }
        self.committed_at = now;
        match self.commit().await {
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, "offsets not committed, trying again later");
                Ok(())
            }
            Err(error) if group::is_rebalance(&error) => Ok(()),
            result => result,
        }
    }

    /// Commits the offsets of all records that `poll` has returned. Nothing without a group.
    pub async fn commit(&mut self) -> Result<(), ClientError> {
        let taken = self.taken();
        match &mut self.group {
            Some(group) if group.is_joined() => group.commit(&taken).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Commits (with `auto_commit`) and leaves the group.
    pub async fn close(mut self) -> Result<(), ClientError> {
        if self.options.auto_commit {
            self.commit().await?;
        }
        match &mut self.group {
            Some(group) => group.leave().await,
            None => Ok(()),
        }
    }

    /// The client underneath.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Shared by the parts of the consumer.
type Topics = BTreeMap<types::TopicId, Arc<crate::metadata::Topic>>;
