//! How long partitions took no records, and how long records took.
//!
//! Measured by the producers that a history names as probers, or by all if it names none. A stall is
//! the time between two acknowledgements of one partition; what never got an answer stalls until it
//! was given up.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use types::TopicPartition;

use crate::history::{At, ClientNumber, Event, HEAL, Outcome, Sent};

/// Shorter times between two acknowledgements are the clients' own pace.
const PAUSE_MIN: u64 = 20_000;
/// Most pauses kept for each partition; then the shorter half is dropped.
const PAUSES_KEPT_MAX: usize = 10_000;

/// A stretch of time without an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    from: At,
    to: At,
}

#[derive(Default)]
struct Partition {
    last: Option<At>,
    given_up: Option<At>,
    pauses: Vec<Pause>,
    /// The longest time between two acknowledgements, kept or not.
    longest: u64,
}

/// Takes events in the order of the history.
pub struct StallMeter {
    probers: Vec<ClientNumber>,
    partitions: BTreeMap<TopicPartition, Partition>,
    latencies: Histogram<u64>,
    faults: Vec<At>,
}

/// Times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Of each fault, the longest stall of any partition until the next; without faults, of each
    /// partition the longest.
    pub stalls: Distribution,
    pub per_fault: bool,
    /// From sending a record to its acknowledgement.
    pub latency: Distribution,
}

impl StallMeter {
    pub fn new() -> StallMeter {
        // Above an hour a record's latency is an hour's.
        let latencies = Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("valid bounds");
        StallMeter {
            probers: Vec::new(),
            partitions: BTreeMap::new(),
            latencies,
            faults: Vec::new(),
        }
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Begin(begin) => self.probers = begin.probers.clone(),
            Event::Fault(fault) if fault.kind != HEAL => self.faults.push(fault.at),
            Event::Sent(sent) if self.measures(sent.producer) => self.sent(sent),
            _ => {}
        }
    }

    fn measures(&self, producer: ClientNumber) -> bool {
        self.probers.is_empty() || self.probers.contains(&producer)
    }

    fn sent(&mut self, sent: &Sent) {
        let partition = self.partitions.entry(sent.partition.clone()).or_default();
        match sent.outcome {
            Outcome::Ok => {
                let latency = sent.ended.0.saturating_sub(sent.began.0);
                self.latencies.saturating_record(latency.max(1));
                partition.acknowledged(sent.ended);
            }
            Outcome::Unknown => partition.given_up = partition.given_up.max(Some(sent.ended)),
            Outcome::Refused => {}
        }
    }

    pub fn finish(mut self) -> Measured {
        for partition in self.partitions.values_mut() {
            if let (Some(last), Some(given_up)) = (partition.last, partition.given_up)
                && given_up > last
            {
                partition.acknowledged(given_up);
            }
        }
        self.faults.sort_unstable();
        let per_fault = !self.faults.is_empty();
        let stalls = if per_fault { self.of_faults() } else { self.of_partitions() };
        let latencies = &self.latencies;
        let latency = Distribution {
            count: latencies.len(),
            p50: latencies.value_at_quantile(0.5),
            p99: latencies.value_at_quantile(0.99),
            max: latencies.max(),
        };
        Measured { stalls: distribution(stalls), per_fault, latency }
    }

    fn of_partitions(&self) -> Vec<u64> {
        self.partitions.values().map(|partition| partition.longest).collect()
    }

    fn of_faults(&self) -> Vec<u64> {
        let ends = self.faults.iter().skip(1).copied().chain([At(u64::MAX)]);
        let spans = self.faults.iter().copied().zip(ends);
        let longest = spans.map(|(from, to)| {
            let pauses = self.partitions.values().flat_map(|partition| &partition.pauses);
            let touching = pauses.filter(|pause| pause.from < to && pause.to > from);
            touching.map(|pause| pause.to.0 - pause.from.0).max().unwrap_or(0)
        });
        longest.collect()
    }
}

impl Partition {
    fn acknowledged(&mut self, at: At) {
        let Some(last) = self.last.replace(at.max(self.last.unwrap_or(at))) else { return };
        let pause = at.0.saturating_sub(last.0);
        self.longest = self.longest.max(pause);
        if pause < PAUSE_MIN {
            return;
        }
        if self.pauses.len() >= PAUSES_KEPT_MAX {
            self.pauses.sort_by_key(|pause| std::cmp::Reverse(pause.to.0 - pause.from.0));
            self.pauses.truncate(PAUSES_KEPT_MAX / 2);
        }
        self.pauses.push(Pause { from: last, to: at });
    }
}

/// The value that a share of all stays at or below is that of the nearest rank.
fn distribution(mut values: Vec<u64>) -> Distribution {
    values.sort_unstable();
    let at = |share: f64| {
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    Distribution { count: values.len() as u64, p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::history;

    fn measure(script: &str) -> Measured {
        let mut meter = StallMeter::new();
        for event in history(script) {
            meter.take(&event);
        }
        meter.finish()
    }

    #[test]
    fn the_longest_time_between_two_acknowledgements_is_the_stall() {
        let measured = measure(
            "sent 1/0 0 @0..1000
             sent 1/1 1 @100..901000
             sent 2/0 2 @100..950000",
        );
        assert!(!measured.per_fault);
        assert_eq!((measured.stalls.count, measured.stalls.max), (1, 900_000));
        assert_eq!((measured.latency.count, measured.latency.p50 / 1000), (3, 901));
    }

    #[test]
    fn what_is_given_up_stalls_until_then() {
        let measured = measure(
            "sent 1/0 0 @0..1000
             sent 1/1 ? @100..501000",
        );
        assert_eq!(measured.stalls.max, 500_000);
    }

    #[test]
    fn each_fault_has_the_stalls_between_it_and_the_next() {
        let measured = measure(
            "sent 1/0 0 @0..100000
             fault kill @200000..200000
             sent 1/1 1 @100..400000
             sent 1/2 2 @100..1000000
             fault pause @1100000..1100000
             sent 1/3 3 @100..1200000
             fault heal @1300000..1300000",
        );
        assert!(measured.per_fault);
        let stalls = measured.stalls;
        assert_eq!((stalls.count, stalls.p50, stalls.max), (2, 200_000, 600_000));
    }
}
