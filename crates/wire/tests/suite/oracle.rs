//! Every API and version that we and the `kafka-protocol` crate know, compared both ways.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use wire::{EncodeError, Message};

use crate::normal;
use crate::random::Random;
use crate::sample;
use crate::schema::Schema;

const ROUNDS: usize = 12;

/// Fields of versions that only we know, as they show in older versions.
const UNKNOWN_TO_THEM: [&str; 4] = [
    ",transaction_version:0",
    ",cluster_id:None,node_id:-1",
    ",error_message:None",
    ",is_cordoned:false",
];

/// Reads our sample with both, writes it with both, in this version and in all others.
fn check<Ours: Message, Theirs>(schemas: &[Schema]) -> usize
where
    Theirs: Decodable + Encodable + TheirMessage + std::fmt::Debug + Default + PartialEq,
{
    let (schema, message) = sample::find(schemas, Ours::NAME);
    let versions =
        Ours::VERSIONS.0.max(Theirs::VERSIONS.min)..=Ours::VERSIONS.1.min(Theirs::VERSIONS.max);
    let mut random = Random::new(u64::from(Ours::KEY.unsigned_abs()) + 1000);
    let mut compared = 0;
    for version in versions.clone() {
        check_default::<Ours, Theirs>(version);
        for round in 0..ROUNDS {
            let context = format!("{} version {version} round {round}", Ours::NAME);
            let bytes = Bytes::from(sample::message(&mut random, schema, message, version));
            let ours = Ours::decode_bytes(bytes.clone(), version)
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            let mut rest = bytes.clone();
            let their = Theirs::decode(&mut rest, version)
                .unwrap_or_else(|error| panic!("{context}: they fail: {error}"));
            assert!(rest.is_empty(), "{context}: they leave {} bytes", rest.len());
            assert_eq!(encode_ours(&ours, version), Some(bytes.clone()), "{context}: ours");
            assert_eq!(encode_theirs(&their, version), Some(bytes), "{context}: theirs");
            let (left, right) = (show(&ours), show(&their));
            assert_eq!(left, right, "{context}: values differ");
            for other in versions.clone() {
                if only_they_write(schema, &ours, other) {
                    continue;
                }
                let (left, right) = (encode_ours(&ours, other), encode_theirs(&their, other));
                assert_eq!(left, right, "{context}: written in version {other}: {ours:?}");
            }
            compared += 1;
        }
    }
    compared
}

fn check_default<Ours: Message, Theirs: Encodable + Default>(version: i16) {
    let ours = encode_ours(&Ours::default(), version);
    let theirs = encode_theirs(&Theirs::default(), version);
    assert_eq!(ours, theirs, "{} version {version}: defaults differ", Ours::NAME);
}

/// They send null where the version's schema has none, and drop any tagged field that the version
/// lacks. Kafka's own classes refuse both, as we do.
fn only_they_write(schema: &Schema, message: &impl Message, version: i16) -> bool {
    match message.encode_pieces(version) {
        Err(EncodeError::NullNotInVersion { .. }) => true,
        Err(EncodeError::FieldNotInVersion { field, .. }) => {
            let (owner, name) = field.split_once('.').expect("a struct and its field");
            let mut fields = schema.find(owner).fields.iter();
            fields.any(|field| field.name == name && field.tag.is_some())
        }
        _ => false,
    }
}

fn encode_ours(message: &impl Message, version: i16) -> Option<Bytes> {
    message.encode_pieces(version).ok().map(wire::Pieces::into_bytes)
}

fn encode_theirs(message: &impl Encodable, version: i16) -> Option<Bytes> {
    let mut buffer = BytesMut::new();
    message.encode(&mut buffer, version).ok().map(|()| buffer.freeze())
}

fn show(message: &impl std::fmt::Debug) -> String {
    let text = normal::text(&format!("{message:?}"));
    UNKNOWN_TO_THEM.iter().fold(text, |text, field| text.replace(field, ""))
}

macro_rules! check_apis {
    ($([$name:ident $module:ident $request:ident $response:ident])*) => {
        #[test]
        fn every_request_is_read_and_written_as_the_public_crate_does() {
            let schemas = sample::schemas();
            let compared: usize = [$(
                check::<wire::$module::$request, theirs::$request>(&schemas),
            )*].iter().sum();
            assert!(compared > 100 * ROUNDS, "only {compared} messages were compared");
        }

        #[test]
        fn the_public_crate_lacks_these_versions_only() {
            let mut lacking = Vec::new();
            $(
                let ours = <wire::$module::$request as Message>::VERSIONS;
                let theirs = <theirs::$request as TheirMessage>::VERSIONS;
                for version in (ours.0..=ours.1).filter(|v| *v < theirs.min || *v > theirs.max) {
                    lacking.push(format!("{} {version}", stringify!($name)));
                }
            )*
            // These follow from the schemas alone, and round-trip in `hostile`.
            let expected = [
                "ApiVersions 5",
                "DeleteGroups 3",
                "DescribeLogDirs 5",
                "InitProducerId 6",
                "ListOffsets 11",
                "OffsetCommit 10",
                "OffsetFetch 10",
                "WriteTxnMarkers 2",
            ];
            assert_eq!(lacking, expected);
        }

        #[test]
        fn every_response_is_read_and_written_as_the_public_crate_does() {
            let schemas = sample::schemas();
            let compared: usize = [$(
                check::<wire::$module::$response, theirs::$response>(&schemas),
            )*].iter().sum();
            assert!(compared > 100 * ROUNDS, "only {compared} messages were compared");
        }
    };
}

wire::for_each_api!(check_apis);

#[test]
fn consumer_data_is_read_and_written_as_the_public_crate_does() {
    use wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
    let schemas = sample::schemas();
    check::<ConsumerProtocolSubscription, theirs::ConsumerProtocolSubscription>(&schemas);
    check::<ConsumerProtocolAssignment, theirs::ConsumerProtocolAssignment>(&schemas);
}

#[test]
fn headers_are_those_of_the_public_crate_for_every_api_and_version() {
    for key in wire::ApiKey::all() {
        let their_key = theirs::ApiKey::try_from(key as i16).expect("they know it");
        for version in key.versions().0..=key.versions().1 {
            let ours = wire::header::request_header_version(key, version);
            assert_eq!(ours, their_key.request_header_version(version), "{key} {version}");
            let ours = wire::header::response_header_version(key, version);
            assert_eq!(ours, their_key.response_header_version(version), "{key} {version}");
            check_request_header(key, version);
        }
    }
}

fn check_request_header(api_key: wire::ApiKey, api_version: i16) {
    let client_id = (api_version % 2 == 0).then(|| wire::StrBytes::from("client"));
    let ours = wire::header::RequestHeader { api_key, api_version, correlation_id: 7, client_id };
    let mut writer = wire::Writer::new();
    wire::header::encode_request_header(&mut writer, &ours).expect("short");
    let mut bytes = writer.finish().into_bytes();
    let mut reader = wire::Reader::new(bytes.clone());
    assert_eq!(wire::header::decode_request_header(&mut reader), Ok(ours.clone()));
    reader.finish().expect("all is read");

    let version = wire::header::request_header_version(api_key, api_version);
    let theirs = theirs::RequestHeader::decode(&mut bytes, version).expect("valid");
    assert!(bytes.is_empty());
    assert_eq!(theirs.request_api_key, api_key as i16);
    assert_eq!(theirs.request_api_version, api_version);
    assert_eq!(theirs.correlation_id, 7);
    assert_eq!(theirs.client_id.as_deref(), ours.client_id.as_deref());
}
