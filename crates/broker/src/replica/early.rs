//! Where followers stand in partitions that are not here yet: the metadata has reached a follower, and
//! this broker is still opening what it is to lead.
//!
//! Promises:
//! - the newest word of each follower waits, and is handed over when its partition is open. A refusal
//!   would have each of n partitions ask ten times a second, for as long as n partitions take to open;
//! - what waits is bounded, goes with its stream, and is forgotten where the follower has not asked
//!   anew for a while: the partition may never come.
//!
//! Does not: answer. One that asks in vain asks again by itself, every other second.

use super::session::Session;
use rpc::replica::Position;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::{Monotonic, NodeId, TopicIdPartition};

/// Most positions that wait: some ten megabytes. Others are refused.
const POSITIONS_MAX: usize = 100_000;
/// A follower that still wants it has asked several times by then.
const KEPT_FOR: Duration = Duration::from_secs(10);

struct Early {
    session: Arc<Session>,
    position: Position,
    since: Monotonic,
}

/// Positions by partition and follower.
#[derive(Default)]
pub struct EarlyPositions(Mutex<BTreeMap<(TopicIdPartition, NodeId), Early>>);

impl EarlyPositions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(TopicIdPartition, NodeId), Early>> {
        self.0.lock().expect("no thread panicked while it held the early positions")
    }

    /// Has a position wait; false if it cannot.
    pub fn put(
        &self,
        id: TopicIdPartition,
        session: &Arc<Session>,
        position: &Position,
        now: Monotonic,
    ) -> bool {
        let mut waiting = self.lock();
        let key = (id, session.follower);
        let known = waiting.get(&key).map(|early| order(&early.session));
        if known.is_some_and(|known| known > order(session)) {
            return true;
        }
        if known.is_none() && waiting.len() >= POSITIONS_MAX {
            return false;
        }
        let (session, position) = (session.clone(), position.clone());
        waiting.insert(key, Early { session, position, since: now });
        true
    }

    /// Those that wait for a partition, in order of follower.
    pub fn take(&self, id: &TopicIdPartition) -> Vec<(Arc<Session>, Position)> {
        let mut waiting = self.lock();
        let of_partition = (*id, NodeId(i32::MIN))..=(*id, NodeId(i32::MAX));
        let keys: Vec<_> = waiting.range(of_partition).map(|(key, _)| *key).collect();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            taken.extend(waiting.remove(&key).map(|early| (early.session, early.position)));
        }
        taken
    }

    /// The stream has ended.
    pub fn forget_session(&self, session: &Session) {
        self.lock().retain(|_, early| !std::ptr::eq(&*early.session, session));
    }

    /// Time has passed.
    pub fn forget_old(&self, now: Monotonic) {
        self.lock().retain(|_, early| now.since(early.since) < KEPT_FOR);
    }
}

/// What is left of a broken stream may be read after the next one is open.
fn order(session: &Session) -> (types::BrokerEpoch, u64) {
    (session.broker_epoch, session.number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::replica::Hello;
    use types::{PartitionIndex, TopicId};

    fn session(follower_id: i32) -> Arc<Session> {
        Session::new(&Hello { follower_id, ..Hello::default() })
    }

    fn id(index: i32) -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId::from_random(1), partition: PartitionIndex(index) }
    }

    fn at(offset: i64) -> Position {
        Position { offset, ..Position::default() }
    }

    fn offsets(taken: &[(Arc<Session>, Position)]) -> Vec<(i32, i64)> {
        taken.iter().map(|(session, position)| (session.follower.0, position.offset)).collect()
    }

    #[test]
    fn the_newest_word_of_each_follower_waits_for_its_partition() {
        let early = EarlyPositions::default();
        let (former, two, three) = (session(2), session(2), session(3));
        let now = Monotonic(1);
        for (session, index, offset) in
            [(&three, 7, 30), (&former, 7, 10), (&two, 7, 20), (&former, 7, 11), (&two, 8, 5)]
        {
            assert!(early.put(id(index), session, &at(offset), now));
        }
        assert_eq!(offsets(&early.take(&id(7))), [(2, 20), (3, 30)]);
        assert!(early.take(&id(7)).is_empty());
        assert_eq!(offsets(&early.take(&id(8))), [(2, 5)]);
    }

    #[test]
    fn what_waits_is_bounded_and_goes_with_its_stream_or_with_time() {
        let early = EarlyPositions::default();
        let (two, three) = (session(2), session(3));
        let (begin, later) = (Monotonic(1), Monotonic(1) + Duration::from_secs(5));
        for index in 0..POSITIONS_MAX as i32 {
            assert!(early.put(id(index), &two, &at(0), begin));
        }
        assert!(!early.put(id(0), &three, &at(0), begin), "no room");
        assert!(early.put(id(0), &two, &at(1), later), "known already");
        early.forget_old(begin + KEPT_FOR);
        assert_eq!(early.lock().len(), 1);
        assert!(early.put(id(0), &three, &at(0), later));
        early.forget_session(&two);
        assert_eq!(offsets(&early.take(&id(0))), [(3, 0)]);
    }
}
