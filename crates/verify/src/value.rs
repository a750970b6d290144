//! What a record of a run holds: its own name, and bytes that follow from it.
//!
//! Promises: a value tells which run, partition, producer and counter it is of, and whether it is
//! whole; two records of a run never have the same value.
//!
//! Layout, big-endian: magic (4 bytes), run (4), partition (4), producer (4), counter (4), CRC-32C
//! of all the others (4), filler.

use bytes::{BufMut, Bytes, BytesMut};

use crate::history::{ClientNumber, RecordName};

/// The smallest record, in bytes.
pub const VALUE_BYTES_MIN: usize = 24;

const MAGIC: [u8; 4] = *b"OtV1";
const CRC_AT: usize = 20;

/// Makes and reads the values of one partition of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    pub run: u32,
    /// The partition's number among all of the run.
    pub partition: u32,
}

impl Values {
    /// The value of a record, at least [`VALUE_BYTES_MIN`] long.
    pub fn encode(self, name: RecordName, bytes: usize) -> Bytes {
        let length = bytes.max(VALUE_BYTES_MIN);
        let mut value = BytesMut::with_capacity(length + 8);
        value.put_slice(&MAGIC);
        value.put_u32(self.run);
        value.put_u32(self.partition);
        value.put_u32(name.producer.0);
        value.put_u32(name.counter);
        value.put_u32(0);
        // Different in each record, so that no two batches compress to each other's bytes.
        let mut state = u64::from(name.counter) << 32 | u64::from(name.producer.0) | 1;
        while value.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.run.into());
            value.put_u64(state);
        }
        value.truncate(length);
        let crc = checksum(&value);
        value[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        value.freeze()
    }

    /// Whose record a value is; what is wrong with it if it is nobody's.
    pub fn decode(self, value: Option<&[u8]>) -> Result<RecordName, String> {
        let Some(value) = value else { return Err("it has no value".to_owned()) };
        if value.len() < VALUE_BYTES_MIN || value[..4] != MAGIC {
            return Err(format!("it is no record of this tool ({} bytes)", value.len()));
        }
        if checksum(value) != number(value, CRC_AT) {
            return Err("its checksum is wrong".to_owned());
        }
        if number(value, 4) != self.run {
            return Err("it is of another run".to_owned());
        }
        if number(value, 8) != self.partition {
            return Err(format!("it is of partition {} of the run", number(value, 8)));
        }
        let producer = ClientNumber(number(value, 12));
        Ok(RecordName { producer, counter: number(value, 16) })
    }
}

fn checksum(value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value[..CRC_AT]), &value[CRC_AT + 4..])
}

fn number(value: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&value[at..at + 4]);
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values = Values { run: 7, partition: 2 };
    const NAME: RecordName = RecordName { producer: ClientNumber(3), counter: 900 };

    #[test]
    fn a_value_tells_its_record() {
        for bytes in [0, 24, 25, 1000] {
            let value = VALUES.encode(NAME, bytes);
            assert_eq!(value.len(), bytes.max(VALUE_BYTES_MIN));
            assert_eq!(VALUES.decode(Some(&value)), Ok(NAME));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let value = VALUES.encode(NAME, 40);
        for bit in 0..value.len() * 8 {
            let mut changed = value.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(VALUES.decode(Some(&changed)).is_err(), "bit {bit}");
        }
        assert!(VALUES.decode(Some(&value[..39])).is_err());
        assert!(VALUES.decode(None).is_err());
    }

    #[test]
    fn values_of_other_runs_and_partitions_are_told_apart() {
        let value = VALUES.encode(NAME, 40);
        let other = Values { run: 8, ..VALUES };
        assert_eq!(other.decode(Some(&value)), Err("it is of another run".to_owned()));
        let other = Values { partition: 1, ..VALUES };
        assert_eq!(other.decode(Some(&value)), Err("it is of partition 2 of the run".to_owned()));
    }
}
