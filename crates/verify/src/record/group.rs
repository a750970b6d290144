//! A place in a consumer group of the run: a member that reads and commits, leaves after a while,
//! and is followed by another.

use std::sync::Arc;
use std::time::Duration;

use client::{ConsumedRecord, Consumer, OffsetReset};
use types::Offset;

use super::progress::Progress;
use super::shared::{Phase, Shared};
use crate::history::{
    Assigned, AssignedPartition, At, ClientNumber, Commit, Event, Outcome, Purpose, Read, ReadError,
};

const POLL: Duration = Duration::from_millis(100);
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// How often a member commits.
const COMMIT_EVERY: u64 = 300_000;
/// Of so many members one vanishes without leaving, so that its session must end.
const VANISHING: u64 = 4;

struct Member {
    shared: Arc<Shared>,
    group: String,
    number: ClientNumber,
    consumer: Consumer,
    /// The assignment that was last written down; each is a session of its own, since reading
    /// starts at the committed offset.
    session: u64,
    committed_at: At,
    /// Whether anything was read since the last commit.
    has_news: bool,
}

/// Keeps a place filled until the phase is `Done`.
pub async fn run(shared: Arc<Shared>, group: String, churn: Duration) {
    while !shared.is_in(Phase::Done) {
        let number = shared.number();
        let client = match shared.client(number) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, member = %number, "member not started");
                return;
            }
        };
        let mut options = shared.settings.consumer.clone();
        options.group = Some(group.clone());
        options.reset = OffsetReset::Earliest;
        options.auto_commit = false;
        let mut member = Member {
            shared: shared.clone(),
            group: group.clone(),
            number,
            consumer: Consumer::new(client.clone(), options),
            session: 0,
            committed_at: shared.now(),
            has_news: false,
        };
        let stay = churn.as_micros() as u64;
        let leaves_at = At(shared.now().0 + stay / 2 + shared.env.rng.below(stay.max(1)));
        tokio::select! {
            () = member.stay(leaves_at) => {
                if shared.env.rng.below(VANISHING) > 0
                    && let Err(error) = member.consumer.close().await
                {
                    tracing::debug!(%error, "member could not leave");
                }
            }
            () = shared.reached(Phase::Done) => {}
        }
        client.close().await;
    }
}

impl Member {
    /// Reads and commits; returns when the time has come to leave, during the load only.
    async fn stay(&mut self, leaves_at: At) {
        if let Err(error) = self.consumer.subscribe(&self.shared.topics) {
            tracing::error!(%error, "member cannot subscribe");
            return;
        }
        loop {
            let began = self.shared.now();
            let polled = self.consumer.poll(POLL).await;
            let ended = self.shared.now();
            let records = match &polled {
                Ok(records) => records.as_slice(),
                Err(_) => &[],
            };
            self.notice_assignment(records, began, ended).await;
            self.write(records, ended).await;
            if let Err(error) = polled {
                let error = error.to_string();
                let event = ReadError { reader: self.number, at: ended, error };
                self.shared.sink.put(Event::ReadError(event)).await;
                tokio::time::sleep(ERROR_PAUSE).await;
            }
            if self.has_news && ended.0 >= self.committed_at.0 + COMMIT_EVERY {
                self.commit().await;
            }
            if ended >= leaves_at && self.shared.is_in(Phase::Load) {
                return;
            }
        }
    }

    /// Writes down a new assignment, with where each partition's reading starts.
    async fn notice_assignment(&mut self, records: &[ConsumedRecord], began: At, ended: At) {
        let session = self.consumer.assignment_epoch();
        if session == self.session {
            return;
        }
        self.session = session;
        let Some(generation) = self.consumer.generation() else { return };
        let partitions = self.consumer.assignment().into_iter().map(|partition| {
            // What this poll returned lies before the position that it left.
            let first = records.iter().find(|record| record.partition == partition);
            let start = first.map(|record| record.offset);
            let start = start.or_else(|| self.consumer.position(&partition));
            AssignedPartition { partition, start: start.map(|offset| offset.0) }
        });
        let assigned = Assigned {
            group: self.group.clone(),
            member: self.number,
            generation,
            began,
            ended,
            partitions: partitions.collect(),
        };
        self.shared.sink.put(Event::Assigned(assigned)).await;
    }

    async fn write(&mut self, records: &[ConsumedRecord], ended: At) {
        self.has_news |= !records.is_empty();
        for (partition, content) in self.shared.contents(records) {
            self.shared.progress.group_came_to(&self.group, &partition, content.next);
            let read = Read {
                reader: self.number,
                session: self.session as u32,
                purpose: Purpose::Along,
                group: Some(self.group.clone()),
                committed: false,
                partition,
                ended,
                runs: content.runs,
                damaged: content.damaged,
            };
            self.shared.sink.put(Event::Read(read)).await;
        }
    }

    async fn commit(&mut self) {
        let Some(generation) = self.consumer.generation() else { return };
        let taken = self.consumer.taken();
        let began = self.shared.now();
        let result = self.consumer.commit().await;
        let ended = self.shared.now();
        let (outcome, error) = match result {
            Ok(()) => (Outcome::Ok, None),
            // An attempt before the one that failed may have been taken.
            Err(error) => (Outcome::Unknown, Some(error.to_string())),
        };
        if outcome == Outcome::Ok {
            Progress::add(&self.shared.progress.commits, 1);
            self.has_news = false;
        }
        self.committed_at = ended;
        for (partition, Offset(offset)) in taken {
            let commit = Commit {
                group: self.group.clone(),
                member: self.number,
                generation,
                partition,
                offset,
                began,
                ended,
                outcome,
                error: error.clone(),
            };
            self.shared.sink.put(Event::Commit(commit)).await;
        }
    }
}
