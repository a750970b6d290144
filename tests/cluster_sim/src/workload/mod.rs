//! The clients: who makes the topic, who sends, who reads, and what all of them must see at the end.
//!
//! They run on a host of their own, which is never hurt, though its links are.

mod admin;
mod group;
mod odd_batches;
mod passing_groups;
mod producer;
mod reader;

use crate::history::{History, Value};
use crate::plan::Plan;
use client::admin::NewTopic;
use client::{Client, ClientError, ClientOptions};
use env::{Env, Tasks};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use types::{ErrorCode, Offset, PartitionIndex, TopicPartition};

pub const TOPIC: &str = "load";
/// The pause after a failure that will not go away at once.
const PAUSE: Duration = Duration::from_millis(200);

/// What the world tells the clients to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Make the topic, send and read.
    Load,
    /// Send no more, and see what becomes of what is under way.
    Settle,
    /// All is healed: write to each partition once more and read everything.
    Prove,
}

/// How far the clients are.
#[derive(Default)]
pub struct Progress {
    pub has_topic: bool,
    pub producers_left: usize,
    pub admins_left: usize,
    pub is_proven: bool,
}

/// What all clients share.
#[derive(Clone)]
pub struct Workload {
    plan: Arc<Plan>,
    env: Env,
    history: Arc<Mutex<History>>,
    progress: Arc<Mutex<Progress>>,
    phase: watch::Receiver<Phase>,
    next_producer: Arc<Mutex<u32>>,
}

impl Workload {
    pub fn new(plan: &Plan, env: Env, phase: watch::Receiver<Phase>) -> Workload {
        Workload {
            plan: Arc::new(plan.clone()),
            env,
            history: Arc::default(),
            progress: Arc::default(),
            phase,
            next_producer: Arc::default(),
        }
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("one thread")
    }

    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("one thread")
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn client(&self) -> Client {
        let options = ClientOptions {
            request_timeout: Duration::from_secs(4),
            api_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            metadata_age_max: Duration::from_secs(5),
            ..ClientOptions::new(self.plan.bootstrap())
        };
        Client::new(self.env.clone(), options).expect("there are bootstrap servers")
    }

    fn partitions(&self) -> impl Iterator<Item = TopicPartition> + use<> {
        let of = |index| TopicPartition { topic: TOPIC.into(), partition: PartitionIndex(index) };
        (0..self.plan.partitions).map(of)
    }

    /// Sends what an instance of a producer is called by, once each.
    fn new_producer(&self) -> u32 {
        let mut next = self.next_producer.lock().expect("one thread");
        *next += 1;
        *next
    }

    fn note_place(&self, of: &TopicPartition, offset: Offset, value: Value, is_ack: bool) {
        self.history().note_place(of, offset, value, is_ack);
    }

    /// Everything that clients do, from the first to the last.
    pub async fn run(self) {
        self.create_topic().await;
        self.progress().has_topic = true;
        let tasks = Tasks::new();
        self.progress().producers_left = usize::from(self.plan.producers);
        for _ in 0..self.plan.producers {
            tasks.spawn(producer::run(self.clone()));
        }
        tasks.spawn(reader::follow(self.clone()));
        // These go on until the end.
        let proving = Tasks::new();
        if self.plan.has_admin {
            self.progress().admins_left += 1;
            proving.spawn(admin::run(self.clone()));
            tasks.spawn(odd_batches::run(self.clone()));
        }
        for _ in 0..self.plan.group_members {
            proving.spawn(group::member(self.clone()));
        }
        if self.plan.group_members > 0 {
            proving.spawn(group::observe(self.clone()));
            self.progress().admins_left += 1;
            proving.spawn(passing_groups::run(self.clone()));
        }
        let mut phase = self.phase.clone();
        let _ = phase.wait_for(|phase| *phase == Phase::Prove).await;
        tasks.shutdown(Duration::from_secs(1)).await;
        producer::prove(&self).await;
        reader::prove(&self).await;
        if self.plan.group_members > 0 {
            group::prove(&self).await;
        }
        while self.progress().admins_left > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        proving.shutdown(Duration::ZERO).await;
        self.progress().is_proven = true;
    }

    async fn create_topic(&self) {
        let client = self.client();
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: Some(self.plan.partitions),
            replication_factor: Some(self.plan.replication_factor),
            ..NewTopic::default()
        };
        loop {
            let created = client.create_topics(std::slice::from_ref(&topic), false).await;
            let result = created.map(|mut results| results.pop().map(|(_, result)| result));
            match result {
                Ok(Some(Ok(_))) => break,
                Ok(Some(Err(error))) if exists(&error) => break,
                other => tracing::debug!(?other, "the topic is not made yet"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        client.close().await;
    }
}

fn exists(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::TopicAlreadyExists)
}
