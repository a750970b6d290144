//! Log directories whose disk hangs: work in one that does not come back.
//!
//! ```text
//!            work is out for the limit              nothing is out that long
//!   Well ------------------------------> Stuck ------------------------------> Recovering
//!    ^                                     ^                                     |   |
//!    |                                     +----- out for the limit again -------+   |
//!    +------------- every answer was quick for a while (longer after a relapse) -----+
//! ```
//!
//! Promises:
//! - noting work takes no lock;
//! - time in which nobody looked (a paused process, a starved machine) counts against no disk.
//!
//! Does not: act. [`super::gray`] does.

use super::rooms::DirRooms;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use types::Monotonic;

/// Pieces of work that are watched at once in one directory. Where there are more, those that are
/// watched are enough to see a disk hang.
const SLOTS: usize = 64;
/// The share of the limit after which what can wait does not begin.
const SUSPECT_SHARE: u32 = 5;
/// How many times the limit a disk must have answered quickly until it counts as well.
const REST_LIMITS: u32 = 5;
/// Longest such time, after relapses.
const REST_MAX: Duration = Duration::from_secs(300);

/// What a directory is trusted with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Well,
    /// Whoever works there hangs: nobody else begins.
    Stuck,
    /// It answers, and is not trusted yet: nothing is promised of it.
    Recovering,
}

/// One log directory, as those see it who work in it.
pub struct DirHealth {
    pub path: PathBuf,
    /// Where blocking work of it is done.
    pub rooms: DirRooms,
    /// How long work may be out until others rather wait elsewhere; `None`: nobody watches.
    patience: Option<Duration>,
    phase: AtomicU8,
    /// When each piece of work began, in microseconds; 0 for none.
    begun: [AtomicU64; SLOTS],
}

/// Work that is under way in a directory, until it is dropped.
pub struct Working(Option<(Arc<DirHealth>, usize)>);

impl DirHealth {
    /// `limit`: after which it is stuck, if somebody watches it.
    pub fn new(path: &Path, limit: Option<Duration>) -> Arc<DirHealth> {
        Arc::new(DirHealth {
            path: path.to_owned(),
            rooms: DirRooms::new(),
            patience: limit.map(|limit| limit / SUSPECT_SHARE),
            phase: AtomicU8::new(Phase::Well as u8),
            begun: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            phase if phase == Phase::Well as u8 => Phase::Well,
            phase if phase == Phase::Stuck as u8 => Phase::Stuck,
            _ => Phase::Recovering,
        }
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub fn is_stuck(&self) -> bool {
        self.phase() == Phase::Stuck
    }

    /// Whether whoever begins work here may hang: it is stuck, or may be so soon.
    pub fn is_suspect(&self, now: Monotonic) -> bool {
        let is_slow = |began: Monotonic| self.patience.is_some_and(|most| now.since(began) > most);
        self.is_stuck() || self.oldest().is_some_and(is_slow)
    }

    pub fn is_well(&self) -> bool {
        self.phase() == Phase::Well
    }

    /// Work begins here that the disk must do before anybody goes on.
    pub fn working(self: &Arc<Self>, now: Monotonic) -> Working {
        let began = now.0.max(1);
        let is_taken = |slot: &AtomicU64| {
            slot.compare_exchange(0, began, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        Working(self.begun.iter().position(is_taken).map(|slot| (self.clone(), slot)))
    }

    /// When the oldest work that is not done began.
    pub fn oldest(&self) -> Option<Monotonic> {
        let begun = self.begun.iter().map(|slot| slot.load(Ordering::Acquire));
        begun.filter(|began| *began > 0).min().map(Monotonic)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some((health, slot)) = &self.0 {
            health.begun[*slot].store(0, Ordering::Release);
        }
    }
}

/// When a directory changes its phase. Looked at from time to time.
#[derive(Clone, Debug)]
pub struct StallRule {
    limit: Duration,
    /// Looks further apart than this were no looks.
    interval_max: Duration,
    phase: Phase,
    looked: Monotonic,
    /// Nobody looked before this time: what was out then counts from here.
    blind_until: Monotonic,
    /// Since when every answer was quick.
    quick_since: Monotonic,
    /// When it last became well again; `None`: it has always been.
    well_since: Option<Monotonic>,
    rest: Duration,
}

impl StallRule {
    /// `limit`: how long work may be out.
    pub fn new(limit: Duration, interval: Duration, now: Monotonic) -> StallRule {
        StallRule {
            limit,
            interval_max: interval * 2,
            phase: Phase::Well,
            looked: now,
            blind_until: now,
            quick_since: now,
            well_since: None,
            rest: limit * REST_LIMITS,
        }
    }

    /// The new phase, if it changes.
    pub fn look(&mut self, now: Monotonic, oldest: Option<Monotonic>) -> Option<Phase> {
        if now.since(self.looked) > self.interval_max {
            self.blind_until = now;
        }
        self.looked = now;
        // Nobody's absence makes a disk well.
        let blind_until = match self.phase {
            Phase::Stuck => Monotonic::ZERO,
            Phase::Well | Phase::Recovering => self.blind_until,
        };
        let out = oldest.map_or(Duration::ZERO, |began| now.since(began.max(blind_until)));
        if out >= self.limit / 4 {
            self.quick_since = now;
        }
        let next = match self.phase {
            Phase::Well | Phase::Recovering if out >= self.limit => Phase::Stuck,
            Phase::Stuck if out < self.limit / 2 => Phase::Recovering,
            Phase::Recovering if now.since(self.quick_since) >= self.rest => Phase::Well,
            same @ (Phase::Well | Phase::Stuck | Phase::Recovering) => same,
        };
        if next == self.phase {
            return None;
        }
        match next {
            Phase::Well => self.well_since = Some(now),
            Phase::Recovering => self.quick_since = now,
            Phase::Stuck => {
                // Well for long, or always: what was before does not count any more.
                let was_well = self.phase == Phase::Well
                    && self.well_since.is_none_or(|since| now.since(since) > REST_MAX);
                self.rest = match was_well {
                    true => self.limit * REST_LIMITS,
                    false => (self.rest * 2).min(REST_MAX),
                };
            }
        }
        self.phase = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(2000);
    const INTERVAL: Duration = Duration::from_millis(300);

    fn at(ms: u64) -> Monotonic {
        Monotonic(ms * 1000)
    }

    /// Looks every interval from `from` to `to`; the changes, with their times.
    fn look(
        rule: &mut StallRule,
        from: u64,
        to: u64,
        oldest: impl Fn(u64) -> Option<u64>,
    ) -> Vec<(u64, Phase)> {
        let times = (from..=to).step_by(300);
        times.filter_map(|ms| Some((ms, rule.look(at(ms), oldest(ms).map(at))?))).collect()
    }

    #[test]
    fn a_disk_that_hangs_is_stuck_after_the_limit_and_well_after_a_while_of_quick_answers() {
        let mut rule = StallRule::new(LIMIT, INTERVAL, at(0));
        let hung = |ms: u64| (1000..10_000).contains(&ms).then_some(1000);
        let changes = look(&mut rule, 0, 60_000, hung);
        let expected = [(3000, Phase::Stuck), (10_200, Phase::Recovering), (20_400, Phase::Well)];
        assert_eq!(changes, expected);
    }

    #[test]
    fn slow_answers_keep_a_disk_from_being_well_and_a_relapse_makes_the_wait_longer() {
        let mut rule = StallRule::new(LIMIT, INTERVAL, at(0));
        let hung = |ms: u64| match ms {
            1000..10_000 => Some(1000),
            // Each answer takes 600 ms for a while.
            12_000..30_000 => Some(ms - 600),
            40_000..43_000 => Some(40_000),
            50_000..53_000 => Some(50_000),
            _ => None,
        };
        let changes = look(&mut rule, 0, 200_000, hung);
        let expected = [
            (3000, Phase::Stuck),
            (10_200, Phase::Recovering),
            (39_900, Phase::Well),
            (42_000, Phase::Stuck),
            (43_200, Phase::Recovering),
            (52_200, Phase::Stuck),
            (53_100, Phase::Recovering),
            (93_300, Phase::Well),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn a_process_that_was_paused_blames_no_disk() {
        let mut rule = StallRule::new(LIMIT, INTERVAL, at(0));
        assert_eq!(look(&mut rule, 0, 1200, |_| Some(900)), []);
        // Nothing ran for a minute.
        assert_eq!(look(&mut rule, 61_200, 62_100, |_| Some(900)), []);
        assert_eq!(look(&mut rule, 62_400, 63_300, |_| Some(900)), [(63_300, Phase::Stuck)]);
    }

    #[test]
    fn a_look_that_comes_late_makes_no_stuck_disk_well() {
        let mut rule = StallRule::new(LIMIT, INTERVAL, at(0));
        assert_eq!(look(&mut rule, 0, 3000, |_| Some(900)), [(3000, Phase::Stuck)]);
        assert_eq!(look(&mut rule, 4500, 9000, |_| Some(900)), []);
    }

    #[test]
    fn work_is_noted_until_it_is_dropped_however_much_there_is() {
        let health = DirHealth::new(Path::new("/a"), None);
        assert_eq!(health.oldest(), None);
        let first = health.working(at(5));
        let more: Vec<Working> = (0..100).map(|_| health.working(at(7))).collect();
        assert_eq!(health.oldest(), Some(at(5)));
        drop(first);
        assert_eq!(health.oldest(), Some(at(7)));
        drop(more);
        assert_eq!(health.oldest(), None);
    }
}
