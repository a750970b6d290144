//! Brokers that were fenced a moment ago: Metadata goes on naming them for a while.
//!
//! Why: librdkafka takes down all that it holds of a broker that an answer no longer names, before
//! the partitions that the same answer moves away have left it. They are then led by nobody until
//! its next look at them, up to a second later (seen with 2.16: 0.6 to 1.0 s without an
//! acknowledgement after a leader's death that the cluster had dealt with in 0.03 s). An answer that
//! moves the partitions and still names the broker has no such end.
//!
//! A broker that dies twice within a short time is not named the second time. librdkafka doubles the
//! pause before it connects to a broker with every death that comes within ten seconds of the last
//! connection, up to ten seconds, and keeps that in mind as long as it knows of the broker: with a
//! leader killed every four seconds, that was up to 6 s without an acknowledgement once the leader
//! moved to a broker that had died twice. Once an answer does not name it, all of that is forgotten.
//!
//! Does not: change who leads, or what any other API tells.

use metadata::Image;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use types::{Monotonic, NodeId};

/// How long a fenced broker is named. Clients of a dead leader ask at once, and Metadata makes that
/// answer wait for the election. No longer than that takes: as long as the broker is named,
/// librdkafka tries to connect in ever longer intervals, and waits the last one out even if the
/// broker is back and leads again (named for 1.5 to 5 s, that took 2 to 9 s).
const NAMED_FOR: Duration = Duration::from_millis(500);

/// How long a death is remembered: longer than the longest pause of a client that goes by defaults
/// (`reconnect.backoff.max.ms` is 10 s), counted from its last attempt.
const REMEMBERED_FOR: Duration = Duration::from_secs(20);

/// When brokers were fenced, as far as it matters.
#[derive(Debug, Default)]
pub struct Departed(Mutex<BTreeMap<NodeId, Departure>>);

#[derive(Debug)]
struct Departure {
    since: Monotonic,
    /// It is fenced since then, and was not fenced shortly before.
    is_named: bool,
}

impl Departed {
    /// Takes note of the brokers that `new` has fenced.
    pub fn follow(&self, old: &Image, new: &Image, now: Monotonic) {
        let mut departed = self.lock();
        departed.retain(|id, departure| {
            departure.is_named &= new.broker(*id).is_some_and(|broker| broker.fenced);
            now.since(departure.since) < REMEMBERED_FOR
        });
        for broker in new.brokers().filter(|broker| broker.fenced) {
            if old.broker(broker.id).is_some_and(|former| !former.fenced) {
                let is_named = !departed.contains_key(&broker.id);
                departed.insert(broker.id, Departure { since: now, is_named });
            }
        }
    }

    /// Whether a fenced broker is still named.
    pub fn is_named(&self, broker: NodeId, now: Monotonic) -> bool {
        let departed = self.lock();
        let departure = departed.get(&broker).filter(|departure| departure.is_named);
        departure.is_some_and(|departure| now.since(departure.since) < NAMED_FOR)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Departure>> {
        self.0.lock().expect("no thread panicked while it held the departed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::{Broker, Record};
    use types::{BrokerEpoch, MetadataVersion, Uuid};

    fn image(brokers: &[(i32, bool)]) -> Image {
        let broker = |(id, fenced): &(i32, bool)| {
            Record::Broker(Broker {
                id: NodeId(*id),
                epoch: BrokerEpoch(1),
                incarnation_id: Uuid([1; 16]),
                endpoints: Vec::new(),
                rack: None,
                fenced: *fenced,
                in_controlled_shutdown: false,
                log_dirs: Vec::new(),
                failed_log_dirs: Vec::new(),
                lost_log_dirs: Vec::new(),
                features: Vec::new(),
                previous_epoch: BrokerEpoch::NONE,
                registered_version: MetadataVersion(1),
            })
        };
        let records: Vec<Record> = brokers.iter().map(broker).collect();
        Image::from_records(MetadataVersion(1), &records)
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic(0) + Duration::from_millis(ms)
    }

    #[test]
    fn a_fenced_broker_is_named_for_a_while() {
        let departed = Departed::default();
        departed.follow(
            &image(&[(1, false), (2, false)]),
            &image(&[(1, false), (2, true)]),
            at(1000),
        );
        assert!(departed.is_named(NodeId(2), at(1499)));
        assert!(!departed.is_named(NodeId(2), at(1500)));
        assert!(!departed.is_named(NodeId(1), at(1000)), "it is not fenced");
    }

    #[test]
    fn a_broker_that_came_back_or_was_forgotten_is_not_departed() {
        for then in [image(&[(2, false)]), image(&[])] {
            let departed = Departed::default();
            departed.follow(&image(&[(2, false)]), &image(&[(2, true)]), at(1000));
            departed.follow(&image(&[(2, true)]), &then, at(1001));
            assert!(!departed.is_named(NodeId(2), at(1001)));
        }
    }

    #[test]
    fn a_broker_that_dies_again_soon_is_not_named_again() {
        let departed = Departed::default();
        let (alive, dead) = (image(&[(2, false)]), image(&[(2, true)]));
        departed.follow(&alive, &dead, at(1_000));
        departed.follow(&dead, &alive, at(2_000));
        departed.follow(&alive, &dead, at(9_000));
        assert!(!departed.is_named(NodeId(2), at(9_001)), "clients must forget it");
        departed.follow(&dead, &alive, at(10_000));
        departed.follow(&alive, &dead, at(29_000));
        assert!(departed.is_named(NodeId(2), at(29_001)), "that is long ago");
    }

    #[test]
    fn brokers_fenced_before_this_one_looked_are_not_named() {
        let departed = Departed::default();
        departed.follow(&Image::default(), &image(&[(2, true)]), at(1000));
        assert!(!departed.is_named(NodeId(2), at(1000)));
    }
}
