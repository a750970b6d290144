//! One recording, from the topics to the last line.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use client::{Acks, Client, ClientError};
use env::{Env, Tasks};
use tokio::sync::{mpsc, watch};
use types::TopicPartition;

use super::options::{ClientSettings, RecordOptions};
use super::producer::{self, Pace};
use super::progress::Progress;
use super::shared::{Phase, Shared};
use super::watcher::Question;
use super::{final_read, group, reader, settings, topics, watcher};
use crate::history::{
    AcksLevel, Begin, ClientNumber, End, Event, Fault, FinalGroup, HistoryWriter, TopicShape,
    VERSION,
};
use crate::value::VALUE_BYTES_MIN;

/// What whoever started a recording tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something was done to the cluster just now.
    Fault { kind: String, note: String },
    /// End the load now.
    Stop,
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("cannot write the history: {0}")]
    History(#[from] io::Error),
}

/// What a recording left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub topics: Vec<String>,
    /// The history's size.
    pub bytes: u64,
    /// Whether everything planned was done; the history says so too.
    pub complete: bool,
}

/// The time between two beats of the prober.
const BEAT: Duration = Duration::from_millis(10);
/// Most partitions that are probed; more would be a load of their own.
const PROBED_MAX: usize = 16;
/// How often a group's coming to the end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Recording {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    tasks: Tasks,
    client: Client,
    options: RecordOptions,
    groups: Vec<String>,
}

/// Holds its group of clients open as long as one of them runs.
type Alive = mpsc::Sender<()>;

/// Records a history into a file. Ends after the load's duration and the time to settle, or sooner
/// by a note; a closed channel of notes means nothing.
pub async fn record(
    env: &Env,
    settings: &ClientSettings,
    options: &RecordOptions,
    path: &Path,
    notes: mpsc::Receiver<Note>,
    progress: Arc<Progress>,
) -> Result<Recorded, RecordError> {
    options.check(settings).map_err(RecordError::Invalid)?;
    let client = Client::new(env.clone(), settings.client.clone())?;
    let run = env.rng.next_u64() as u32;
    let (names, partitions) =
        topics::create(&client, &options.topics, &format!("{run:08x}")).await?;
    topics::in_sync(env, &client, &names, options.settle).await;
    let tasks = Tasks::new();
    let (sink, writer) = HistoryWriter::create(env, &tasks, path)?;
    let (phase, phases) = watch::channel(Phase::Load);
    let shared = Shared {
        env: env.clone(),
        sink,
        settings: settings.clone(),
        partitions,
        topics: names.clone(),
        run,
        progress,
        phase: phases,
        next_number: AtomicU32::new(1),
    };
    let groups = (0..options.load.groups)
        .map(|index| format!("{}-{run:08x}-{index}", options.topics.prefix));
    let recording = Recording {
        shared: Arc::new(shared),
        phase,
        tasks: tasks.clone(),
        client: client.clone(),
        options: options.clone(),
        groups: groups.collect(),
    };
    let result = recording.run(notes).await;
    tasks.shutdown(Duration::from_secs(5)).await;
    client.close().await;
    let bytes = writer.finish().await?;
    Ok(Recorded { topics: names, bytes, complete: result? })
}

impl Recording {
    async fn run(self, notes: mpsc::Receiver<Note>) -> Result<bool, ClientError> {
        let producers = self.begin().await;
        let (readers_alive, mut readers_ended) = mpsc::channel(1);
        self.start_readers(readers_alive);
        let (producers_alive, mut producers_ended) = mpsc::channel(1);
        self.start_producers(producers, producers_alive);
        self.load(notes).await;
        self.phase.send_replace(Phase::Settle);
        ended(&mut producers_ended).await;
        let (env, settle) = (&self.shared.env, self.options.settle);
        let in_sync = topics::in_sync(env, &self.client, &self.shared.topics, settle).await;
        let ends = topics::ends(env, &self.client, &self.shared.partitions, settle).await;
        let mut complete = in_sync && ends.is_some();
        let ends = ends.unwrap_or_default();
        complete &= self.settle_groups(&ends).await;
        self.phase.send_replace(Phase::Done);
        ended(&mut readers_ended).await;
        complete &= final_read::run(&self.shared, self.shared.number(), &ends, settle)
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "the final read failed");
                false
            });
        settings::final_read(&self.shared, self.shared.number()).await;
        let end = End { at: self.shared.now(), complete };
        self.shared.sink.put(Event::End(end)).await;
        Ok(complete)
    }

    /// Writes the first line; returns the producers' numbers, the prober's last.
    async fn begin(&self) -> Vec<ClientNumber> {
        let load = &self.options.load;
        let count = load.producers + u32::from(load.probe);
        let producers: Vec<ClientNumber> = (0..count).map(|_| self.shared.number()).collect();
        let probers = producers.iter().skip(load.producers as usize).copied().collect();
        let settings = &self.shared.settings.producer;
        let acks = match settings.acks {
            Acks::All => AcksLevel::All,
            Acks::Leader => AcksLevel::Leader,
            Acks::None => AcksLevel::None,
        };
        let partitions = self.options.topics.partitions;
        let shape = |name: &String| TopicShape { name: name.clone(), partitions };
        let begin = Begin {
            version: VERSION,
            run: format!("{:08x}", self.shared.run),
            started_ms: self.shared.env.clock.wall().0,
            acks,
            idempotent: settings.idempotence && settings.acks == Acks::All,
            topics: self.shared.topics.iter().map(shape).collect(),
            probers,
            note: format!("{:?}", self.options),
        };
        self.shared.sink.put(Event::Begin(begin)).await;
        producers
    }

    fn start_producers(&self, numbers: Vec<ClientNumber>, alive: Alive) {
        let load = &self.options.load;
        let each = load.rate / load.producers;
        // The first ones take what does not divide.
        let more = load.rate % load.producers;
        for (index, number) in numbers.into_iter().enumerate() {
            let shared = self.shared.clone();
            let (pace, bytes) = if (index as u32) < load.producers {
                let per_second = each + u32::from((index as u32) < more);
                (Pace::Rate { per_second }, load.record_bytes)
            } else {
                (Pace::Beat { every: BEAT, partitions: self.probed() }, VALUE_BYTES_MIN)
            };
            let alive = alive.clone();
            self.tasks.spawn(async move {
                producer::run(shared, number, pace, bytes).await;
                drop(alive);
            });
        }
    }

    /// Partitions to probe, spread over all.
    fn probed(&self) -> Vec<usize> {
        let count = self.shared.partitions.len();
        let probed = count.min(PROBED_MAX);
        (0..probed).map(|index| index * count / probed).collect()
    }

    fn start_readers(&self, alive: Alive) {
        let shared = &self.shared;
        for _ in 0..self.options.load.readers {
            self.spawn(&alive, reader::run(shared.clone(), shared.number()));
        }
        // Two, so that one that is stuck with a broker does not stop all questions.
        for _ in 0..2 {
            let number = shared.number();
            self.spawn(&alive, watcher::run(shared.clone(), number, Question::Ends));
        }
        for name in &self.groups {
            let number = shared.number();
            let question = Question::Positions(name.clone());
            self.spawn(&alive, watcher::run(shared.clone(), number, question));
            for _ in 0..self.options.load.members {
                let churn = self.options.load.churn;
                self.spawn(&alive, group::run(shared.clone(), name.clone(), churn));
            }
        }
        self.spawn(&alive, settings::write(shared.clone(), shared.number()));
    }

    fn spawn(&self, alive: &Alive, work: impl Future<Output = ()> + Send + 'static) {
        let alive = alive.clone();
        self.tasks.spawn(async move {
            work.await;
            drop(alive);
        });
    }

    /// Waits for the load's end and writes down what notes tell meanwhile.
    async fn load(&self, mut notes: mpsc::Receiver<Note>) {
        let mut over = std::pin::pin!(tokio::time::sleep(self.options.duration));
        let mut open = true;
        loop {
            let note = tokio::select! {
                note = notes.recv(), if open => note,
                () = &mut over => return,
            };
            match note {
                Some(Note::Fault { kind, note }) => {
                    let fault = Fault { at: self.shared.now(), kind, note };
                    self.shared.sink.put(Event::Fault(fault)).await;
                }
                Some(Note::Stop) => return,
                None => open = false,
            }
        }
    }

    /// Waits until all groups were handed everything, and writes down whether they were.
    async fn settle_groups(&self, ends: &BTreeMap<TopicPartition, i64>) -> bool {
        let deadline = self.shared.env.clock.now() + self.options.settle;
        let is_past =
            |group: &String| !ends.is_empty() && self.shared.progress.group_is_past(group, ends);
        while !self.groups.iter().all(is_past) && self.shared.env.clock.now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let mut all = true;
        for group in &self.groups {
            let complete = is_past(group);
            all &= complete;
            let last = FinalGroup { group: group.clone(), complete };
            self.shared.sink.put(Event::FinalGroup(last)).await;
        }
        all
    }
}

/// Waits until the last of a group of clients has ended.
async fn ended(alive: &mut mpsc::Receiver<()>) {
    while alive.recv().await.is_some() {}
}
