//! Replicas that this broker cannot serve: their log directory failed, or there was no room.
//!
//! Promises:
//! - an I/O error of one partition takes its whole directory offline, at once and for the rest of
//!   this life (a failed sync is never tried again);
//! - the controller is told until it has answered, so that others lead;
//! - a partition that may lie in an offline directory is not made anew in another: what it held
//!   would be forgotten. Kafka does the same;
//! - a node all of whose directories failed stops, once the controller knows;
//! - want of space is no failure: what could not be made for it is tried again;
//! - records that the metadata counts on and that are gone (a disk was replaced, a partition's
//!   directory removed) are reported before this start asks to be unfenced, and nothing is made in
//!   their place while the metadata counts on them: an empty leader would have the others cut theirs.

use super::manager::ReplicaManager;
use super::partition::Partition;
use log::LogDirError;
use metadata::{Command, FailReplicas, Image, Reply};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use types::{LeaderEpoch, TopicIdPartition};

/// Most replicas in one command.
const REPLICAS_PER_COMMAND_MAX: usize = 1000;
/// How long after an attempt that was not answered the next one comes.
const RETRY: Duration = Duration::from_secs(1);
/// How often a node that serves nothing any more tries to tell so before it stops.
const TELL_TRIES: u32 = 5;

/// Errors of log directories on their way to whoever acts on them. Cheap to clone.
#[derive(Clone, Default)]
pub struct DirFailures(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// One for each directory.
    errors: Mutex<Vec<LogDirError>>,
    news: Notify,
}

impl DirFailures {
    /// Takes note of an error; those that are no failure of the directory are passed over.
    pub fn push(&self, error: &LogDirError) {
        if !error.is_of_directory() {
            return;
        }
        let mut errors = self.lock();
        if errors.iter().all(|known| known.dir != error.dir) {
            errors.push(error.clone());
        }
        self.0.news.notify_one();
    }

    /// Something is to be told to the controller.
    pub fn wake(&self) {
        self.0.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LogDirError>> {
        self.0.errors.lock().expect("no thread panicked while it held the errors")
    }

    /// Acts on errors until the manager is gone or the task is aborted.
    pub async fn run(self, manager: Weak<ReplicaManager>) {
        loop {
            self.0.news.notified().await;
            let mut tries = 0;
            loop {
                let Some(manager) = manager.upgrade() else { return };
                let errors = std::mem::take(&mut *self.lock());
                let acting = manager.clone();
                env::tasks::blocking(move || acting.take_offline(&errors)).await;
                let is_told = manager.report_unserved().await;
                if manager.logs().directories().is_empty() && (is_told || tries == TELL_TRIES) {
                    let reason = "every log directory is offline".to_owned();
                    manager.core().failure.send_replace(Some(reason));
                    return;
                }
                if is_told {
                    break;
                }
                tries += 1;
                drop(manager);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// The replicas that are the broker's and are not served.
#[derive(Default)]
pub struct Unserved(Mutex<UnservedState>);

#[derive(Default)]
struct UnservedState {
    /// Their directory failed: nothing changes before the next start.
    failed: BTreeSet<TopicIdPartition>,
    /// There was no room for them.
    waiting: BTreeSet<TopicIdPartition>,
    /// The metadata counts on records of theirs that are gone: nothing is made in their place before
    /// it does not any more.
    gone: BTreeSet<TopicIdPartition>,
    /// Not yet told to the controller.
    untold: BTreeSet<TopicIdPartition>,
}

impl Unserved {
    fn lock(&self) -> MutexGuard<'_, UnservedState> {
        self.0.lock().expect("no thread panicked while it held the unserved replicas")
    }

    pub fn fail(&self, id: TopicIdPartition) {
        let mut state = self.lock();
        if state.failed.insert(id) {
            state.untold.insert(id);
        }
    }

    pub fn wait(&self, id: TopicIdPartition) {
        let mut state = self.lock();
        if state.waiting.insert(id) {
            state.untold.insert(id);
        }
    }

    pub fn lose(&self, id: TopicIdPartition) {
        let mut state = self.lock();
        if state.gone.insert(id) {
            state.untold.insert(id);
        }
    }

    pub fn has_failed(&self, id: &TopicIdPartition) -> bool {
        self.lock().failed.contains(id)
    }

    pub fn is_gone(&self, id: &TopicIdPartition) -> bool {
        self.lock().gone.contains(id)
    }

    /// It is the broker's no longer, or it is served after all.
    pub fn forget(&self, id: &TopicIdPartition) {
        let mut state = self.lock();
        state.failed.remove(id);
        state.waiting.remove(id);
        state.gone.remove(id);
        state.untold.remove(id);
    }

    fn untold(&self) -> usize {
        self.lock().untold.len()
    }

    /// Some of what the controller has not been told, all of it gone or none.
    fn next_to_tell(&self) -> Option<(Vec<TopicIdPartition>, bool)> {
        let state = self.lock();
        let of_kind = |gone: bool| -> Vec<TopicIdPartition> {
            let alike = state.untold.iter().filter(|id| state.gone.contains(id) == gone);
            alike.copied().take(REPLICAS_PER_COMMAND_MAX).collect()
        };
        let kinds = [true, false].into_iter().map(|gone| (of_kind(gone), gone));
        kinds.into_iter().find(|(partitions, _)| !partitions.is_empty())
    }

    /// Those for which there was no room, to be tried again.
    pub fn waiting(&self) -> Vec<TopicIdPartition> {
        self.lock().waiting.iter().copied().collect()
    }
}

impl Partition {
    /// The directory failed: every wait is answered, and nothing is served from here on.
    fn lose(self: &Arc<Self>) {
        self.idle(LeaderEpoch(i32::MAX));
        tracing::error!(partition = %self.name, "offline with its log directory");
    }
}

impl ReplicaManager {
    /// Fences the directories of these errors, and lets go of every partition that went with them.
    fn take_offline(&self, errors: &[LogDirError]) {
        let _one = self.following();
        for error in errors {
            self.logs().fence_directory(error);
        }
        // Calls of the log manager fence by themselves: what is lost is what it no longer holds.
        let is_lost =
            |partition: &Arc<Partition>| !self.logs().holds(&partition.name, partition.log());
        let lost: Vec<Arc<Partition>> = self.partitions().into_iter().filter(is_lost).collect();
        for partition in &lost {
            // First: who does not find it asks whether it has failed.
            self.unserved().fail(partition.id);
            self.take_out(&partition.id);
        }
        lost.iter().for_each(Partition::lose);
        if !lost.is_empty() && self.logs().directories().is_empty() {
            tracing::error!("every log directory is offline: this broker serves nothing");
        }
    }

    /// Tells the controller which of the records that it counts on are gone, before this broker asks
    /// to be unfenced. If it cannot be told in time, it is told later, and nothing is served meanwhile.
    pub async fn report_losses(&self) {
        let mut tries = 0;
        while tries < TELL_TRIES {
            let before = self.unserved().untold();
            if self.report_unserved().await {
                return;
            }
            // A disk of very many partitions takes several commands.
            if self.unserved().untold() < before {
                continue;
            }
            tries += 1;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Tells the controller what it has not been told; true if nothing is left to tell.
    async fn report_unserved(&self) -> bool {
        let core = self.core();
        let image = core.image.load();
        let broker_epoch = core.broker_epoch.get();
        let Some((partitions, records_gone)) = self.unserved().next_to_tell() else { return true };
        if broker_epoch == types::BrokerEpoch::NONE {
            return false;
        }
        let command = Command::FailReplicas(FailReplicas {
            broker_id: core.node_id,
            broker_epoch,
            log_dirs: self.logs().failed_directories(),
            partitions: partitions.clone(),
            records_gone,
        });
        match core.controller.submit(command).await {
            Ok((Reply::Done, _)) => {
                let names = names(&image, &partitions);
                tracing::warn!(replicas = ?names, records_gone, "told the controller of replicas not served");
                let mut state = self.unserved().lock();
                partitions.iter().for_each(|id| {
                    state.untold.remove(id);
                });
                state.untold.is_empty()
            }
            // A registration that is under way gives a new epoch.
            Ok((reply, _)) => {
                tracing::warn!(?reply, "failed replicas not taken note of");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "failed replicas not told");
                false
            }
        }
    }
}

/// The first few, for a log line.
fn names(image: &Image, partitions: &[TopicIdPartition]) -> Vec<String> {
    let name = |id: &TopicIdPartition| match image.topic(id.topic_id) {
        Some(topic) => format!("{}-{}", topic.name, id.partition),
        None => format!("{}-{}", id.topic_id, id.partition),
    };
    partitions.iter().take(10).map(name).collect()
}
