//! Large fields travel without a copy, in both directions.

use bytes::Bytes;
use wire::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use wire::{Elsewhere, Message, Part, Records, Writer, frame};

fn fetch_response(records: Records) -> FetchResponse {
    let partition = PartitionData { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

#[test]
fn a_fetch_response_of_several_pieces_copies_none_of_them() {
    let pieces: Vec<Bytes> = [3000, 10, 5000].map(|size| Bytes::from(vec![7; size])).to_vec();
    let response = fetch_response(Records::from_pieces(pieces.clone()));
    let sent = frame::encode_response(12, 1, &response).expect("valid");
    let total: usize = sent.as_slice().iter().map(Bytes::len).sum();
    assert_eq!(total, sent.len());
    let large: Vec<*const u8> = sent
        .as_slice()
        .iter()
        .filter(|piece| piece.len() >= Writer::UNCOPIED_MIN)
        .map(|piece| piece.as_ptr())
        .collect();
    assert_eq!(large, [pieces[0].as_ptr(), pieces[2].as_ptr()]);

    let frame = sent.into_bytes();
    let length = i32::from_be_bytes(*frame.first_chunk().expect("a length"));
    assert_eq!(length as usize, frame.len() - 4);
    let (_, back) = frame::decode_response::<FetchResponse>(frame.slice(4..), 12).expect("valid");
    assert_eq!(back, response);
}

#[test]
fn records_that_are_elsewhere_leave_their_room_where_their_bytes_would_be() {
    let sizes = [3000, 0, 5000];
    let response = |records: &dyn Fn(usize, usize) -> Records| {
        let partition = |(source, len)| PartitionData {
            records: Some(records(source, len)),
            ..Default::default()
        };
        let partitions = sizes.into_iter().enumerate().map(partition).collect();
        let topic = FetchableTopicResponse { partitions, ..Default::default() };
        FetchResponse { responses: vec![topic], ..Default::default() }
    };
    let bytes = |source: usize, len| Bytes::from(vec![source as u8 + 1; len]);
    let whole = response(&|source, len| Records::new(bytes(source, len)));
    let holed = response(&|source, len| Records::from_elsewhere(Elsewhere { len, source }));
    for version in [4, 11, 12, 18] {
        let whole = frame::encode_response(version, 1, &whole).expect("valid").into_bytes();
        let holed = frame::encode_response(version, 1, &holed).expect("valid");
        assert_eq!(holed.len(), whole.len(), "version {version}");
        let mut filled = Vec::new();
        for part in holed.into_parts() {
            match part {
                Part::Bytes(bytes) => filled.extend_from_slice(&bytes),
                Part::Elsewhere(gap) => filled.extend_from_slice(&bytes(gap.source, gap.len)),
            }
        }
        assert_eq!(filled, whole, "version {version}");
    }
}

#[test]
fn decoded_records_are_a_slice_of_the_frame() {
    let records = Some(Records::new(Bytes::from(vec![1; 4000])));
    let partition = PartitionProduceData { records, ..Default::default() };
    let topic = TopicProduceData { partition_data: vec![partition], ..TopicProduceData::default() };
    let request = ProduceRequest { topic_data: vec![topic], ..Default::default() };
    let frame = request.encode_pieces(9).expect("valid").into_bytes();
    let back = ProduceRequest::decode_bytes(frame.clone(), 9).expect("valid");
    let records = back.topic_data[0].partition_data[0].records.clone().expect("sent");
    assert!(frame.as_ptr_range().contains(&records.pieces()[0].as_ptr()));
    assert_eq!(records.len(), 4000);
}

#[test]
fn records_are_equal_by_their_bytes_however_they_are_cut() {
    let whole = Records::new(Bytes::from_static(b"abcdef"));
    let cut = vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"def")];
    assert_eq!(whole, Records::from_pieces(cut));
    assert_ne!(whole, Records::new(Bytes::from_static(b"abcdeg")));
    assert!(Records::default().is_empty());
}
