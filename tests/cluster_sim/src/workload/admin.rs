//! Administration: topics come and go, configs change, records are deleted.
//!
//! One task does one thing after the other, each name is used once, and a topic whose fate is not
//! known is left alone: so what must be there at the end is known (I33). A call that took longer than
//! one request may has been sent twice, and the first may arrive at any time: its fate is not known.

use super::{PAUSE, Phase, Workload};
use client::admin::{ConfigChange, ConfigOperation, ConfigResource, NewTopic};
use client::{Client, ClientError};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{ErrorCode, Offset};

/// The key that is changed, to a number that was not there before.
const KEY: &str = "retention.ms";
/// Kafka's number of the source of a value that was set for a topic.
const OF_TOPIC: i8 = 1;
/// Topics that are there at once, about.
const TOPICS: usize = 3;
/// The longest pause between two calls.
const PAUSE_MS: u64 = 1_500;

/// A topic that is there.
#[derive(Debug)]
struct Passing {
    /// What the key may be set to; `None` where it was never set.
    values: Vec<Option<String>>,
    /// A change whose fate is not known may come at any time.
    is_open: bool,
}

struct Admin {
    load: Workload,
    client: Client,
    topics: BTreeMap<String, Passing>,
    deleted: Vec<String>,
    next: u64,
}

/// Works while there is load, then says what must be there.
pub(super) async fn run(load: Workload) {
    let client = load.client();
    let mut admin = Admin { client, load, topics: BTreeMap::new(), deleted: Vec::new(), next: 0 };
    while admin.load.phase() == Phase::Load {
        let pause = admin.load.env.rng.below(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match admin.load.env.rng.below(6) {
            0 | 1 if admin.topics.len() < TOPICS => admin.create().await,
            2 => admin.delete().await,
            3 if admin.load.plan.deletes_records => admin.delete_records().await,
            _ => admin.configure().await,
        }
    }
    let mut phase = admin.load.phase.clone();
    let _ = phase.wait_for(|phase| *phase == Phase::Prove).await;
    admin.prove().await;
    admin.load.progress().admins_left -= 1;
}

impl Admin {
    /// Does something; whether it is done for sure, and once.
    async fn call<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Option<T> {
        let clock = &self.load.env.clock;
        let began = clock.now();
        let result = call.await;
        let is_one_request = clock.now().since(began) < self.client.options().request_timeout;
        match result {
            Ok(done) if is_one_request => {
                self.load.history().admin_calls += 1;
                Some(done)
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "an administrative call has perhaps done nothing");
                None
            }
        }
    }

    fn any_topic(&self) -> Option<String> {
        let count = self.topics.len() as u64;
        let which = self.load.env.rng.below(count.max(1)) as usize;
        self.topics.keys().nth(which).cloned()
    }

    async fn create(&mut self) {
        let name = format!("passing-{}", self.next);
        self.next += 1;
        let topics = [NewTopic {
            name: name.clone(),
            partitions: Some(1 + self.load.env.rng.below(2) as i32),
            replication_factor: Some(self.load.plan.replication_factor),
            ..NewTopic::default()
        }];
        let create = async {
            let results = self.client.create_topics(&topics, false).await?;
            results.into_iter().try_for_each(|(_, result)| result.map(|_| ()))
        };
        if self.call(create).await.is_some() {
            self.topics.insert(name, Passing { values: vec![None], is_open: false });
        }
    }

    async fn delete(&mut self) {
        let Some(name) = self.any_topic() else { return };
        self.topics.remove(&name);
        let names = [name.clone()];
        let delete = async {
            let results = self.client.delete_topics(&names).await?;
            results.into_iter().try_for_each(|(_, result)| result)
        };
        if self.call(delete).await.is_some() {
            self.deleted.push(name);
        }
    }

    async fn configure(&mut self) {
        let Some(name) = self.any_topic() else { return };
        self.next += 1;
        let value = Some((10_000_000_000 + self.next).to_string());
        let change = ConfigChange {
            name: KEY.to_owned(),
            operation: ConfigOperation::Set,
            value: value.clone(),
        };
        let (resource, changes) = (ConfigResource::topic(&name), [change]);
        let is_done = self.call(self.client.alter_configs(&resource, &changes)).await.is_some();
        let topic = self.topics.get_mut(&name).expect("one call at a time");
        if is_done && !topic.is_open {
            topic.values.clear();
        }
        topic.is_open |= !is_done;
        topic.values.push(value);
    }

    /// Deletes the records of a partition up to one that was read or acknowledged.
    async fn delete_records(&mut self) {
        let all: Vec<_> = self.load.partitions().collect();
        let of = all[self.load.env.rng.below(all.len() as u64) as usize].clone();
        let to = {
            let mut history = self.load.history();
            let end = history.end_of(&of).0 as u64;
            let to = Offset(self.load.env.rng.below(end + 1) as i64);
            history.note_deletion(&of, to);
            to
        };
        let wanted = [(of, to)];
        let delete = async {
            let results = self.client.delete_records(&wanted).await?;
            results.into_values().try_for_each(|result| result.map(|_| ()))
        };
        if self.call(delete).await.is_some() {
            self.load.history().deletions += 1;
        }
    }

    /// What was acknowledged is there.
    async fn prove(&mut self) {
        for (name, topic) in std::mem::take(&mut self.topics) {
            let found = self.look(&name).await;
            if !found.as_ref().is_some_and(|value| topic.values.contains(value)) {
                let text = format!("{name} is {found:?}, where {topic:?} was left (I33)");
                self.load.history().violate(text);
            }
        }
        for name in std::mem::take(&mut self.deleted) {
            if self.look(&name).await.is_some() {
                self.load.history().violate(format!("{name} was deleted, and is there (I33)"));
            }
        }
    }

    /// Whether a topic is there, and what the key is set to for it.
    async fn look(&self, name: &str) -> Option<Option<String>> {
        loop {
            match self.try_look(name).await {
                Ok(found) => return found,
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    return None;
                }
                Err(error) => tracing::debug!(%error, name, "not told"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_look(&self, name: &str) -> Result<Option<Option<String>>, ClientError> {
        let topics = self.client.list_topics(false).await?;
        if topics.iter().all(|topic| topic.name != name) {
            return Ok(None);
        }
        let entries = self.client.describe_configs(&ConfigResource::topic(name)).await?;
        let set = entries.into_iter().find(|entry| entry.name == KEY && entry.source == OF_TOPIC);
        Ok(Some(set.and_then(|entry| entry.value)))
    }
}
