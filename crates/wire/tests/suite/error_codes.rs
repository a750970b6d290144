//! Every error code of an answer is seen, however deep it stands.

use wire::Element;
use wire::fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData};
use wire::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};

fn codes(message: &impl Element) -> Vec<i16> {
    let mut codes = Vec::new();
    message.error_codes(&mut |code| codes.push(code));
    codes
}

#[test]
fn codes_of_the_answer_and_of_all_its_parts_are_seen() {
    let partition = |error_code| PartitionData { error_code, ..Default::default() };
    let topic = |partitions: Vec<PartitionData>| FetchableTopicResponse {
        partitions,
        ..Default::default()
    };
    let response = FetchResponse {
        error_code: 71,
        responses: vec![topic(vec![partition(1), partition(0)]), topic(vec![partition(6)])],
        ..Default::default()
    };
    assert_eq!(codes(&response), [71, 1, 0, 6]);
}

#[test]
fn an_answer_without_a_code_of_its_own_shows_those_of_its_parts() {
    let partition = PartitionProduceResponse { error_code: 87, ..Default::default() };
    let topic = TopicProduceResponse { partition_responses: vec![partition], ..Default::default() };
    assert_eq!(codes(&ProduceResponse { responses: vec![topic], ..Default::default() }), [87]);
    assert!(codes(&FetchRequest::default()).is_empty());
}
