//! The log against a plain model: a list of batches.
//!
//! After any series of operations, crashes between any two changes of the disk included, the log
//! holds what the model holds; after a crash, a prefix of it that reaches at least to what was
//! synced, with the epochs and the producers' histories of exactly those batches.

use crate::compaction::{go_on, options};
use crate::support::*;
use bytes::Bytes;
use log::{
    CleanupPolicy, CompactionConfig, LogConfig, LogHandle, OpenFiles, PartitionLog, ScrubCursor,
    compact,
};
use proptest::prelude::*;
use records::Batch;
use std::collections::BTreeMap;
use types::{LeaderEpoch, Offset, ProducerId, Timestamp};

#[derive(Clone, Debug)]
enum Op {
    Append {
        producer: i64,
        count: usize,
    },
    Replicate {
        batches: usize,
    },
    NewEpoch,
    Truncate {
        back: i64,
    },
    StartAnew {
        ahead: i64,
    },
    HighWatermark {
        back: i64,
    },
    AdvanceStart {
        back: i64,
    },
    Retain,
    /// Everything that is synced is read and found sound.
    Scrub,
    Compact,
    /// Everything is synced, checkpointed and committed: compaction may touch it.
    Settle,
    Sync,
    Checkpoint,
    Reopen,
    Crash {
        seed: u64,
    },
    /// The next operation meets a disk that stops after some changes; then the power goes.
    StopWithin {
        changes: u64,
        seed: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..4i64, 1..4usize).prop_map(|(producer, count)| Op::Append { producer, count }),
        3 => (1..6usize).prop_map(|batches| Op::Replicate { batches }),
        1 => Just(Op::NewEpoch),
        2 => (0..12i64).prop_map(|back| Op::Truncate { back }),
        1 => (0..20i64).prop_map(|ahead| Op::StartAnew { ahead }),
        2 => (0..8i64).prop_map(|back| Op::HighWatermark { back }),
        1 => (0..20i64).prop_map(|back| Op::AdvanceStart { back }),
        2 => Just(Op::Retain),
        1 => Just(Op::Scrub),
        3 => Just(Op::Compact),
        2 => Just(Op::Settle),
        2 => Just(Op::Sync),
        2 => Just(Op::Checkpoint),
        1 => Just(Op::Reopen),
        1 => any::<u64>().prop_map(|seed| Op::Crash { seed }),
        2 => (0..12u64, any::<u64>())
            .prop_map(|(changes, seed)| Op::StopWithin { changes, seed }),
    ]
}

/// What the log should hold.
#[derive(Clone, Default)]
struct Model {
    batches: Vec<Batch>,
    start: i64,
    end: i64,
    epoch: i32,
}

impl Model {
    /// `base` is that of the segment that holds the offset.
    fn truncate(&mut self, offset: i64, base: i64) {
        if offset >= self.end {
            return;
        }
        let kept = self.batches.partition_point(|b| b.header.last_offset().0 < offset);
        // A gap before the cut goes with it.
        let end = self.batches[..kept].last().map_or(base, |b| b.header.end_offset().0.max(base));
        self.end = end.max(self.start);
        match end < self.start {
            true => self.batches.clear(),
            false => self.batches.truncate(kept),
        }
    }

    fn visible(&self) -> Vec<Batch> {
        let visible = |b: &&Batch| b.header.last_offset().0 >= self.start;
        self.batches.iter().filter(visible).cloned().collect()
    }
}

/// Every batch in the files of a log, also below its start offset.
fn stored(world: &World) -> Vec<Batch> {
    let names = world.names();
    let logs = names.iter().filter(|name| name.ends_with(".log"));
    logs.flat_map(|name| {
        records::batches(&world.file(name)).map(Result::unwrap).collect::<Vec<_>>()
    })
    .collect()
}

/// What compaction must keep of a batch.
fn place(batch: &Batch) -> (Offset, Offset, LeaderEpoch, i64, i32) {
    let header = &batch.header;
    let (base, last) = (header.base_offset, header.last_offset());
    (base, last, header.leader_epoch, header.producer_id.0, header.base_sequence)
}

fn records_of(batch: &Batch) -> Vec<records::Record> {
    batch.records(1 << 20).unwrap().map(Result::unwrap).collect()
}

/// Every batch is one of before, with some of its records or all; the newest record of each key and
/// the last batch of each producer are there. `held` is what the files had, of which a crash may
/// have lost what ends above `end`, and `ever` what they may have had before.
fn check_compaction(ever: &[Batch], held: &[Batch], new: &[Batch], end: i64, deleted: &[i64]) {
    let all = ever.iter().chain(held);
    let by_place: BTreeMap<_, &Batch> = all.map(|batch| (place(batch), batch)).collect();
    let mut newest = BTreeMap::new();
    let mut producers: BTreeMap<i64, _> = BTreeMap::new();
    for batch in held.iter().filter(|batch| batch.header.end_offset().0 <= end) {
        newest.extend(records_of(batch).into_iter().map(|record| (record.key.clone(), record)));
        producers.insert(batch.header.producer_id.0, place(batch));
    }
    for batch in new {
        batch.check_crc().unwrap();
        let source = by_place.get(&place(batch)).expect("a batch of before");
        let had = records_of(source);
        assert!(records_of(batch).iter().all(|record| had.contains(record)));
    }
    assert!(new.is_sorted_by(|a, b| a.header.last_offset() < b.header.base_offset));
    let kept: Vec<records::Record> = new.iter().flat_map(records_of).collect();
    assert!(newest.values().all(|record| kept.contains(record)), "a key lost its newest record");
    producers.remove(&-1);
    for id in deleted {
        producers.remove(id);
    }
    let places: Vec<_> = new.iter().map(place).collect();
    assert!(producers.values().all(|last| places.contains(last)), "a producer lost its last batch");
}

/// Batches in short, for messages.
fn list(all: &[Batch]) -> Vec<(Offset, LeaderEpoch, u32)> {
    all.iter().map(|b| (b.header.base_offset, b.header.leader_epoch, b.header.crc)).collect()
}

struct Run {
    world: World,
    log: LogHandle,
    model: Model,
    synced: i64,
    /// Every batch that was ever appended.
    ever: Vec<Batch>,
    stop: Option<(u64, u64)>,
    /// What the files held before the compaction that is under way.
    compacting: Option<Vec<Batch>>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 600,
        index_interval_bytes: 100,
        retention_ms: -1,
        retention_bytes: 1200,
        cleanup: CleanupPolicy { delete: true, compact: true },
        compaction: CompactionConfig { min_dirty_ratio: 0.0, ..CompactionConfig::default() },
        ..LogConfig::default()
    }
}

impl Run {
    fn new() -> Run {
        // Few enough that files are closed and opened again all the time.
        let world = World { files: OpenFiles::new(3), ..World::new(config()) };
        let log = LogHandle::new(world.create());
        let (model, ever) = (Model::default(), Vec::new());
        Run { world, log, model, synced: 0, ever, stop: None, compacting: None }
    }

    fn step(&mut self, op: &Op) {
        if let Op::StopWithin { changes, seed } = op {
            self.stop = Some((*changes, *seed));
            return;
        }
        let before = self.model.clone();
        let stop = self.stop.take();
        if let Some((changes, _)) = stop {
            self.world.disk.stop_after(Some(changes));
        }
        self.apply(op, stop.is_some());
        let known = before.batches.len().min(self.model.batches.len());
        self.ever.extend_from_slice(&self.model.batches[known..]);
        if let Some((_, seed)) = stop {
            self.crash(seed, &before);
        }
        self.check();
    }

    /// Operations on a disk that stops may fail; the model then tells what may have happened.
    fn apply(&mut self, op: &Op, may_fail: bool) {
        let ok = |done: bool| assert!(done || may_fail, "{op:?} failed");
        match op {
            Op::Append { producer, count } => ok(self.append(*producer, *count)),
            Op::Replicate { batches } => ok(self.replicate(*batches)),
            Op::NewEpoch => {
                self.model.epoch += 1;
                ok(self.log.lock().assign_epoch_start(LeaderEpoch(self.model.epoch)).is_ok());
            }
            Op::Truncate { back } => ok(self.truncate(*back)),
            Op::StartAnew { ahead } => {
                let at = self.model.end + ahead;
                self.synced = 0;
                ok(self.log.lock().truncate_fully_and_start_at(Offset(at)).is_ok());
                self.model =
                    Model { start: at, end: at, epoch: self.model.epoch, ..Model::default() };
            }
            Op::HighWatermark { back } => {
                self.log.lock().set_high_watermark(Offset(self.model.end - back));
            }
            Op::AdvanceStart { back } => {
                let to = Offset(self.model.end - back);
                self.model.start = self.log.lock().advance_start_offset(to).0;
            }
            Op::Retain => ok(self.retain()),
            Op::Scrub => ok(self.scrub()),
            Op::Compact => ok(self.compact()),
            Op::Settle => {
                let done = self.log.lock().flush().is_ok();
                ok(done);
                if done {
                    self.synced = self.model.end;
                    self.checkpoint();
                    self.log.lock().set_high_watermark(Offset(self.model.end));
                }
            }
            Op::Sync => {
                let done = self.log.lock().flush().is_ok();
                ok(done);
                if done {
                    self.synced = self.model.end;
                }
            }
            Op::Checkpoint => self.checkpoint(),
            Op::Reopen => self.reopen(may_fail),
            Op::Crash { seed } => {
                let before = self.model.clone();
                self.crash(*seed, &before);
            }
            Op::StopWithin { .. } => unreachable!("handled by step"),
        }
    }

    /// Retention that fails half-way has taken some names away, of which a crash may bring back any.
    fn retain(&mut self) -> bool {
        let retained = self.log.lock().retention(Timestamp(1));
        let Ok(retained) = retained else {
            let names = self.world.names();
            let logs = names.iter().filter_map(|name| name.strip_suffix(".log"));
            let first: Option<i64> = logs.map(|base| base.parse().unwrap()).min();
            self.model.start = self.model.start.max(first.unwrap_or_default());
            return false;
        };
        self.model.start = retained.start_offset.0;
        retained.job.run().is_ok()
    }

    fn truncate(&mut self, back: i64) -> bool {
        let to = (self.model.end - back).max(self.model.start);
        let bases = self.log.lock().segment_bases();
        let base = bases.iter().rev().find(|base| base.0 <= to).unwrap_or(&bases[0]).0;
        let mut after = self.model.clone();
        after.truncate(to, base);
        self.synced = match after.batches.is_empty() {
            true => 0,
            false => self.synced.min(after.end),
        };
        let done = self.log.lock().truncate_to(Offset(to)).is_ok();
        self.model.truncate(to, base);
        self.synced = self.synced.min(self.model.end);
        done
    }

    fn compact(&mut self) -> bool {
        self.compacting = Some(stored(&self.world));
        let done = compact(&self.log, Timestamp(1), &options(), &go_on).is_ok();
        if done {
            let (held, end) = (self.compacting.take().unwrap(), self.model.end);
            self.model = self.after_compaction(&self.model, &held, end);
        }
        done
    }

    fn scrub(&self) -> bool {
        let mut at = ScrubCursor::default();
        for _ in 0..100_000 {
            let Ok(scrubbed) = self.log.scrub(at, 150) else { return false };
            assert_eq!(scrubbed.damage, None);
            at = scrubbed.next;
            if scrubbed.is_at_end {
                return true;
            }
        }
        panic!("the scrubber stays at {}", at.offset());
    }

    fn checkpoint(&mut self) {
        let log = self.log.lock();
        self.world.checkpoint(&log);
        self.world.start_offset = log.start_offset();
    }

    /// The model of a log that compaction may have changed: what its files hold, which must say the
    /// same of each key, producer and epoch as before. What retention deleted is kept: a crash may
    /// bring it back.
    fn after_compaction(&self, before: &Model, held: &[Batch], end: i64) -> Model {
        let found = stored(&self.world);
        let first = found.first().map_or(end, |batch| batch.header.base_offset.0);
        let base = self.log.lock().segment_bases()[0].0.min(first);
        let gone = before.batches.iter().filter(|b| b.header.last_offset().0 < base).cloned();
        // A crash may bring back an older segment that retention had deleted, and not a newer one.
        let newer = |b: &&Batch| {
            let (base, last) = (b.header.base_offset, b.header.last_offset());
            let older = |h: &Batch| {
                h.header.producer_id == b.header.producer_id && h.header.base_offset < base
            };
            let here = |h: &Batch| h.header.base_offset <= last && base <= h.header.last_offset();
            last.0 < end && !held.iter().any(here) && held.iter().any(older)
        };
        let deleted: Vec<i64> =
            self.ever.iter().filter(newer).map(|b| b.header.producer_id.0).collect();
        check_compaction(&before.batches, held, &found, end, &deleted);
        let batches = gone.chain(found).collect();
        Model { batches, end, ..before.clone() }
    }

    fn append(&mut self, producer: i64, count: usize) -> bool {
        let batch = match producer {
            0 => batch_at(&vec![1; count], 20),
            id => {
                let known = self.log.lock().producer(ProducerId(id));
                let next = known.map_or(0, |(_, sequence, _)| sequence + 1);
                produced(id, 0, next, count)
            }
        };
        let epoch = LeaderEpoch(self.model.epoch);
        let appended = self.log.lock().append_as_leader(&batch, epoch, Timestamp(1));
        if let Ok(appended) = &appended {
            assert!(!appended.is_duplicate);
            assert_eq!(appended.base_offset.0, self.model.end);
        }
        // A log that fails in the middle may find the batch again when it is opened.
        let stamp = records::Stamp {
            base_offset: Offset(self.model.end),
            leader_epoch: epoch,
            log_append_time: None,
        };
        let mut bytes = records::stamp(batch.bytes(), stamp).to_vec();
        bytes.extend_from_slice(&batch.bytes()[records::HEADER_BYTES..]);
        self.model.batches.push(Batch::parse_first(&bytes.into()).unwrap());
        self.model.end += count as i64;
        appended.is_ok()
    }

    fn replicate(&mut self, count: usize) -> bool {
        let mut bytes = Vec::new();
        let mut made = Vec::new();
        let mut base = self.model.end;
        for n in 0..count {
            let options = records::BatchOptions {
                base_offset: Offset(base),
                leader_epoch: LeaderEpoch(self.model.epoch),
                ..records::BatchOptions::default()
            };
            let batch = with_options(options, &vec![1; n % 3 + 1], 20).batch().clone();
            base = batch.header.end_offset().0;
            bytes.extend_from_slice(&batch.bytes);
            made.push(batch);
        }
        // On a stopping disk a part of it may be in.
        let bytes = Bytes::from(bytes);
        let done = self.log.lock().append_as_follower(&bytes, Timestamp(1)).is_ok();
        self.model.batches.extend(made);
        self.model.end = base;
        done
    }

    fn reopen(&mut self, may_fail: bool) {
        let closed = self.log.lock().close().is_ok();
        assert!(closed || may_fail);
        if closed {
            self.synced = self.model.end;
            self.checkpoint();
            if let Ok((log, recovered)) = self.world.open(true) {
                assert!(!recovered.unclean || log.size() == 0 || may_fail);
                self.log = LogHandle::new(log);
            } else {
                assert!(may_fail);
            }
        }
    }

    /// After a crash the log is a prefix of what the model was before or after the operation that
    /// was interrupted; the model becomes that prefix. Below the start offset some of what was
    /// deleted may be back.
    fn crash(&mut self, seed: u64, before: &Model) {
        self.world.disk.crash(seed);
        self.log = match self.world.open(false) {
            Ok((log, _)) => LogHandle::new(log),
            Err(error) => panic!("not opened: {error}; {:?}", self.world.names()),
        };
        let (start, end, found) = {
            let log = self.log.lock();
            (log.start_offset().0, log.end_offset().0, read_all(&log))
        };
        if let Some(held) = self.compacting.take() {
            self.model = self.after_compaction(before, &held, end);
        }
        let prefix = |model: &Model| {
            let (back, found): (Vec<&Batch>, Vec<&Batch>) =
                found.iter().partition(|b| b.header.last_offset().0 < model.start);
            let from = start.max(model.start);
            let mut expected = model.batches.iter().filter(|b| b.header.last_offset().0 >= from);
            back.iter().all(|batch| model.batches.contains(batch))
                && found.iter().all(|batch| expected.next() == Some(*batch))
        };
        let model =
            [&self.model, before].into_iter().find(|m| prefix(m) && start <= m.end.max(m.start));
        let Some(model) = model else {
            panic!(
                "{start}..{end} {:?} is a prefix of neither {:?} nor {:?}",
                list(&found),
                list(&self.model.batches),
                list(&before.batches)
            );
        };
        let mut model = model.clone();
        assert!(end >= self.synced, "synced {} but ends at {end}", self.synced);
        model.batches.retain(|b| b.header.end_offset().0 <= end);
        let below = model.start;
        model.batches.retain(|b| {
            let last = b.header.last_offset().0;
            last >= below || last < start || found.contains(b)
        });
        model.start = start;
        model.end = end;
        model.epoch = self.model.epoch;
        self.model = model;
        self.synced = self.synced.min(end);
    }

    /// What the log knows of a producer after a crash comes from a batch that was there.
    fn check_known(&self, log: &PartitionLog) {
        for id in 1..4 {
            let Some((_, sequence, offset)) = log.producer(ProducerId(id)) else {
                continue;
            };
            let known = self.ever.iter().any(|b| {
                let header = &b.header;
                (header.producer_id.0, header.last_sequence(), header.last_offset())
                    == (id, sequence, offset)
            });
            assert!(known, "producer {id} with {sequence} at {offset} is made up");
        }
    }

    fn check(&mut self) {
        let (log, model) = (&*self.log.lock(), &self.model);
        assert_eq!((log.start_offset().0, log.end_offset().0), (model.start, model.end));
        let (found, expected) = (read_all(log), model.visible());
        assert!(found == expected, "{:?} is not {:?}", list(&found), list(&expected));
        let (start, high, end) = (log.start_offset(), log.high_watermark(), log.end_offset());
        assert!(start <= high && high <= end && log.recovery_point() <= end);
        for batch in model.visible() {
            let header = &batch.header;
            // Epochs below a start offset are forgotten; a crash may bring that one back.
            let at = log.epoch_at(header.base_offset.max(start)).unwrap_or(header.leader_epoch);
            assert_eq!(at, header.leader_epoch, "at {}", header.base_offset);
        }
        assert_eq!(log.damages(), [], "nothing is damaged here");
        self.check_producers(log);
        self.check_known(log);
    }

    /// The last batch of each producer is known. Of a log that was cut where it was compacted, a
    /// snapshot may know more than its batches show.
    fn check_producers(&self, log: &PartitionLog) {
        let stored = stored(&self.world);
        for id in 1..4 {
            let last = stored.iter().rfind(|b| b.header.producer_id.0 == id);
            let known = log.producer(ProducerId(id));
            if let Some(last) = last {
                let (_, sequence, offset) = known.expect("a producer in the log is known");
                let shown = (last.header.last_sequence(), last.header.last_offset());
                assert!((sequence, offset) >= shown, "{sequence} at {offset}, not {shown:?}");
            }
        }
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(2000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]
    #[test]
    fn the_log_is_what_the_model_is(ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op);
        }
    }
}

fn script(ops: &[Op]) {
    let mut run = Run::new();
    for op in ops {
        run.step(op);
    }
}

#[test]
fn a_torn_first_batch_after_a_restart_is_cut() {
    script(&[
        Op::Append { producer: 0, count: 1 },
        Op::Truncate { back: 1 },
        Op::StopWithin { changes: 2, seed: 8638625209854429859 },
        Op::StartAnew { ahead: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Replicate { batches: 5 },
        Op::Crash { seed: 12776146123082034835 },
        Op::Append { producer: 0, count: 1 },
    ]);
}

#[test]
fn epochs_of_a_log_that_was_cut_do_not_come_back() {
    script(&[
        Op::Append { producer: 0, count: 1 },
        Op::NewEpoch,
        Op::Append { producer: 0, count: 1 },
        Op::Sync,
        Op::StopWithin { changes: 1, seed: 177929712723403044 },
        Op::Truncate { back: 2 },
        Op::StopWithin { changes: 1, seed: 1513947552571131216 },
        Op::Append { producer: 0, count: 1 },
    ]);
}

#[test]
fn a_producers_history_is_known_after_cuts_of_a_compacted_log() {
    script(&[
        Op::Append { producer: 3, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 3, count: 3 },
        Op::Replicate { batches: 2 },
        Op::Append { producer: 3, count: 3 },
        Op::Replicate { batches: 5 },
        Op::Settle,
        Op::Compact,
        Op::Truncate { back: 4 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 0, count: 1 },
        Op::Truncate { back: 4 },
    ]);
}

#[test]
fn a_producer_whose_newest_segment_was_deleted_is_no_business_of_compaction() {
    script(&[
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Replicate { batches: 4 },
        Op::NewEpoch,
        Op::Replicate { batches: 4 },
        Op::Truncate { back: 2 },
        Op::Append { producer: 3, count: 1 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 3, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::HighWatermark { back: 0 },
        Op::Replicate { batches: 5 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Replicate { batches: 1 },
        Op::Settle,
        Op::Append { producer: 0, count: 1 },
        Op::Replicate { batches: 3 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Retain,
        Op::Crash { seed: 3137966155799770988 },
        Op::HighWatermark { back: 0 },
        Op::Retain,
        Op::Compact,
    ]);
}

#[test]
fn a_stop_within_retention_keeps_the_segment_that_stays() {
    script(&[
        Op::Append { producer: 0, count: 1 },
        Op::Settle,
        Op::Append { producer: 0, count: 1 },
        Op::Crash { seed: 3340958848763258066 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::HighWatermark { back: 0 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Settle,
        Op::Replicate { batches: 4 },
        Op::AdvanceStart { back: 0 },
        Op::StopWithin { changes: 5, seed: 941961284608591555 },
        Op::Retain,
    ]);
}

#[test]
fn retention_that_fails_half_way_loses_no_more_than_was_to_go() {
    script(&[
        Op::Replicate { batches: 4 },
        Op::Replicate { batches: 5 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 1 },
        Op::Settle,
        Op::Append { producer: 0, count: 2 },
        Op::Crash { seed: 2684220733607782269 },
        Op::Replicate { batches: 2 },
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 2 },
        Op::Replicate { batches: 3 },
        Op::HighWatermark { back: 0 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 0, count: 2 },
        Op::StopWithin { changes: 5, seed: 859171455073534577 },
        Op::Retain,
    ]);
}

#[test]
fn a_snapshot_that_a_crash_brought_back_is_not_believed() {
    script(&[
        Op::Append { producer: 0, count: 1 },
        Op::Append { producer: 0, count: 2 },
        Op::Crash { seed: 16962235344839163007 },
        Op::Truncate { back: 1 },
        Op::StopWithin { changes: 1, seed: 3651796290723570644 },
        Op::Truncate { back: 1 },
        Op::Append { producer: 1, count: 1 },
        Op::Crash { seed: 7707033149713666731 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 0, count: 2 },
        Op::Append { producer: 0, count: 2 },
        Op::Truncate { back: 1 },
    ]);
}
