//! Brokers that were fenced a moment ago: Metadata goes on naming them for a while.
//!
//! Why: librdkafka takes down all that it holds of a broker that an answer no longer names, before
//! the partitions that the same answer moves away have left it. They are then led by nobody until
//! its next look at them, up to a second later (seen with 2.16: 0.6 to 1.0 s without an
//! acknowledgement after a leader's death that the cluster had dealt with in 0.03 s). An answer that
//! moves the partitions and still names the broker has no such end.
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

/// When brokers were fenced, as far as it matters.
#[derive(Debug, Default)]
pub struct Departed(Mutex<BTreeMap<NodeId, Monotonic>>);

impl Departed {
    /// Takes note of the brokers that `new` has fenced.
    pub fn follow(&self, old: &Image, new: &Image, now: Monotonic) {
        let mut departed = self.lock();
        departed.retain(|id, since| {
            let is_fenced = new.broker(*id).is_some_and(|broker| broker.fenced);
            is_fenced && now.since(*since) < NAMED_FOR
        });
        for broker in new.brokers().filter(|broker| broker.fenced) {
            if old.broker(broker.id).is_some_and(|former| !former.fenced) {
                departed.insert(broker.id, now);
            }
        }
    }

    /// Whether a fenced broker is still named.
    pub fn is_named(&self, broker: NodeId, now: Monotonic) -> bool {
        self.lock().get(&broker).is_some_and(|since| now.since(*since) < NAMED_FOR)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Monotonic>> {
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
    fn brokers_fenced_before_this_one_looked_are_not_named() {
        let departed = Departed::default();
        departed.follow(&Image::default(), &image(&[(2, true)]), at(1000));
        assert!(!departed.is_named(NodeId(2), at(1000)));
    }
}
