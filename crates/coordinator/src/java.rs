//! What Kafka's choices owe to Java: hashes of texts, and the order of its hash tables.

/// The fewest buckets of a `java.util.HashMap`.
const BUCKETS_MIN: usize = 16;

/// `String.hashCode`.
pub(crate) fn string_hash(text: &str) -> i32 {
    let add = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    text.encode_utf16().fold(0, add)
}

/// The keys in the order in which a `HashMap` that they were put into in this order gives them:
/// by bucket, within a bucket as they came.
pub(crate) fn hash_map_order(mut keys: Vec<&str>) -> Vec<&str> {
    let mut buckets = BUCKETS_MIN;
    // A table that is fuller than three quarters is doubled.
    while keys.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    keys.sort_by_key(|key| bucket_of(key, buckets));
    keys
}

fn bucket_of(key: &str, buckets: usize) -> usize {
    let hash = string_hash(key) as u32;
    (hash ^ (hash >> 16)) as usize & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_javas_hashes() {
        for (text, hash) in [("", 0), ("abc", 96354), ("console-consumer-1", 35782224)] {
            assert_eq!(string_hash(text), hash, "{text:?}");
        }
    }

    /// Seen of Apache Kafka 4.4.0: which of two assignors with a vote each it takes.
    #[test]
    fn names_come_in_the_order_that_kafka_was_seen_to_take_them_in() {
        for (first, second) in [
            ("sticky", "range"),
            ("range", "roundrobin"),
            ("sticky", "roundrobin"),
            ("roundrobin", "cooperative-sticky"),
            ("range", "cooperative-sticky"),
            ("sticky", "cooperative-sticky"),
            ("lag-aware", "range"),
            ("connect-x", "sessioned"),
            ("a", "b"),
            ("p1", "p2"),
        ] {
            assert_eq!(hash_map_order(vec![first, second]), [first, second]);
            assert_eq!(hash_map_order(vec![second, first]), [first, second]);
        }
    }

    #[test]
    fn names_of_one_bucket_stay_as_they_came() {
        for names in [["cooperative-sticky", "sessioned"], ["sessioned", "cooperative-sticky"]] {
            assert_eq!(hash_map_order(names.to_vec()), names);
        }
    }

    #[test]
    fn a_table_of_more_than_twelve_has_more_buckets() {
        let names: Vec<String> = (0..13).map(|number| format!("p{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // "p1" and "p11" share a bucket of 16, and are far from each other among 32.
        assert_eq!(hash_map_order(names[..12].to_vec())[..3], ["p0", "p1", "p11"]);
        assert_eq!(hash_map_order(names.clone())[11..], ["p12", "p11"]);
    }
}
