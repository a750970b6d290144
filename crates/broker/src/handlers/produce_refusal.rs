//! Produce requests of versions 0 to 2, which are advertised and not served.
//!
//! Kafka advertises them since some clients take "no Produce 0" for "no compression"
//! (KAFKA-18659); their records are of a format that is gone. No client picks these versions, but
//! one that does is told UNSUPPORTED_VERSION for each of its partitions.
//!
//! ```text
//! request:  acks i16, timeout i32, [topic string, [partition i32, records bytes]]
//! response: [topic string, [partition i32, error i16, offset i64, (from 2) timestamp i64]],
//!           (from 1) throttle time i32
//! ```

use super::{Outcome, Reply};
use types::ErrorCode;
use wire::{DecodeError, EncodeError, Pieces, Reader, StrBytes, Writer};

/// The versions that are refused here.
pub const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
/// A topic is at least a name's length and an array's; a partition a number and a length.
const TOPIC_BYTES_MIN: usize = 6;
const PARTITION_BYTES_MIN: usize = 8;

type Topics = Vec<(StrBytes, Vec<i32>)>;

/// The whole answer to the request that the reader stands before; without acks, the connection
/// closes.
pub fn refuse(
    version: i16,
    correlation_id: i32,
    reader: &mut Reader,
) -> Result<Outcome<Reply>, DecodeError> {
    let acks = reader.int16()?;
    reader.int32()?;
    let topics = topics(reader)?;
    if acks == 0 {
        return Ok(Outcome::Close);
    }
    match encode(version, correlation_id, &topics) {
        Ok(pieces) => Ok(Outcome::Reply(pieces.into())),
        Err(error) => {
            tracing::error!(%error, "the refusal of an old produce request cannot be encoded");
            Ok(Outcome::Close)
        }
    }
}

fn topics(reader: &mut Reader) -> Result<Topics, DecodeError> {
    let mut topics = Topics::new();
    for _ in 0..array_length(reader, TOPIC_BYTES_MIN)? {
        let name = reader.string_nullable(false)?.ok_or(DecodeError::UnexpectedNull)?;
        // Twice what it takes: the array that holds it doubles as it grows.
        reader.take(2 * size_of::<(StrBytes, Vec<i32>)>())?;
        let mut partitions = Vec::new();
        for _ in 0..array_length(reader, PARTITION_BYTES_MIN)? {
            reader.take(2 * size_of::<i32>())?;
            partitions.push(reader.int32()?);
            reader.bytes_nullable(false)?;
        }
        topics.push((name, partitions));
    }
    Ok(topics)
}

fn array_length(reader: &mut Reader, element_bytes_min: usize) -> Result<usize, DecodeError> {
    reader.array_count(false, element_bytes_min)?.ok_or(DecodeError::UnexpectedNull)
}

fn encode(version: i16, correlation_id: i32, topics: &Topics) -> Result<Pieces, EncodeError> {
    let mut writer = Writer::with_length_prefix();
    writer.int32(correlation_id);
    writer.int32(topics.len() as i32);
    for (name, partitions) in topics {
        writer.string_nullable(Some(name), false)?;
        writer.int32(partitions.len() as i32);
        for partition in partitions {
            writer.int32(*partition);
            writer.int16(ErrorCode::UnsupportedVersion.into());
            writer.int64(-1);
            if version >= 2 {
                writer.int64(-1);
            }
        }
    }
    if version >= 1 {
        writer.int32(0);
    }
    writer.finish_checked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Bytes;

    /// One topic "t" with partition 3 and no records.
    fn request(acks: i16) -> Bytes {
        let mut writer = Writer::new();
        writer.int16(acks);
        writer.int32(1000);
        writer.int32(1);
        writer.string_nullable(Some("t"), false).expect("short");
        writer.int32(1);
        writer.int32(3);
        writer.int32(-1);
        writer.finish().into_bytes()
    }

    #[test]
    fn each_partition_is_told_that_the_version_is_gone() {
        for version in VERSIONS {
            let outcome = refuse(version, 9, &mut Reader::new(request(1))).expect("readable");
            let Outcome::Reply(Reply { pieces, .. }) = outcome else { panic!("a reply") };
            let mut reader = Reader::new(pieces.into_bytes().slice(4..));
            assert_eq!((reader.int32(), reader.int32()), (Ok(9), Ok(1)));
            assert_eq!(reader.string_nullable(false), Ok(Some("t".into())));
            assert_eq!((reader.int32(), reader.int32()), (Ok(1), Ok(3)));
            assert_eq!(reader.int16(), Ok(ErrorCode::UnsupportedVersion.into()));
            let rest = [8, 12, 20][version as usize];
            assert_eq!(reader.remaining(), rest, "version {version}");
        }
    }

    #[test]
    fn without_acks_the_connection_closes_and_absurd_arrays_are_malformed() {
        let outcome = refuse(0, 9, &mut Reader::new(request(0)));
        assert!(matches!(outcome, Ok(Outcome::Close)));
        let absurd = Bytes::from_static(&[0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff]);
        assert!(refuse(0, 9, &mut Reader::new(absurd)).is_err());
    }
}
