//! Exchanges in bytes, as Kafka's clients and brokers send them.

use bytes::{Bytes, BytesMut};
use wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use wire::frame::{self, FrameError};
use wire::group_records::{OffsetCommitKey, OffsetCommitValue};
use wire::{ApiKey, DecodeError, EncodeError, Message, Reader, StrBytes, data};

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex")
    };
    digits.chunks(2).map(pair).collect::<Vec<u8>>().into()
}

/// ApiVersions version 3 as a Java client begins every connection.
const API_VERSIONS_REQUEST: &str = "
    00000023 0012 0003 0000002a 0007 70 65 72 66 2d 70 31 00
    06 6a617661 2d 09 34 2e322e302d7263 00";

fn api_versions_request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "java-".into(),
        client_software_version: "4.2.0-rc".into(),
        ..Default::default()
    }
}

#[test]
fn an_api_versions_exchange_has_these_bytes() {
    let request = api_versions_request();
    let sent = frame::encode_request(3, 42, Some(StrBytes::from("perf-p1")), &request);
    let mut expected = hex(API_VERSIONS_REQUEST).to_vec();
    let length = (expected.len() - 4) as u32;
    expected[..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(sent.expect("valid").into_bytes(), expected);

    let (header, mut reader) =
        frame::open_request(Bytes::from(expected).slice(4..)).expect("valid");
    assert_eq!((header.api_key, header.api_version), (ApiKey::ApiVersions, 3));
    assert_eq!(header.client_id.as_deref(), Some("perf-p1"));
    assert_eq!(ApiVersionsRequest::decode(&mut reader, 3), Ok(request));

    let api = |api_key, max_version| ApiVersion { api_key, max_version, ..Default::default() };
    let response =
        ApiVersionsResponse { api_keys: vec![api(0, 13), api(18, 4)], ..Default::default() };
    let sent = frame::encode_response(3, 42, &response).expect("valid").into_bytes();
    // No tagged fields behind the correlation id although version 3 is flexible.
    let expected = "0000001a 0000002a 0000 03 0000 0000 000d 00 0012 0000 0004 00 00000000 00";
    assert_eq!(sent, hex(expected));
    assert_eq!(frame::decode_response(sent.slice(4..), 3), Ok((42, response)));
}

#[test]
fn an_unknown_api_versions_version_gets_an_answer_of_version_0_that_any_client_reads() {
    let request = hex("0012 0063 0000002a ffff 00 0102030405");
    let (header, _) = frame::open_request(request).expect("the header is readable");
    assert_eq!((header.api_key, header.api_version), (ApiKey::ApiVersions, 99));
    let sent = wire::version_negotiation::encode_unsupported(42, (0, 4)).expect("valid");
    let sent = sent.into_bytes();
    assert_eq!(sent, hex("00000010 0000002a 0023 00000001 0012 0000 0004"));
    for version in 0..=4 {
        let mut reader = Reader::new(sent.slice(8..));
        let response = wire::version_negotiation::decode_response(&mut reader, version);
        let response = response.expect("readable in any version");
        assert_eq!((response.error_code, response.api_keys[0].max_version), (35, 4));
    }
}

#[test]
fn a_client_id_that_is_no_utf_8_is_replaced_not_refused() {
    let request = hex("0003 0001 0000002a 0003 6d fc 6c 00000000");
    let (header, mut reader) = frame::open_request(request).expect("the header is readable");
    assert_eq!(header.client_id.as_deref(), Some("m\u{fffd}l"));
    assert_eq!(reader.int32(), Ok(0));
}

#[test]
fn frames_are_cut_at_their_length_and_bad_lengths_are_refused_at_once() {
    let mut buffer = BytesMut::from(&hex("00000003 010203 00000001 04 000000")[..]);
    assert_eq!(frame::split(&mut buffer, 100), Ok(Some(hex("010203"))));
    assert_eq!(frame::split(&mut buffer, 100), Ok(Some(hex("04"))));
    assert_eq!(frame::split(&mut buffer, 100), Ok(None));
    assert_eq!(buffer.len(), 3);
    let mut buffer = BytesMut::from(&hex("ffffffff")[..]);
    assert_eq!(frame::split(&mut buffer, 100), Err(FrameError::Negative { length: -1 }));
    let mut buffer = BytesMut::from(&hex("00000065")[..]);
    let error = FrameError::TooLong { length: 101, length_max: 100 };
    assert_eq!(frame::split(&mut buffer, 100), Err(error));
    assert_eq!(error.to_string(), "frame of 101 bytes is above the limit of 100");
}

#[test]
fn an_unknown_api_is_an_error_that_names_its_key() {
    let error = frame::open_request(hex("03e7 0000 00000001 ffff")).expect_err("unknown");
    assert_eq!(error, DecodeError::UnknownApi { key: 999 });
    assert_eq!(error.to_string(), "unknown api key 999");
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut bytes = api_versions_request().encode_pieces(3).expect("valid").into_bytes().to_vec();
    assert_eq!(bytes.pop(), Some(0));
    bytes.extend_from_slice(&hex("02 05 03 aabbcc 8601 00"));
    assert_eq!(ApiVersionsRequest::decode_bytes(bytes.into(), 3), Ok(api_versions_request()));
}

#[test]
fn a_value_that_the_version_lacks_is_refused_unless_it_may_be_dropped() {
    let request = wire::join_group::JoinGroupRequest {
        group_instance_id: Some("static".into()),
        ..Default::default()
    };
    let error = request.encode_pieces(4).expect_err("version 5 brought it");
    let field = "JoinGroupRequest.group_instance_id";
    assert_eq!(error, EncodeError::FieldNotInVersion { field, version: 4 });
    assert!(request.encode_pieces(5).is_ok());
    let ignorable =
        wire::join_group::JoinGroupRequest { rebalance_timeout_ms: 5, ..Default::default() };
    assert!(ignorable.encode_pieces(0).is_ok());
}

#[test]
fn null_is_refused_where_the_version_has_no_null() {
    let all = wire::metadata::MetadataRequest { topics: None, ..Default::default() };
    let field = "MetadataRequest.topics";
    let error = all.encode_pieces(0).expect_err("version 0 has no null");
    assert_eq!(error, EncodeError::NullNotInVersion { field, version: 0 });
    assert_eq!(all.encode_pieces(1).map(wire::Pieces::into_bytes), Ok(hex("ffffffff")));
}

#[test]
fn offset_records_have_kafkas_bytes() {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 2 };
    let bytes = data::encode_key(&key).expect("valid");
    assert_eq!(bytes, hex("0001 0001 67 0001 74 00000002"));
    let (kind, mut reader) = data::open_key(bytes).expect("valid");
    assert_eq!((kind, OffsetCommitKey::decode(&mut reader, 0)), (OffsetCommitKey::KEY, Ok(key)));

    let value = OffsetCommitValue {
        offset: 5,
        leader_epoch: 3,
        metadata: "m".into(),
        commit_timestamp: 9,
        ..Default::default()
    };
    let bytes = data::encode_value(&value, 3).expect("valid");
    assert_eq!(bytes, hex("0003 0000000000000005 00000003 0001 6d 0000000000000009"));
    assert_eq!(data::decode_value(bytes), Ok(value.clone()));
    let bytes = data::encode_value(&value, 4).expect("valid");
    assert_eq!(bytes, hex("0004 0000000000000005 00000003 02 6d 0000000000000009 00"));
    assert_eq!(data::decode_value(bytes), Ok(value));
}
