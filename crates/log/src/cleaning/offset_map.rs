//! The newest offset of each key in the dirty part of a log, in bounded memory.
//!
//! Keys are told apart by a keyed 128-bit hash alone (SipHash 1-3 with a secret seed, so that nobody
//! can choose keys that collide): 24 bytes a key, whatever its length.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use types::Offset;

/// Bytes per slot.
pub const SLOT_BYTES: usize = 24;

/// A key's hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash {
    high: u64,
    low: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    high: u64,
    low: u64,
    /// One more than the offset; 0 in an empty slot.
    offset_plus_one: u64,
}

/// Open addressing with linear probing. Offsets are put in rising order.
pub struct OffsetMap {
    slots: Vec<Slot>,
    count: usize,
    count_max: usize,
    hasher: SipHasher13,
}

impl OffsetMap {
    /// A map for `keys` keys at most, or fewer if they would take more than `bytes_max` bytes at
    /// this load (0 to 1).
    pub fn new(keys: u64, bytes_max: u64, load: f64, seed: [u64; 2]) -> OffsetMap {
        let load = load.clamp(0.01, 0.95);
        let slots_max = (bytes_max / SLOT_BYTES as u64).max(1);
        let wanted = (keys as f64 / load).ceil() as u64;
        let slots = wanted.saturating_add(1).min(slots_max);
        let empty = Slot { high: 0, low: 0, offset_plus_one: 0 };
        // One slot stays empty: it ends the search for a key that is not there.
        let count_max = ((slots as f64 * load) as usize).min(slots as usize - 1);
        OffsetMap {
            slots: vec![empty; slots as usize],
            count: 0,
            count_max,
            hasher: SipHasher13::new_with_keys(seed[0], seed[1]),
        }
    }

    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = self.hasher;
        hasher.write(key);
        let hash = hasher.finish128();
        KeyHash { high: hash.h1, low: hash.h2 }
    }

    fn slot(&self, key: KeyHash) -> usize {
        let mut at = ((u128::from(key.high) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.offset_plus_one == 0 || (slot.high == key.high && slot.low == key.low) {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    /// Notes that a record at `offset` has this key; false if there is no room for a new key.
    #[must_use]
    pub fn put(&mut self, key: KeyHash, offset: Offset) -> bool {
        let at = self.slot(key);
        if self.slots[at].offset_plus_one == 0 {
            if self.count >= self.count_max {
                return false;
            }
            self.count += 1;
        }
        self.slots[at] =
            Slot { high: key.high, low: key.low, offset_plus_one: offset.0 as u64 + 1 };
        true
    }

    /// The newest offset of the key.
    pub fn get(&self, key: KeyHash) -> Option<Offset> {
        let found = self.slots[self.slot(key)].offset_plus_one;
        found.checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// Share of the slots in use.
    pub fn utilization(&self) -> f64 {
        self.count as f64 / self.slots.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_newest_offset_of_each_key_is_found() {
        let mut map = OffsetMap::new(1000, 1 << 20, 0.9, [1, 2]);
        let mut model = BTreeMap::new();
        for offset in 0..5000i64 {
            let key = format!("key {}", offset * offset % 997);
            assert!(map.put(map.hash(key.as_bytes()), Offset(offset)));
            model.insert(key, offset);
        }
        for (key, offset) in &model {
            assert_eq!(map.get(map.hash(key.as_bytes())), Some(Offset(*offset)));
        }
        assert_eq!(map.get(map.hash(b"absent")), None);
        assert!(map.utilization() < 0.9);
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(u64::MAX, 24 * 10, 0.9, [0, 0]);
        let mut kept = 0;
        for n in 0..20u8 {
            kept += usize::from(map.put(map.hash(&[n]), Offset(i64::from(n))));
        }
        assert_eq!(kept, 9);
        assert!(map.put(map.hash(&[0]), Offset(100)), "a known key");
        assert_eq!(map.get(map.hash(&[0])), Some(Offset(100)));
        assert_eq!(map.get(map.hash(&[19])), None);
    }

    #[test]
    fn the_smallest_map_is_not_a_trap() {
        let mut map = OffsetMap::new(0, 0, 0.9, [0, 0]);
        assert!(!map.put(map.hash(b"a"), Offset(0)));
        assert_eq!(map.get(map.hash(b"a")), None);
    }
}
