//! A record set as a client sends it: what the broker's checks let pass has records that can be
//! read, in order, and stays sound through stamping and packing anew.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use records::{
    Attributes, Batch, BatchHeader, Compression, ControlRecord, PackedValidation, ProduceLimits,
    RecordRules, Stamp, TargetCodec, TimestampLimits, batches, stamp, validate_produced,
};
use types::{LeaderEpoch, Offset, Timestamp};

const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// The same bytes with a true CRC and length, so that the fuzzer gets past them.
fn mended(data: &[u8]) -> Option<Bytes> {
    let mut header = BatchHeader::parse(data).ok()?;
    header.length = i32::try_from(data.len() - 12).ok()?;
    header.base_offset = Offset(0);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&data[61..]);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(bytes.into())
}

fn walk(bytes: &Bytes) {
    for batch in batches(bytes).map_while(Result::ok) {
        let _ = batch.check_crc();
        let Ok(records) = batch.records(UNPACKED_BYTES_MAX) else { continue };
        for record in records.map_while(Result::ok) {
            let _ = ControlRecord::parse(&record);
        }
    }
}

fn check(bytes: &Bytes, control: u8) {
    let limits = ProduceLimits { max_message_bytes: 1 << 20, allow_zstd: control & 1 == 0 };
    let Ok(batch) = validate_produced(bytes, &limits) else { return };
    let target = Compression::from_id(control >> 4).ok();
    let timestamps =
        TimestampLimits { now: Timestamp(1 << 40), before_max_ms: 1 << 39, after_max_ms: 1 << 39 };
    let rules = RecordRules {
        needs_key: control & 2 != 0,
        timestamps: (control & 4 != 0).then_some(timestamps),
        target: target.map(|codec| TargetCodec { codec, level: None }),
        max_message_bytes: 1 << 20,
        packed: PackedValidation::Full,
        record_bytes_max: UNPACKED_BYTES_MAX,
        output_bytes_max: UNPACKED_BYTES_MAX,
    };
    let must_unpack = batch.must_unpack(&rules);
    let plain = batch.header().attributes.compression() == Ok(Compression::None);
    let Ok(stored) = batch.conform(&rules) else { return };
    if let Some(codec) = target {
        assert_eq!(stored.header().attributes.compression(), Ok(codec));
    }
    stored.batch().check_crc().expect("what is stored has a true CRC");
    if must_unpack || plain {
        let records = stored.batch().records(UNPACKED_BYTES_MAX).expect("was read before");
        let read: Vec<_> = records.map(|record| record.expect("was read before")).collect();
        assert_eq!(read.len() as i32, stored.header().records_count);
        let offsets = read.iter().map(|record| record.offset.0);
        assert!(offsets.eq(0..i64::from(stored.header().records_count)));
        let newest = read.iter().map(|record| record.timestamp).max();
        assert_eq!(newest.map(|time| time.max(Timestamp(-1))), Some(stored.header().max_timestamp));
    }
    stamped(stored.batch(), control);
}

fn stamped(batch: &Batch, control: u8) {
    let stamp_with = Stamp {
        base_offset: Offset(1 << 33),
        leader_epoch: LeaderEpoch(7),
        log_append_time: (control & 8 != 0).then_some(Timestamp(12345)),
    };
    let mut bytes = stamp(&batch.bytes, stamp_with).to_vec();
    bytes.extend_from_slice(&batch.bytes[61..]);
    let stamped = Batch::parse_first(&bytes.into()).expect("a stamped batch is one");
    stamped.check_crc().expect("a stamp keeps the CRC true");
    assert_ne!(stamped.header.attributes, Attributes(-1));
}

fuzz_target!(|data: &[u8]| {
    let Some((control, data)) = data.split_first() else { return };
    let bytes = Bytes::copy_from_slice(data);
    walk(&bytes);
    check(&bytes, *control);
    if let Some(bytes) = mended(data) {
        walk(&bytes);
        check(&bytes, *control);
    }
});
