//! The consumers' own protocol inside JoinGroup and SyncGroup: what members want and get.
//!
//! Subscription: version i16, topics [string], user data bytes (nullable).
//! Assignment: version i16, [topic string, [partition i32]], user data bytes (nullable).
//! Big-endian, array counts i32, string lengths i16. Fields that later versions add are ignored.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{PartitionIndex, TopicPartition};

use crate::error::ClientError;

pub(super) fn encode_subscription(topics: &[String]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        put_string(&mut out, topic);
    }
    out.put_i32(-1);
    out.freeze()
}

pub(super) fn decode_subscription(bytes: &Bytes) -> Result<Vec<String>, ClientError> {
    let mut input = bytes.clone();
    let read = |input: &mut Bytes| -> Option<Vec<String>> {
        let _version = input.try_get_i16().ok()?;
        let count = get_count(input, 2)?;
        (0..count).map(|_| get_string(input)).collect()
    };
    read(&mut input).ok_or_else(malformed)
}

pub(super) fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut by_topic = std::collections::BTreeMap::<&str, Vec<i32>>::new();
    for of in partitions {
        by_topic.entry(&of.topic).or_default().push(of.partition.0);
    }
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(by_topic.len() as i32);
    for (topic, partitions) in by_topic {
        put_string(&mut out, topic);
        out.put_i32(partitions.len() as i32);
        for partition in partitions {
            out.put_i32(partition);
        }
    }
    out.put_i32(-1);
    out.freeze()
}

/// The partitions of an assignment, as SyncGroup and DescribeGroups carry it.
pub fn decode_assignment(bytes: &Bytes) -> Result<Vec<TopicPartition>, ClientError> {
    let mut input = bytes.clone();
    if input.is_empty() {
        return Ok(Vec::new());
    }
    let read = |input: &mut Bytes| -> Option<Vec<TopicPartition>> {
        let _version = input.try_get_i16().ok()?;
        let mut partitions = Vec::new();
        for _ in 0..get_count(input, 6)? {
            let topic = get_string(input)?;
            for _ in 0..get_count(input, 4)? {
                let partition = PartitionIndex(input.try_get_i32().ok()?);
                partitions.push(TopicPartition { topic: topic.clone(), partition });
            }
        }
        Some(partitions)
    };
    read(&mut input).ok_or_else(malformed)
}

fn malformed() -> ClientError {
    ClientError::Invalid("malformed consumer protocol data".to_owned())
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

fn get_string(input: &mut Bytes) -> Option<String> {
    let len = usize::try_from(input.try_get_i16().ok()?).ok()?;
    if input.len() < len {
        return None;
    }
    String::from_utf8(input.split_to(len).to_vec()).ok()
}

/// An array's count, refused if its elements cannot fit into what is left.
fn get_count(input: &mut Bytes, element_bytes_min: usize) -> Option<usize> {
    let count = usize::try_from(input.try_get_i32().ok()?).ok()?;
    (count.checked_mul(element_bytes_min)? <= input.len()).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let topics = vec!["a".to_owned(), "b.c".to_owned()];
        assert_eq!(decode_subscription(&encode_subscription(&topics)), Ok(topics));
        let of = |topic: &str, p| TopicPartition {
            topic: topic.to_owned(),
            partition: PartitionIndex(p),
        };
        let partitions = vec![of("a", 0), of("a", 5), of("b", 1)];
        assert_eq!(decode_assignment(&encode_assignment(&partitions)), Ok(partitions));
    }

    #[test]
    fn damaged_bytes_are_an_error_at_every_length() {
        let whole = encode_subscription(&["topic".to_owned()]);
        for len in 0..whole.len() - 4 {
            assert!(decode_subscription(&whole.slice(..len)).is_err(), "{len}");
        }
        let absurd = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff]);
        assert!(decode_subscription(&absurd).is_err());
        assert!(decode_assignment(&absurd).is_err());
    }
}
