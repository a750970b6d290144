//! A log as far as replication sees it: the epoch of each record, and the epoch cache.

use types::{EpochOffset, LeaderEpoch, Offset};

#[derive(Clone, Debug, Default)]
pub struct ModelLog {
    pub start: i64,
    pub epochs: Vec<i32>,
    /// Epoch starts without (or before) records, as a leader writes them.
    pub starts: Vec<(i32, i64)>,
}

impl ModelLog {
    /// From runs such as `1*3 2*4`: three records of epoch 1, four of epoch 2.
    pub fn parse(runs: &[&str], start: i64) -> ModelLog {
        let mut log = ModelLog { start, ..ModelLog::default() };
        for run in runs {
            let (epoch, count) = run.split_once('*').expect("a run is epoch*count");
            log.append(epoch.parse().expect("epoch"), count.parse().expect("count"));
        }
        log
    }

    pub fn append(&mut self, epoch: i32, count: usize) {
        self.begin_epoch(epoch);
        self.epochs.extend(std::iter::repeat_n(epoch, count));
    }

    pub fn begin_epoch(&mut self, epoch: i32) {
        if self.starts.last().is_none_or(|(last, _)| *last < epoch) {
            self.starts.push((epoch, self.end().0));
        }
    }

    pub fn end(&self) -> Offset {
        Offset(self.start + self.epochs.len() as i64)
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().map_or(LeaderEpoch::NONE, |epoch| LeaderEpoch(*epoch))
    }

    /// Kafka's `endOffsetFor`.
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochOffset> {
        let latest = self.starts.last()?;
        if latest.0 == epoch.0 {
            return Some(EpochOffset { epoch, offset: self.end() });
        }
        let above = self.starts.iter().find(|(other, _)| *other > epoch.0)?;
        let floor = self.starts.iter().rfind(|(other, _)| *other <= epoch.0);
        let epoch = floor.map_or(epoch, |(floor, _)| LeaderEpoch(*floor));
        Some(EpochOffset { epoch, offset: Offset(above.1) })
    }

    pub fn truncate(&mut self, end: Offset) {
        self.epochs.truncate((end.0 - self.start).max(0) as usize);
        self.starts.retain(|(_, start)| *start < end.0);
    }

    /// The runs again.
    pub fn show(&self) -> String {
        let mut text = format!("[{}..{}]", self.start, self.end());
        for run in self.epochs.chunk_by(|one, next| one == next) {
            text += &format!(" {}*{}", run[0], run.len());
        }
        text
    }
}
