//! Which partition a record goes to, as Kafka's default partitioner decides it.

/// The hash of a key (murmur2 with Kafka's seed), the same in every Kafka client.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(MULTIPLIER);
        k ^= k >> 24;
        k = k.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a key among `count` partitions. `count` must be positive.
pub fn partition_of_key(key: &[u8], count: i32) -> i32 {
    assert!(count > 0, "a topic has partitions");
    (murmur2(key) & 0x7fff_ffff) % count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_equal_those_of_apache_kafka() {
        // Values published in Kafka's own tests of its hash.
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (data, hash) in cases {
            assert_eq!(murmur2(data), hash, "{:?}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn a_key_always_lands_inside_the_topic() {
        for count in [1, 3, 50] {
            for key in 0..1000u32 {
                let partition = partition_of_key(&key.to_be_bytes(), count);
                assert!((0..count).contains(&partition));
            }
        }
    }
}
