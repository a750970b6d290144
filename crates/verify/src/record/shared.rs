//! What all clients of a run share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use client::{Client, ClientError, ConsumedRecord};
use env::Env;
use tokio::sync::watch;
use types::TopicPartition;

use super::options::ClientSettings;
use super::progress::Progress;
use crate::history::{At, ClientNumber, HistorySink, RecordName, Run};
use crate::value::Values;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Load,
    /// Producers have ended; readers come to the end.
    Settle,
    Done,
}

pub struct Shared {
    pub env: Env,
    pub sink: HistorySink,
    pub settings: ClientSettings,
    /// All partitions of the run; a partition's number is its place here.
    pub partitions: Vec<TopicPartition>,
    pub topics: Vec<String>,
    pub run: u32,
    pub progress: Arc<Progress>,
    pub phase: watch::Receiver<Phase>,
    pub next_number: AtomicU32,
}

/// What was read of one partition.
#[derive(Default)]
pub struct Content {
    pub runs: Vec<Run>,
    pub damaged: Vec<(i64, String)>,
    /// The offset after the last record.
    pub next: i64,
}

impl Shared {
    pub fn now(&self) -> At {
        self.env.clock.now().into()
    }

    /// A number that no other client of the run has.
    pub fn number(&self) -> ClientNumber {
        ClientNumber(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// A client with its own connections.
    pub fn client(&self, number: ClientNumber) -> Result<Client, ClientError> {
        self.client_that_waits(number, self.settings.client.request_timeout)
    }

    /// The same, with its own patience for one answer.
    pub fn client_that_waits(
        &self,
        number: ClientNumber,
        request_timeout: Duration,
    ) -> Result<Client, ClientError> {
        let mut options = self.settings.client.clone();
        options.request_timeout = request_timeout;
        options.client_id = format!("{}-{number}", options.client_id);
        Client::new(self.env.clone(), options)
    }

    pub fn is_in(&self, phase: Phase) -> bool {
        *self.phase.borrow() == phase
    }

    /// Waits until a phase has come.
    pub async fn reached(&self, phase: Phase) {
        let mut changes = self.phase.clone();
        // Without a sender the run is over.
        let _ = changes.wait_for(|now| *now >= phase).await;
    }

    pub fn values(&self, partition: usize) -> Values {
        Values { run: self.run, partition: partition as u32 }
    }

    /// What consumed records say, by partition, in the order in which they came.
    pub fn contents(&self, records: &[ConsumedRecord]) -> BTreeMap<TopicPartition, Content> {
        let mut contents: BTreeMap<TopicPartition, Content> = BTreeMap::new();
        for record in records {
            let content = match contents.get_mut(&record.partition) {
                Some(content) => content,
                None => contents.entry(record.partition.clone()).or_default(),
            };
            content.next = record.offset.0 + 1;
            match self.name_of(record) {
                Ok(name) => push(&mut content.runs, record.offset.0, name),
                Err(reason) => content.damaged.push((record.offset.0, reason)),
            }
        }
        Progress::add(&self.progress.read, records.len() as u64);
        contents
    }

    fn name_of(&self, record: &ConsumedRecord) -> Result<RecordName, String> {
        let index = self.partitions.binary_search(&record.partition);
        let Ok(index) = index else {
            return Err(format!("{} is no partition of the run", record.partition));
        };
        let name = self.values(index).decode(record.value.as_deref())?;
        match &record.key {
            Some(key) if **key == *key_of(name).as_bytes() => Ok(name),
            _ => Err("its key is not as sent".to_owned()),
        }
    }
}

/// The key that a record is sent with.
pub fn key_of(name: RecordName) -> String {
    name.to_string()
}

/// Adds a record to runs, joining it to the last where it follows on.
fn push(runs: &mut Vec<Run>, offset: i64, name: RecordName) {
    if let Some(Run(first, producer, counter, count)) = runs.last_mut()
        && *producer == name.producer
        && *first + i64::from(*count) == offset
        && *counter + *count == name.counter
    {
        *count += 1;
        return;
    }
    runs.push(Run(offset, name.producer, name.counter, 1));
}
