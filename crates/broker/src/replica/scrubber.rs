//! Reads all that lies on disk, slowly, to find damage while other replicas can still repair it.
//!
//! Promises:
//! - a task for each log directory, which reads at most `ottla.scrub.bytes.per.second`, one portion
//!   after the other;
//! - a round goes over all partitions by name and begins `ottla.scrub.interval.ms` after the one
//!   before it; a restarted node goes on with the partition that it was at;
//! - what others read stays in memory: what a portion fetched from the disk is let go after it;
//! - between rounds it does nothing.
//!
//! Does not: act on what it finds. The log notes it; [`super::quarantine`] acts.

use super::manager::ReplicaManager;
use super::stall::DirHealth;
use crate::context::BrokerCore;
use env::Disk;
use env::disk::{read_file, write_file_atomically};
use log::{LogHandle, ScrubCursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use types::{PartitionIndex, Timestamp, TopicPartition};

/// Most bytes read at once: at the slowest rates, it takes longer until the next portion.
const PORTION_BYTES: u64 = 1 << 20;
/// After each portion, however small: many small partitions are work, too.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Before the first round of a start: others need the disk more.
const START_DELAY: Duration = Duration::from_secs(10);
/// Longest sleep: whoever changes the clock shall not wait for a week.
const REST_MAX: Duration = Duration::from_secs(3600);
/// Where a round stands, in its log directory.
const POSITION_FILE: &str = "ottla-scrub-position";
/// How often that is written at most.
const SAVE_INTERVAL: Duration = Duration::from_secs(60);

/// Starts a task for each directory, unless the rate is 0.
pub fn start(core: &Arc<BrokerCore>, manager: &Arc<ReplicaManager>) {
    let disks = core.config.storage.disks;
    if disks.scrub_bytes_per_second == 0 {
        return;
    }
    for health in manager.healths() {
        let scrubber = Scrubber {
            core: core.clone(),
            manager: Arc::downgrade(manager),
            health,
            bytes_per_second: disks.scrub_bytes_per_second,
            interval: disks.scrub_interval,
        };
        crate::broker::spawn(&core.tasks, scrubber.run());
    }
}

/// Where a round stands: a text of three lines. Version 1:
///
/// ```text
/// 1
/// <begin of the round, milliseconds since 1970>
/// <topic> <partition>          everything before it was looked at; empty: the round is over
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
struct Position {
    begun: Timestamp,
    next: Option<TopicPartition>,
}

impl Position {
    fn encode(&self) -> String {
        let next = self.next.as_ref().map(|next| format!("{} {}", next.topic, next.partition));
        format!("1\n{}\n{}\n", self.begun.0, next.unwrap_or_default())
    }

    /// `None` for anything else than version 1: then a round begins.
    fn decode(text: &str) -> Option<Position> {
        let mut lines = text.lines();
        if lines.next()? != "1" {
            return None;
        }
        let begun = Timestamp(lines.next()?.parse().ok()?);
        let line = lines.next()?;
        let next = match line.split_once(' ') {
            Some((topic, index)) => {
                let partition = PartitionIndex(index.parse().ok()?);
                Some(TopicPartition { topic: topic.to_owned(), partition })
            }
            None if line.is_empty() => None,
            None => return None,
        };
        Some(Position { begun, next })
    }
}

struct Scrubber {
    core: Arc<BrokerCore>,
    manager: Weak<ReplicaManager>,
    health: Arc<DirHealth>,
    bytes_per_second: u64,
    interval: Duration,
}

/// The manager is gone, or the directory failed.
struct Over;

impl Scrubber {
    async fn run(self) {
        tokio::time::sleep(START_DELAY.min(self.interval)).await;
        let mut position = self.load().await;
        loop {
            let now = self.core.env.clock.wall();
            let is_over = position.next.is_none();
            let age = Duration::from_millis(u64::try_from(now.0 - position.begun.0).unwrap_or(0));
            // A clock that was set back begins anew as well.
            if is_over && age < self.interval && now >= position.begun {
                tokio::time::sleep((self.interval - age).min(REST_MAX)).await;
                continue;
            }
            if is_over {
                position.begun = now;
            }
            if self.round(&mut position).await.is_err() {
                return;
            }
        }
    }

    /// Goes over all partitions from the position's on.
    async fn round(&self, position: &mut Position) -> Result<(), Over> {
        let started = self.core.env.clock.now();
        let (mut bytes, mut saved) = (0, started);
        let mut found = 0;
        for partition in self.partitions(position.next.as_ref())? {
            let manager = self.manager.upgrade().ok_or(Over)?;
            let Some(log) = manager.logs().get(&partition) else { continue };
            drop(manager);
            position.next = Some(partition.clone());
            if self.core.env.clock.now().since(saved) >= SAVE_INTERVAL {
                saved = self.core.env.clock.now();
                self.save(position).await;
            }
            let (read, damages) = self.scrub(&partition, &log).await?;
            bytes += read;
            found += damages;
        }
        position.next = None;
        self.save(position).await;
        self.core.metrics.scrub_round();
        let took = self.core.env.clock.now().since(started);
        let dir = self.health.path.display();
        tracing::info!(%dir, bytes, damages = found, ?took, "log directory was looked through");
        Ok(())
    }

    /// The partitions of the directory from a name on.
    fn partitions(&self, from: Option<&TopicPartition>) -> Result<Vec<TopicPartition>, Over> {
        let manager = self.manager.upgrade().ok_or(Over)?;
        let mut views = manager.logs().describe_directories();
        let at = views.iter().position(|view| view.path == self.health.path).ok_or(Over)?;
        let view = views.swap_remove(at);
        if !view.is_online {
            return Err(Over);
        }
        let names = view.logs.into_iter().map(|(partition, _)| partition);
        Ok(names.filter(|partition| from.is_none_or(|from| partition >= from)).collect())
    }

    /// One partition: bytes read, and damage found.
    async fn scrub(&self, partition: &TopicPartition, log: &LogHandle) -> Result<(u64, u64), Over> {
        let (mut cursor, mut bytes, mut found) = (ScrubCursor::default(), 0, 0);
        let portion = PORTION_BYTES.min(self.bytes_per_second);
        loop {
            if self.manager.strong_count() == 0 {
                return Err(Over);
            }
            if !self.health.is_well() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let reading = log.clone();
            let done = env::tasks::blocking(move || reading.scrub(cursor, portion)).await;
            let done = match done {
                Ok(done) => done,
                // Removed, moved or failed meanwhile.
                Err(error) => {
                    tracing::debug!(%partition, %error, "cannot be looked through");
                    if let Some(manager) = self.manager.upgrade() {
                        manager.failures().push(&error);
                    }
                    return Ok((bytes, found));
                }
            };
            bytes += done.bytes;
            found += u64::from(done.damage.is_some());
            let pause = done.bytes as f64 / self.bytes_per_second as f64;
            tokio::time::sleep(Duration::from_secs_f64(pause).max(PAUSE_MIN)).await;
            self.core.metrics.scrubbed(done.bytes, u64::from(done.damage.is_some()));
            if done.is_at_end {
                return Ok((bytes, found));
            }
            cursor = done.next;
        }
    }

    fn file(&self) -> PathBuf {
        self.health.path.join(POSITION_FILE)
    }

    async fn load(&self) -> Position {
        let (disk, file) = (self.core.env.disk.clone(), self.file());
        let known = env::tasks::blocking(move || read_position(&*disk, &file)).await;
        known.unwrap_or(Position { begun: Timestamp(0), next: None })
    }

    /// Worth little: without it, the next start begins anew.
    async fn save(&self, position: &Position) {
        let (disk, file, text) = (self.core.env.disk.clone(), self.file(), position.encode());
        let write = move || write_file_atomically(&*disk, &file, text.as_bytes());
        if let Err(error) = env::tasks::blocking(write).await {
            tracing::debug!(%error, "cannot write down where the scrubber is");
        }
    }
}

fn read_position(disk: &dyn Disk, file: &Path) -> Option<Position> {
    let bytes = read_file(disk, file).ok()?;
    Position::decode(std::str::from_utf8(&bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_encoding_and_anything_else_begins_anew() {
        let next = TopicPartition { topic: "a.b-c".to_owned(), partition: PartitionIndex(7) };
        for next in [Some(next), None] {
            let position = Position { begun: Timestamp(1234), next };
            assert_eq!(Position::decode(&position.encode()), Some(position));
        }
        for text in ["", "2\n5\n\n", "1\nx\n\n", "1\n5\n", "1\n5\na\n", "1\n5\na x\n"] {
            assert_eq!(Position::decode(text), None, "{text:?}");
        }
    }
}
