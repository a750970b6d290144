//! The newest bytes in memory: what is given out is what the file has, whatever happens to the log;
//! and it stays within its bounds.

use crate::support::*;
use bytes::{Bytes, BytesMut};
use log::{LogConfig, PartitionLog, TailLimits};
use proptest::prelude::*;
use records::{HEADER_BYTES, Stamp, batches, stamp};
use types::{LeaderEpoch, Offset, Timestamp};

const NODE_BYTES: u64 = 200 << 10;
const LOG_BYTES: u64 = 128 << 10;

#[derive(Clone, Debug)]
enum Op {
    Append { value_bytes: usize, count: usize },
    Replicate { value_bytes: usize },
    Truncate { back: i64 },
    StartAnew { ahead: i64 },
    NewEpoch,
    HighWatermark { back: i64 },
    Retain,
    Keep { is_on: bool },
    Read { back: i64, bytes_max: usize },
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let size = || prop_oneof![8 => 0..400usize, 2 => 400..9_000usize, 1 => 50_000..150_000usize];
    prop_oneof![
        12 => (size(), 1..4usize).prop_map(|(value_bytes, count)| Op::Append { value_bytes, count }),
        2 => size().prop_map(|value_bytes| Op::Replicate { value_bytes }),
        2 => (0..12i64).prop_map(|back| Op::Truncate { back }),
        1 => (0..5i64).prop_map(|ahead| Op::StartAnew { ahead }),
        1 => Just(Op::NewEpoch),
        3 => (0..20i64).prop_map(|back| Op::HighWatermark { back }),
        1 => Just(Op::Retain),
        2 => (0..4).prop_map(|n| Op::Keep { is_on: n > 0 }),
        12 => (1..40i64, prop_oneof![1..3_000usize, 3_000..400_000usize])
            .prop_map(|(back, bytes_max)| Op::Read { back, bytes_max }),
        1 => Just(Op::Reopen),
    ]
}

struct Run {
    world: World,
    log: PartitionLog,
    limits: TailLimits,
    epoch: i32,
    /// No two batches have the same bytes.
    batches: i64,
    from_memory: usize,
}

impl Run {
    fn new(limits: &TailLimits) -> Run {
        let segment_bytes = 600_000;
        let config = LogConfig { segment_bytes, retention_bytes: 900_000, ..small() };
        let world = World::new(config);
        let mut log = world.create();
        log.keep_tail(Some(limits));
        Run { world, log, limits: limits.clone(), epoch: 0, batches: 0, from_memory: 0 }
    }

    fn batch(&mut self, count: usize, value_bytes: usize) -> records::ProducedBatch {
        self.batches += 1;
        batch_at(&vec![1_000 + self.batches; count], value_bytes)
    }

    fn step(&mut self, op: &Op) {
        let now = Timestamp(2_000);
        let end = self.log.end_offset();
        match *op {
            Op::Append { value_bytes, count } => {
                let batch = self.batch(count, value_bytes);
                self.log.append_as_leader(&batch, LeaderEpoch(self.epoch), now).unwrap();
            }
            Op::Replicate { value_bytes } => {
                let batch = self.batch(1, value_bytes);
                let at = Stamp {
                    base_offset: end,
                    leader_epoch: LeaderEpoch(self.epoch),
                    log_append_time: None,
                };
                let mut whole = BytesMut::from(&stamp(batch.bytes(), at)[..]);
                whole.extend_from_slice(&batch.bytes()[HEADER_BYTES..]);
                self.log.append_as_follower(&whole.freeze(), now).unwrap();
            }
            Op::Truncate { back } => self.log.truncate_to(end.plus(-back)).unwrap(),
            Op::StartAnew { ahead } => {
                self.log.truncate_fully_and_start_at(end.plus(ahead)).unwrap();
            }
            Op::NewEpoch => {
                self.epoch += 1;
                self.log.assign_epoch_start(LeaderEpoch(self.epoch)).unwrap();
            }
            Op::HighWatermark { back } => self.log.set_high_watermark(end.plus(-back)),
            Op::Retain => {
                self.log.flush().unwrap();
                self.log.retention(now).unwrap().job.run().unwrap();
            }
            Op::Keep { is_on } => self.log.keep_tail(is_on.then_some(&self.limits)),
            Op::Read { back, bytes_max } => self.read(end.plus(-back), bytes_max),
            Op::Reopen => {
                self.log.flush().unwrap();
                self.world.checkpoint(&self.log);
                self.log = self.world.reopen();
                self.log.keep_tail(Some(&self.limits));
            }
        }
        assert!(self.limits.held_bytes() <= NODE_BYTES, "{op:?}");
    }

    fn read(&mut self, from: Offset, bytes_max: usize) {
        let from = from.max(self.log.start_offset());
        let plan = self.log.read_plan(from, self.log.end_offset(), bytes_max, true).unwrap();
        let Some(given) = self.log.read_tail(&plan) else { return };
        let file = plan.read().unwrap();
        assert!(!given.is_empty() && given.len() <= file.len());
        assert_eq!(given, file.slice(..given.len()), "not what the file has");
        let whole: usize = batches(&given).map(|batch| batch.unwrap().header.size()).sum();
        assert_eq!(whole, given.len(), "ends within a batch");
        self.from_memory += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn what_comes_from_memory_is_what_the_file_has(
        ops in prop::collection::vec((any::<bool>(), op()), 1..80),
    ) {
        let limits = TailLimits::new(NODE_BYTES, LOG_BYTES);
        let mut runs = [Run::new(&limits), Run::new(&limits)];
        for (which, op) in &ops {
            runs[usize::from(*which)].step(op);
        }
        drop(runs);
        assert_eq!(limits.held_bytes(), 0, "all is given back");
    }
}

fn plan_and_read(log: &mut PartitionLog, from: i64) -> Option<Bytes> {
    let plan = log.read_plan(Offset(from), log.end_offset(), 1 << 20, true).unwrap();
    log.read_tail(&plan)
}

#[test]
fn appended_batches_come_from_memory_until_all_who_are_awaited_have_them() {
    let limits = TailLimits::new(NODE_BYTES, LOG_BYTES);
    let mut run = Run::new(&limits);
    for n in 0..5 {
        run.step(&Op::Append { value_bytes: 100, count: 2 });
        for from in 0..=n {
            run.step(&Op::Read { back: 2 * from + 1, bytes_max: 1 << 20 });
        }
    }
    assert_eq!(run.from_memory, 15, "every read of the tail");
    run.log.set_high_watermark(Offset(6));
    assert_eq!(plan_and_read(&mut run.log, 5), None, "everybody has these");
    assert!(plan_and_read(&mut run.log, 6).is_some());
    run.log.set_high_watermark(Offset(10));
    assert_eq!(limits.held_bytes(), 0, "nothing is held that everybody has");
    run.step(&Op::Append { value_bytes: 100, count: 1 });
    assert!(plan_and_read(&mut run.log, 10).is_some());
    run.log.keep_tail(None);
    assert_eq!((plan_and_read(&mut run.log, 10), limits.held_bytes()), (None, 0));
    run.step(&Op::Append { value_bytes: 100, count: 1 });
    assert_eq!(plan_and_read(&mut run.log, 10), None, "no follower is awaited");
}

#[test]
fn a_truncation_forgets_the_tail_and_a_plan_from_before_it_gets_nothing() {
    let limits = TailLimits::new(NODE_BYTES, LOG_BYTES);
    let mut run = Run::new(&limits);
    for _ in 0..4 {
        run.step(&Op::Append { value_bytes: 100, count: 1 });
    }
    let plan = run.log.read_plan(Offset(1), Offset(4), 1 << 20, true).unwrap();
    run.log.truncate_to(Offset(2)).unwrap();
    assert_eq!(limits.held_bytes(), 0);
    for _ in 0..2 {
        run.step(&Op::Append { value_bytes: 100, count: 1 });
    }
    assert_eq!(run.log.read_tail(&plan), None, "other records are in its place");
    assert!(plan_and_read(&mut run.log, 2).is_some());
}

#[test]
fn two_logs_share_the_bytes_of_a_node_and_one_has_no_more_than_its_own() {
    let limits = TailLimits::new(100 << 10, 80 << 10);
    let mut first = Run::new(&limits);
    let mut second = Run::new(&limits);
    for _ in 0..40 {
        first.step(&Op::Append { value_bytes: 4_000, count: 1 });
    }
    let held = limits.held_bytes();
    assert!((40 << 10..=80 << 10).contains(&held), "{held}");
    for _ in 0..40 {
        second.step(&Op::Append { value_bytes: 4_000, count: 1 });
        assert!(limits.held_bytes() <= 100 << 10);
    }
    assert!(plan_and_read(&mut first.log, 39).is_some(), "a log takes nothing from another");
    let large = Op::Append { value_bytes: 90 << 10, count: 1 };
    first.step(&large);
    assert_eq!(plan_and_read(&mut first.log, 40), None, "larger than a log's share");
    first.step(&Op::Append { value_bytes: 100, count: 1 });
    assert!(plan_and_read(&mut first.log, 41).is_some(), "and it goes on after that");
}
