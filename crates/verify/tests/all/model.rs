//! A cluster without faults, and what its clients would see: histories that must pass.
//!
//! One seed gives one history. It is full of what is innocent: sends without an answer, appended at
//! once, late or never; refusals; readers that start over; group members that come and go; answers
//! that cross on their way.

use env::Rng;
use env::rng::SeededRng;
use types::{PartitionIndex, TopicPartition};
use verify::history::*;
use verify::{CheckOptions, Checker, Report, Verdict};

const PARTITIONS: usize = 2;
const PRODUCERS: u32 = 3;
const READERS: u32 = 2;
const STEPS: u32 = 400;
const FINAL_READER: ClientNumber = ClientNumber(50);
const WATCHER: ClientNumber = ClientNumber(51);

/// A send on its way.
#[derive(Clone)]
struct Pending {
    name: RecordName,
    partition: usize,
    began: At,
    offset: Option<i64>,
}

#[derive(Clone, Copy, Default)]
struct Reading {
    session: u32,
    next: [usize; PARTITIONS],
}

struct Model {
    rng: SeededRng,
    now: u64,
    logs: [Vec<RecordName>; PARTITIONS],
    counters: [[u32; PARTITIONS]; PRODUCERS as usize],
    pending: Vec<Pending>,
    /// Given up by their producers, and perhaps not by the cluster.
    late: Vec<Pending>,
    readers: [Reading; READERS as usize],
    generation: i32,
    member: Reading,
    committed: [Option<usize>; PARTITIONS],
    events: Vec<Event>,
}

/// A history without fault.
pub fn history(seed: u64) -> Vec<Event> {
    let mut model = Model {
        rng: SeededRng::new(seed),
        now: 0,
        logs: Default::default(),
        counters: Default::default(),
        pending: Vec::new(),
        late: Vec::new(),
        readers: Default::default(),
        generation: 0,
        member: Reading::default(),
        committed: [None; PARTITIONS],
        events: Vec::new(),
    };
    model.begin();
    model.rebalance();
    for _ in 0..STEPS {
        model.step();
    }
    model.end();
    model.events
}

pub fn judge(events: &[Event]) -> Report {
    let mut checker = Checker::new();
    for event in events {
        checker.take(event);
    }
    checker.finish(&CheckOptions::default())
}

pub fn partition(index: usize) -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: PartitionIndex(index as i32) }
}

impl Model {
    fn below(&self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn tick(&mut self) -> At {
        self.now += 1 + self.rng.below(5);
        At(self.now)
    }

    fn begin(&mut self) {
        let topics = vec![TopicShape { name: "t".to_owned(), partitions: PARTITIONS as i32 }];
        self.events.push(Event::Begin(Begin {
            version: VERSION,
            run: "model".to_owned(),
            idempotent: true,
            topics,
            ..Default::default()
        }));
    }

    fn step(&mut self) {
        match self.below(12) {
            0..=2 => self.send(),
            3..=4 => self.append(),
            5..=6 => self.answer(),
            7 => self.append_late(),
            8 => self.read(),
            9 => self.watermark(),
            10 => self.group_step(),
            _ => self.position(),
        }
    }

    /// A producer has one send in flight for each partition, as ours does.
    fn send(&mut self) {
        let (producer, partition) = (self.below(PRODUCERS as usize), self.below(PARTITIONS));
        let number = ClientNumber(producer as u32 + 1);
        if self.pending.iter().any(|p| p.name.producer == number && p.partition == partition) {
            return;
        }
        let counter = self.counters[producer][partition];
        self.counters[producer][partition] += 1;
        let name = RecordName { producer: number, counter };
        let began = self.tick();
        self.pending.push(Pending { name, partition, began, offset: None });
    }

    fn append(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let index = self.below(self.pending.len());
        let pending = &mut self.pending[index];
        if pending.offset.is_none() {
            let log = &mut self.logs[pending.partition];
            pending.offset = Some(log.len() as i64);
            log.push(pending.name);
        }
    }

    fn append_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let pending = self.late.swap_remove(self.below(self.late.len()));
        if self.below(2) == 0 {
            self.logs[pending.partition].push(pending.name);
        }
    }

    fn answer(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let index = self.below(self.pending.len());
        let pending = self.pending.swap_remove(index);
        let ended = self.tick();
        let (outcome, offset) = match (pending.offset, self.below(5)) {
            (Some(_), 0) => (Outcome::Unknown, None),
            // A duplicate whose offset the broker forgot.
            (Some(_), 1) => (Outcome::Ok, None),
            (Some(offset), _) => (Outcome::Ok, Some(offset)),
            (None, 0..=2) => {
                self.late.push(pending.clone());
                (Outcome::Unknown, None)
            }
            (None, _) => (Outcome::Refused, None),
        };
        self.events.push(Event::Sent(Sent {
            producer: pending.name.producer,
            partition: partition(pending.partition),
            counter: pending.name.counter,
            count: 1,
            began: pending.began,
            ended,
            outcome,
            offset,
            transaction: None,
            error: None,
        }));
    }

    fn read(&mut self) {
        let index = self.below(READERS as usize);
        if self.below(8) == 0 {
            let reading = &mut self.readers[index];
            reading.session += 1;
            for next in &mut reading.next {
                *next = self.rng.below(*next as u64 + 1) as usize;
            }
        }
        let of = self.below(PARTITIONS);
        let reading = self.readers[index];
        let to = self.up_to(of, reading.next[of]);
        self.readers[index].next[of] = to;
        let reader = ClientNumber(index as u32 + 10);
        self.push_read(reader, reading.session, None, of, reading.next[of]..to);
    }

    fn up_to(&self, of: usize, next: usize) -> usize {
        (next + self.below(6)).min(self.logs[of].len())
    }

    fn push_read(
        &mut self,
        reader: ClientNumber,
        session: u32,
        group: Option<&str>,
        of: usize,
        range: std::ops::Range<usize>,
    ) {
        if range.is_empty() && reader != FINAL_READER {
            return;
        }
        let names = range.clone().zip(&self.logs[of][range]);
        let runs = names.map(|(offset, name)| Run(offset as i64, name.producer, name.counter, 1));
        let runs = runs.collect();
        let ended = self.tick();
        let last = reader == FINAL_READER;
        self.events.push(Event::Read(Read {
            reader,
            session,
            purpose: if last { Purpose::Final } else { Purpose::Along },
            group: group.map(str::to_owned),
            committed: false,
            partition: partition(of),
            ended,
            runs,
            damaged: Vec::new(),
        }));
    }

    fn watermark(&mut self) {
        let of = self.below(PARTITIONS);
        let began = self.tick();
        let end = self.logs[of].len() as i64;
        if self.below(2) == 0 {
            // Something happens while the answer is on its way.
            self.append();
            self.answer();
        }
        let ended = self.tick();
        let source = WatermarkSource::ListOffsets;
        let partition = partition(of);
        self.events.push(Event::Watermark(Watermark {
            reader: WATCHER,
            partition,
            began,
            ended,
            end,
            source,
        }));
    }

    fn member(&self) -> ClientNumber {
        ClientNumber(30 + self.generation as u32 % 2)
    }

    fn rebalance(&mut self) {
        self.generation += 1;
        self.member.session = self.generation as u32;
        let began = self.tick();
        let mut partitions = Vec::new();
        for of in 0..PARTITIONS {
            let start = self.committed[of].unwrap_or(0);
            self.member.next[of] = start;
            let start = Some(start as i64);
            partitions.push(AssignedPartition { partition: partition(of), start });
        }
        self.events.push(Event::Assigned(Assigned {
            group: "g".to_owned(),
            member: self.member(),
            generation: self.generation,
            began,
            ended: At(self.now),
            partitions,
        }));
    }

    fn group_step(&mut self) {
        match self.below(6) {
            0 => self.rebalance(),
            1 | 2 => {
                let of = self.below(PARTITIONS);
                self.commit(of);
            }
            _ => {
                let of = self.below(PARTITIONS);
                let from = self.member.next[of];
                let to = self.up_to(of, from);
                self.group_read(of, from..to);
            }
        }
    }

    fn group_read(&mut self, of: usize, range: std::ops::Range<usize>) {
        self.member.next[of] = range.end;
        self.push_read(self.member(), self.generation as u32, Some("g"), of, range);
    }

    fn commit(&mut self, of: usize) {
        let began = self.tick();
        let (effect, outcome) = match self.below(6) {
            0 => (true, Outcome::Unknown),
            1 => (false, Outcome::Unknown),
            _ => (true, Outcome::Ok),
        };
        if effect {
            self.committed[of] = Some(self.member.next[of]);
        }
        let ended = self.tick();
        self.events.push(Event::Commit(Commit {
            group: "g".to_owned(),
            member: self.member(),
            generation: self.generation,
            partition: partition(of),
            offset: self.member.next[of] as i64,
            began,
            ended,
            outcome,
            error: None,
        }));
    }

    fn position(&mut self) {
        let of = self.below(PARTITIONS);
        let began = self.tick();
        let ended = self.tick();
        self.events.push(Event::Committed(Committed {
            group: "g".to_owned(),
            reader: WATCHER,
            partition: partition(of),
            offset: self.committed[of].map(|offset| offset as i64),
            began,
            ended,
        }));
    }

    /// All sends get an outcome, the group comes to the end, and everything is read.
    fn end(&mut self) {
        while !self.pending.is_empty() {
            self.append();
            self.answer();
        }
        for of in 0..PARTITIONS {
            let end = self.logs[of].len();
            self.group_read(of, self.member.next[of]..end);
            self.push_read(FINAL_READER, 0, None, of, 0..end);
            self.events.push(Event::FinalRead(FinalRead {
                partition: partition(of),
                start: 0,
                end: end as i64,
                complete: true,
            }));
        }
        self.events.push(Event::FinalGroup(FinalGroup { group: "g".to_owned(), complete: true }));
        let at = self.tick();
        self.events.push(Event::End(End { at, complete: true }));
    }
}

#[test]
fn what_clients_see_of_a_cluster_without_faults_passes() {
    let (mut acknowledged, mut unknown, mut refused, mut commits) = (0, 0, 0, 0);
    for seed in 0..500 {
        let report = judge(&history(seed));
        assert_eq!(report.verdict, Verdict::Pass, "seed {seed}: {report}");
        acknowledged += report.acknowledged;
        unknown += report.unknown;
        refused += report.refused;
        commits += report.commits;
    }
    for count in [acknowledged, unknown, refused, commits] {
        assert!(count > 1000, "the histories hold too little: {count}");
    }
}

#[test]
fn the_order_of_different_clients_lines_means_nothing() {
    for seed in 0..100 {
        let events = history(seed);
        // Sends first, then the others: each client's own order stays.
        let (mut sends, others): (Vec<Event>, Vec<Event>) =
            events[1..].iter().cloned().partition(|event| matches!(event, Event::Sent(_)));
        sends.insert(0, events[0].clone());
        sends.extend(others);
        let report = judge(&sends);
        assert_eq!(report.verdict, Verdict::Pass, "seed {seed}: {report}");
    }
}
