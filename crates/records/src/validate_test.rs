//! Each rule of a produced batch, by a batch that breaks it.

use super::*;
use crate::{Attributes, BatchBuilder, BatchOptions, NewRecord};
use types::{ErrorCode, Offset, ProducerEpoch, ProducerId};

const NOW: i64 = 1_000_000;

fn limits() -> ProduceLimits {
    ProduceLimits { max_message_bytes: 1 << 20, allow_zstd: true }
}

fn rules() -> RecordRules {
    let timestamps =
        TimestampLimits { now: Timestamp(NOW), before_max_ms: i64::MAX, after_max_ms: 1000 };
    RecordRules {
        needs_key: false,
        timestamps: Some(timestamps),
        target: None,
        max_message_bytes: 1 << 20,
        packed: PackedValidation::Full,
        record_bytes_max: usize::MAX,
        output_bytes_max: 1 << 20,
    }
}

fn batch_of(records: &[(i64, Option<&'static str>)], options: BatchOptions) -> Batch {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key) in records {
        builder.push(&NewRecord {
            timestamp: Timestamp(*timestamp),
            key: key.map(Bytes::from),
            value: Some(Bytes::from_static(b"value value value value")),
            headers: Vec::new(),
        });
    }
    builder.build()
}

fn packed(codec: Compression) -> BatchOptions {
    BatchOptions { compression: codec, ..BatchOptions::default() }
}

fn three(codec: Compression) -> Batch {
    batch_of(&[(NOW, Some("a")), (NOW + 2, Some("b")), (NOW + 1, Some("c"))], packed(codec))
}

/// The same batch with its header changed and its CRC right.
fn with(batch: &Batch, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = batch.header;
    change(&mut header);
    rebuilt(header, &batch.bytes[HEADER_BYTES..]).bytes
}

fn refused(bytes: &Bytes) -> BatchError {
    validate_produced(bytes, &limits()).expect_err("refused")
}

fn valid(batch: &Batch) -> ProducedBatch {
    validate_produced(&batch.bytes, &limits()).expect("valid")
}

fn refused_records(batch: &Batch, rules: &RecordRules) -> Vec<(i32, ErrorCode)> {
    match valid(batch).conform(rules).expect_err("refused") {
        Rejection::Records(errors) => errors.iter().map(|e| (e.index, e.error.code())).collect(),
        Rejection::Batch(error) => panic!("{error}"),
    }
}

fn timestamps(batch: &ProducedBatch) -> Vec<i64> {
    let records = batch.batch().records(1 << 20).expect("unpacks");
    records.map(|record| record.expect("a record").timestamp.0).collect()
}

#[test]
fn a_sound_batch_keeps_its_bytes() {
    for codec in Compression::ALL {
        let batch = three(codec);
        assert_eq!(valid(&batch).conform(&rules()).expect("conforms").bytes(), &batch.bytes);
    }
}

#[test]
fn a_set_holds_exactly_one_batch() {
    let batch = three(Compression::None).bytes;
    let twice: Bytes = [&batch[..], &batch[..]].concat().into();
    assert_eq!(refused(&twice), BatchError::NotOneBatch);
    assert_eq!(refused(&Bytes::new()), BatchError::Empty);
    assert_eq!(refused(&batch.slice(..batch.len() - 1)), BatchError::Empty);
    let torn = twice.slice(..twice.len() - 1);
    let kept = validate_produced(&torn, &limits()).expect("the torn rest is left out");
    assert_eq!(kept.bytes(), &batch);
}

#[test]
fn old_formats_are_unsupported_and_other_magics_are_noise() {
    let batch = three(Compression::None).bytes;
    for (magic, code) in [
        (0, ErrorCode::UnsupportedForMessageFormat),
        (1, ErrorCode::UnsupportedForMessageFormat),
        (3, ErrorCode::CorruptMessage),
        (255, ErrorCode::CorruptMessage),
    ] {
        let mut bytes = batch.to_vec();
        bytes[16] = magic;
        assert_eq!(refused(&bytes.into()).code(), code, "magic {magic}");
    }
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    let batch = three(Compression::None);
    let code = |change: &dyn Fn(&mut BatchHeader)| refused(&with(&batch, change)).code();
    let invalid = ErrorCode::InvalidRecord;
    assert_eq!(code(&|h| h.records_count = 4), invalid);
    assert_eq!(code(&|h| h.records_count = 0), invalid);
    assert_eq!(code(&|h| h.last_offset_delta = 5), invalid);
    assert_eq!(code(&|h| h.last_offset_delta = -2), invalid);
    assert_eq!(code(&|h| h.base_offset = Offset(7)), invalid);
    assert_eq!(code(&|h| h.attributes = Attributes(0x20)), invalid);
    assert_eq!(code(&|h| h.attributes = Attributes(0x40)), invalid);
    assert_eq!(code(&|h| h.attributes = Attributes(0x10)), invalid);
    assert_eq!(code(&|h| h.producer_id = ProducerId(1)), invalid);
    assert_eq!(
        code(&|h| (h.producer_id, h.producer_epoch) = (ProducerId(1), ProducerEpoch(0))),
        invalid
    );
    assert_eq!(code(&|h| h.attributes = Attributes(5)), ErrorCode::UnsupportedCompressionType);
    let mut bytes = batch.bytes.to_vec();
    bytes[70] ^= 1;
    assert_eq!(refused(&bytes.into()).code(), ErrorCode::CorruptMessage);
}

#[test]
fn attribute_bits_without_a_meaning_are_kept_as_they_are() {
    for bit in [0x80, 0x100, i16::MIN] {
        let odd = with(&three(Compression::None), |h| h.attributes.0 |= bit);
        let taken = validate_produced(&odd, &limits()).expect("valid");
        assert_eq!(taken.conform(&rules()).expect("conforms").bytes(), &odd);
    }
}

#[test]
fn size_and_codec_are_bounded_by_topic_and_version() {
    let batch = three(Compression::Zstd);
    let small = ProduceLimits { max_message_bytes: 70, ..limits() };
    assert_eq!(
        validate_produced(&batch.bytes, &small).map_err(|error| error.code()),
        Err(ErrorCode::MessageTooLarge)
    );
    let old = ProduceLimits { allow_zstd: false, ..limits() };
    assert_eq!(validate_produced(&batch.bytes, &old), Err(BatchError::CodecTooNew));
}

#[test]
fn each_record_without_a_key_is_told() {
    let needy = RecordRules { needs_key: true, ..rules() };
    for codec in Compression::ALL {
        let batch = batch_of(&[(NOW, None), (NOW, Some("k")), (NOW + 5000, None)], packed(codec));
        let invalid = ErrorCode::InvalidRecord;
        assert_eq!(refused_records(&batch, &needy), [(0, invalid), (2, invalid)], "{codec:?}");
    }
    let many = batch_of(&vec![(NOW, None); 300], BatchOptions::default());
    assert_eq!(refused_records(&many, &needy).len(), RECORD_ERRORS_MAX);
}

#[test]
fn each_record_out_of_time_is_told_even_where_the_header_hides_it() {
    let strict = TimestampLimits { now: Timestamp(NOW), before_max_ms: 500, after_max_ms: 1000 };
    let strict = RecordRules { timestamps: Some(strict), ..rules() };
    let late = ErrorCode::InvalidTimestamp;
    for codec in Compression::ALL {
        let times = [(NOW, Some("a")), (NOW - 501, Some("b")), (NOW + 1001, Some("c"))];
        let batch = batch_of(&times, packed(codec));
        assert_eq!(refused_records(&batch, &strict), [(1, late), (2, late)], "{codec:?}");
        assert_eq!(refused_records(&batch, &rules()), [(2, late)], "{codec:?}");
    }
    let batch = batch_of(&[(NOW, None), (NOW + 5000, None)], BatchOptions::default());
    let hidden = with(&batch, |header| header.max_timestamp = Timestamp(NOW));
    let hidden = validate_produced(&hidden, &limits()).expect("valid").conform(&rules());
    assert!(matches!(hidden, Err(Rejection::Records(_))));
    let without = batch_of(&[(-1, None)], BatchOptions::default());
    assert!(valid(&without).conform(&strict).is_ok(), "no timestamp is no fault");
}

#[test]
fn the_newest_timestamp_is_that_of_the_records() {
    let batch = three(Compression::None);
    for claimed in [NOW - 9, NOW + 9, NOW + 99_999] {
        let bytes = with(&batch, |header| header.max_timestamp = Timestamp(claimed));
        let batch = validate_produced(&bytes, &limits()).expect("valid");
        let stored = batch.conform(&rules()).expect("conforms");
        assert_eq!(stored.header().max_timestamp, Timestamp(NOW + 2));
        assert!(stored.batch().check_crc().is_ok());
    }
}

#[test]
fn only_the_broker_sets_append_times() {
    let options =
        BatchOptions { timestamp_type: TimestampType::LogAppendTime, ..BatchOptions::default() };
    let batch = batch_of(&[(NOW, None), (NOW + 1, None)], options);
    let stored = valid(&batch).conform(&rules()).expect("the claim is dropped");
    assert_eq!(stored.header().attributes, Attributes(0));
    assert_eq!(timestamps(&stored), [NOW, NOW + 1]);
    let by_broker = RecordRules { timestamps: None, ..rules() };
    let late = ErrorCode::InvalidTimestamp;
    assert_eq!(refused_records(&batch, &by_broker), [(0, late), (1, late)]);
}

#[test]
fn a_batch_is_packed_as_the_topic_wants() {
    for from in Compression::ALL {
        for to in Compression::ALL {
            let batch = three(from);
            let target = Some(TargetCodec { codec: to, level: None });
            let wanted = RecordRules { target, ..rules() };
            let produced = valid(&batch);
            assert_eq!(produced.must_repack(&wanted), from != to);
            let stored = produced.conform(&wanted).expect("conforms");
            assert_eq!(stored.header().attributes.compression(), Ok(to));
            assert!(stored.batch().check_crc().is_ok());
            assert_eq!(timestamps(&stored), [NOW, NOW + 2, NOW + 1], "{from:?} to {to:?}");
            if from == to {
                assert_eq!(stored.bytes(), &batch.bytes);
            }
        }
    }
}

#[test]
fn a_batch_that_grows_too_large_by_packing_is_refused() {
    let batch = three(Compression::Gzip);
    let target = Some(TargetCodec { codec: Compression::None, level: None });
    let wanted = RecordRules { target, max_message_bytes: batch.bytes.len(), ..rules() };
    let error = valid(&batch).conform(&wanted).expect_err("grows");
    assert!(matches!(error, Rejection::Batch(BatchError::TooLarge { .. })), "{error:?}");
}

#[test]
fn unpacking_has_a_cap_and_noise_is_no_reason_to_retry() {
    let needy = RecordRules { needs_key: true, output_bytes_max: 10, ..rules() };
    let error = valid(&three(Compression::Gzip)).conform(&needy).expect_err("too large");
    assert_eq!(error, Rejection::Batch(BatchError::DecompressedTooLarge { limit: 10 }));
    let plain = three(Compression::None);
    for codec in [1, 2, 3, 4] {
        let bytes = with(&plain, |header| header.attributes = Attributes(codec));
        let batch = validate_produced(&bytes, &limits()).expect("the header is sound");
        let needy = RecordRules { output_bytes_max: 1 << 20, ..needy };
        let Err(Rejection::Batch(error)) = batch.conform(&needy) else { panic!("noise passes") };
        assert_eq!(error.code(), ErrorCode::InvalidRecord, "codec {codec}: {error}");
    }
}

#[test]
fn malformed_records_of_a_plain_batch_are_refused() {
    let batch = three(Compression::None);
    let payload = &batch.bytes[HEADER_BYTES..];
    let mut swapped = payload.to_vec();
    // The first record's offset delta: after length, attributes and timestamp delta.
    swapped[3] = 2;
    let cut = payload[..payload.len() - 2].to_vec();
    let more = [payload, b"xx"].concat();
    let shorter = [&[4], &payload[1..]].concat();
    let negative = [&[3], &payload[1..]].concat();
    for (name, payload) in
        [("swapped", swapped), ("cut", cut), ("more", more), ("shorter", shorter), ("-", negative)]
    {
        let bad = rebuilt(batch.header, &payload);
        let error = valid(&bad).conform(&rules()).expect_err(name);
        assert!(matches!(error, Rejection::Batch(BatchError::BadRecord(_))), "{name}: {error:?}");
    }
}

const PACKED: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// A batch of three records whose payload is what `payload` makes of it, with a right CRC.
fn with_payload(codec: Compression, payload: impl FnOnce(&[u8]) -> Vec<u8>) -> Batch {
    let plain = three(Compression::None);
    let packed = payload(&plain.bytes[HEADER_BYTES..]);
    let attributes = plain.header.attributes.with_compression(codec);
    rebuilt(BatchHeader { attributes, ..plain.header }, &packed)
}

fn refused_batch(batch: &Batch, rules: &RecordRules) -> BatchError {
    match valid(batch).conform(rules).expect_err("refused") {
        Rejection::Batch(error) => error,
        Rejection::Records(errors) => panic!("{errors:?}"),
    }
}

#[test]
fn the_newest_timestamp_of_a_packed_batch_is_that_of_its_records() {
    for codec in Compression::ALL {
        for claimed in [-1, 0, NOW - 600_000, NOW + 999] {
            let bytes = with(&three(codec), |header| header.max_timestamp = Timestamp(claimed));
            let batch = validate_produced(&bytes, &limits()).expect("a sound header");
            let kept = batch.conform(&rules()).expect("conforms");
            assert_eq!(kept.header().max_timestamp, Timestamp(NOW + 2), "{codec:?} {claimed}");
            kept.batch().check_crc().expect("a right crc");
            assert_eq!(timestamps(&kept), [NOW, NOW + 2, NOW + 1]);
        }
    }
}

#[test]
fn a_payload_that_is_no_records_is_refused_whatever_its_crc() {
    for codec in PACKED {
        let twice =
            with_payload(codec, |plain| compress_at(codec, None, &crate::compress(codec, plain)));
        assert_eq!(refused_batch(&twice, &rules()).code(), ErrorCode::InvalidRecord, "{codec:?}");
        let garbage = with_payload(codec, |_| b"garbage that no codec knows".to_vec());
        assert_eq!(refused_batch(&garbage, &rules()).code(), ErrorCode::InvalidRecord, "{codec:?}");
        let short = with_payload(codec, |plain| crate::compress(codec, &plain[..plain.len() - 3]));
        assert_eq!(refused_batch(&short, &rules()).code(), ErrorCode::InvalidRecord, "{codec:?}");
        let long = with_payload(codec, |plain| crate::compress(codec, &[plain, b"x"].concat()));
        assert_eq!(refused_batch(&long, &rules()).code(), ErrorCode::InvalidRecord, "{codec:?}");
        let header = RecordRules { packed: PackedValidation::Header, ..rules() };
        assert!(valid(&garbage).conform(&header).is_ok(), "{codec:?}: its owner answers for it");
    }
}

#[test]
fn a_batch_holds_as_many_records_as_it_says() {
    for codec in PACKED {
        for count in [2, 4, 1000, i32::MAX] {
            let bytes = with(&three(codec), |header| {
                header.records_count = count;
                header.last_offset_delta = count - 1;
            });
            let batch = validate_produced(&bytes, &limits()).expect("a sound header");
            let rejection = batch.conform(&rules()).expect_err("refused");
            assert!(matches!(rejection, Rejection::Batch(_)), "{codec:?} {count}: {rejection:?}");
        }
    }
}

#[test]
fn a_packed_record_is_bounded_by_its_size_and_a_plain_one_is_not() {
    let record = |size: usize| NewRecord {
        timestamp: Timestamp(NOW),
        value: Some(vec![7; size].into()),
        ..NewRecord::default()
    };
    let batch = |codec, sizes: &[usize]| {
        let mut builder = BatchBuilder::new(packed(codec));
        sizes.iter().for_each(|size| builder.push(&record(*size)));
        builder.build()
    };
    let rules = RecordRules { record_bytes_max: 1000, ..rules() };
    for codec in PACKED {
        // Attributes, deltas, a null key, the value's length and the number of headers: 7 bytes.
        assert!(valid(&batch(codec, &[993, 993])).conform(&rules).is_ok(), "{codec:?}");
        let error = refused_batch(&batch(codec, &[10, 994]), &rules);
        assert_eq!(error, BatchError::RecordTooLarge { size: 1001, limit: 1000 }, "{codec:?}");
    }
    assert!(valid(&batch(Compression::None, &[5000])).conform(&rules).is_ok());
}

#[test]
fn records_larger_than_the_window_are_walked_to_their_end() {
    let rules = RecordRules { output_bytes_max: 4 << 20, needs_key: true, ..rules() };
    for codec in Compression::ALL {
        let mut builder = BatchBuilder::new(packed(codec));
        for (index, size) in [10, 70_000, 65_536, 1, 300_000, 65_000, 200].into_iter().enumerate() {
            builder.push(&NewRecord {
                timestamp: Timestamp(NOW + index as i64),
                key: Some(vec![b'k'; size / 3].into()),
                value: Some((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()),
                headers: vec![crate::Header { key: "h".into(), value: None }],
            });
        }
        let batch = builder.build();
        let limits = ProduceLimits { max_message_bytes: 4 << 20, allow_zstd: true };
        let valid = validate_produced(&batch.bytes, &limits).expect("a sound header");
        assert_eq!(valid.conform(&rules).expect("conforms").bytes(), &batch.bytes, "{codec:?}");
    }
}

#[test]
fn what_conformed_is_not_looked_at_again() {
    for codec in PACKED {
        let batch = valid(&three(codec));
        assert!(batch.must_unpack(&rules()));
        assert!(!batch.must_unpack(&rules().once_conformed()));
    }
}
