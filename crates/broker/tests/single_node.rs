//! One whole broker, spoken to over its sockets in Kafka's protocol and in gRPC.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod support;

use records::{BatchBuilder, BatchOptions, NewRecord};
use std::time::Duration;
use support::Node;
use support::kafka::Connection;
use types::ErrorCode;
use wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use wire::create_topics::{CreatableTopic, CreateTopicsRequest};
use wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use wire::init_producer_id::InitProducerIdRequest;
use wire::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};
use wire::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData,
};
use wire::{ApiKey, Records};

fn code(error: ErrorCode) -> i16 {
    error.into()
}

fn named() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..Default::default()
    }
}

async fn create(client: &mut Connection, name: &str, partitions: i32) {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
}

async fn metadata(client: &mut Connection, name: &str) -> MetadataResponseTopic {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    client.call(12, &request).await.topics.remove(0)
}

fn produce(topic: &str, acks: i16, values: &[&str]) -> ProduceRequest {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        let value = Some(wire::Bytes::copy_from_slice(value.as_bytes()));
        let timestamp = types::Timestamp(1);
        builder.push(&NewRecord { value, timestamp, ..Default::default() });
    }
    let records = Some(Records::new(builder.build().bytes));
    ProduceRequest {
        acks,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData { index: 0, records }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn produced(response: &ProduceResponse) -> &PartitionProduceResponse {
    &response.responses[0].partition_responses[0]
}

fn fetch(topic: &str, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        replica_id: -1,
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition: 0,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn values(response: &FetchResponse) -> Vec<String> {
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let records = partition.records.as_ref().map(Records::to_bytes).unwrap_or_default();
    let mut values = Vec::new();
    for batch in records::batches(&records) {
        let batch = batch.expect("a whole batch");
        for record in batch.records(1 << 20).expect("readable records") {
            let value = record.expect("a record").value.expect("a value");
            values.push(String::from_utf8(value.to_vec()).expect("text"));
        }
    }
    values
}

#[tokio::test]
async fn what_is_produced_is_fetched_again() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "words", 3).await;
    assert_eq!(metadata(&mut client, "words").await.partitions.len(), 3);
    for acks in [-1, 1] {
        let response = client.call(9, &produce("words", acks, &["one", "two"])).await;
        assert_eq!(produced(&response).error_code, 0);
    }
    let response = client.call(9, &produce("words", -1, &["three"])).await;
    assert_eq!(produced(&response).base_offset, 4);
    let response = client.call(12, &fetch("words", 1, 1000)).await;
    // Fetch gives whole batches: the first one begins below the offset asked for.
    assert_eq!(values(&response), ["one", "two", "one", "two", "three"]);
    let end = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: "words".into(), partitions: vec![end] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let response = client.call(7, &request).await;
    assert_eq!(response.topics[0].partitions[0].offset, 5);
}

#[tokio::test]
async fn metadata_makes_a_topic_on_first_use_where_both_sides_allow_it() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    let topic = metadata(&mut client, "fresh").await;
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 1));
    assert_eq!(topic.partitions[0].leader_id, 1);
    assert_eq!(metadata(&mut client, "not/a/name").await.error_code, 17);
    let wanted = MetadataRequestTopic { name: Some("other".into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![wanted]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let response = client.call(12, &request).await;
    assert_eq!(response.topics[0].error_code, code(ErrorCode::UnknownTopicOrPartition));

    let node = Node::start(&[("auto.create.topics.enable", "false")]).await;
    let mut client = node.connect().await;
    let topic = metadata(&mut client, "fresh").await;
    assert_eq!(topic.error_code, code(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test]
async fn metadata_answers_for_the_listener_that_was_asked() {
    let node = Node::start(&[]).await;
    for (index, (_, address)) in node.broker.addresses().iter().enumerate() {
        let mut client = node.connect_to(index).await;
        let request = MetadataRequest { topics: Some(Vec::new()), ..Default::default() };
        let response = client.call(9, &request).await;
        let ports: Vec<i32> = response.brokers.iter().map(|broker| broker.port).collect();
        assert_eq!(ports, [i32::from(address.port())]);
        assert_eq!(response.controller_id, 1);
        assert_eq!(response.cluster_id.as_deref(), Some("stand-in-cluster-id-0"));
    }
}

#[tokio::test]
async fn answers_come_in_the_order_asked_even_behind_a_long_poll() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    client.send(12, &fetch("t", 0, 30_000)).await;
    client.send(3, &named()).await;
    for _ in 0..20 {
        client.send(9, &produce("t", -1, &["x"])).await;
    }
    client.send(3, &named()).await;
    // The produce requests behind the long poll are appended at once, and end it.
    let response: FetchResponse = client.receive(12).await;
    assert!(!values(&response).is_empty());
    let _: ApiVersionsResponse = client.receive(3).await;
    for offset in 0..20 {
        let response: ProduceResponse = client.receive(9).await;
        assert_eq!(produced(&response).base_offset, offset);
    }
    let _: ApiVersionsResponse = client.receive(3).await;
}

#[tokio::test]
async fn a_connection_that_waits_for_an_answer_is_not_idle() {
    let node = Node::start(&[("connections.max.idle.ms", "50")]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    let response = client.call(12, &fetch("t", 0, 300)).await;
    assert_eq!(values(&response), Vec::<String>::new());
    assert_eq!(client.frame().await, None, "now it is");
}

#[tokio::test]
async fn requests_queued_behind_a_long_poll_leave_other_connections_their_turn() {
    let node = Node::start(&[("queued.max.requests", "1")]).await;
    let mut polling = node.connect().await;
    create(&mut polling, "t", 1).await;
    polling.send(12, &fetch("t", 0, 30_000)).await;
    let mut other = node.connect().await;
    for client in [&mut polling, &mut other] {
        for _ in 0..5 {
            client.send(3, &named()).await;
        }
    }
    for _ in 0..5 {
        let _: ApiVersionsResponse = other.receive(3).await;
    }
    other.call(9, &produce("t", 1, &["x"])).await;
    let response: FetchResponse = polling.receive(12).await;
    assert_eq!(values(&response), ["x"]);
    for _ in 0..5 {
        let _: ApiVersionsResponse = polling.receive(3).await;
    }
}

#[tokio::test]
async fn errors_in_answers_are_counted_by_api() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    for topic in ["missing", "t", "missing"] {
        client.call(9, &produce(topic, 1, &["x"])).await;
    }
    let page = node.metrics.render();
    let counted: Vec<&str> =
        page.lines().filter(|line| line.starts_with("ottla_request_errors_total{")).collect();
    let expected =
        "ottla_request_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"} 2";
    assert_eq!(counted, [expected]);
}

#[tokio::test]
async fn produce_without_acks_gets_no_answer_and_its_failure_closes_the_connection() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    client.send(9, &produce("t", 0, &["silent"])).await;
    client.expect_silence();
    let response = client.call(9, &produce("t", 1, &["heard"])).await;
    assert_eq!(produced(&response).base_offset, 1);
    client.send(9, &produce("missing", 0, &["lost"])).await;
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn versions_are_told_and_an_unknown_version_is_answered_in_version_0() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    let response = client.call(3, &named()).await;
    let range = |key: ApiKey| {
        let api = response.api_keys.iter().find(|api| api.api_key == key as i16);
        api.map(|api| (api.min_version, api.max_version))
    };
    assert_eq!(range(ApiKey::ApiVersions), Some((0, 5)));
    assert_eq!(range(ApiKey::Produce).map(|range| range.0), Some(0));
    assert_eq!(range(ApiKey::CreateAcls), None);
    // Key 18, version 99, correlation id 7, no client id, no tagged fields.
    client.raw(&[0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0]).await;
    let frame = client.frame().await.expect("an answer");
    let (id, response): (i32, ApiVersionsResponse) =
        wire::frame::decode_response(frame, 0).expect("a version 0 body");
    assert_eq!((id, response.error_code), (7, code(ErrorCode::UnsupportedVersion)));
    assert_eq!(response.api_keys[0].api_key, ApiKey::ApiVersions as i16);
    client.call(3, &named()).await;
}

#[tokio::test]
async fn bad_frames_close_their_connection_and_nothing_else() {
    let node = Node::start(&[]).await;
    let mut bystander = node.connect().await;
    let frames: [&[u8]; 7] = [
        // A negative length, an absurd one, an empty frame.
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0],
        // An unknown API; a version that is not served.
        &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        // Metadata version 0 with two thousand million topics; with one that is cut off.
        &[0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 16, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 9],
    ];
    for bytes in frames {
        let mut client = node.connect().await;
        client.send(3, &named()).await;
        client.raw(bytes).await;
        let _: ApiVersionsResponse = client.receive(3).await;
        assert_eq!(client.frame().await, None, "{bytes:?}");
    }
    bystander.call(3, &named()).await;
}

#[tokio::test]
async fn producer_ids_are_given_once_and_transactions_are_refused_at_once() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let response = client.call(4, &request).await;
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        ids.push(response.producer_id);
    }
    assert!(ids[0] < ids[1] && ids[1] < ids[2], "{ids:?}");
    let request = InitProducerIdRequest { transactional_id: Some("t".into()), ..request };
    let response = client.call(4, &request).await;
    assert_ne!(response.error_code, 0);
    let error = ErrorCode::from_code(response.error_code).expect("a known error");
    assert!(!error.is_retriable(), "{error}");
}

#[tokio::test]
async fn a_changed_configuration_is_described_with_its_source() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    let change = AlterableConfig {
        name: "retention.ms".into(),
        config_operation: 0,
        value: Some("1234567".into()),
    };
    let resource = |kind, name: &str| AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![change.clone()],
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource(2, "t"), resource(2, "missing"), resource(99, "t")],
        ..Default::default()
    };
    let response = client.call(1, &request).await;
    let codes: Vec<i16> = response.responses.iter().map(|one| one.error_code).collect();
    let (unknown, invalid) = (ErrorCode::UnknownTopicOrPartition, ErrorCode::InvalidRequest);
    assert_eq!(codes, [0, code(unknown), code(invalid)]);
    let request = wire::describe_configs::DescribeConfigsRequest {
        resources: vec![wire::describe_configs::DescribeConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configuration_keys: Some(vec!["retention.ms".into()]),
        }],
        include_synonyms: true,
        ..Default::default()
    };
    let response = client.call(4, &request).await;
    let entry = &response.results[0].configs[0];
    assert_eq!((entry.value.as_deref(), entry.config_source), (Some("1234567"), 1));
    // That the default is in hours is not told below a value in milliseconds.
    assert_eq!(entry.synonyms.len(), 1);
}

#[tokio::test]
async fn the_admin_service_does_what_the_protocol_does() {
    use rpc::admin::admin_client::AdminClient;
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let node = Node::start(&[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_routes(node.broker.routes());
    tokio::spawn(server.serve_with_incoming(incoming));
    let net = env::Env::real().net;
    let channel = broker::channel::channel(&net, &address.to_string()).expect("a channel");
    let mut admin = AdminClient::new(channel.clone());
    let request = rpc::admin::CreateTopicRequest {
        name: "t".to_owned(),
        partitions: Some(2),
        ..Default::default()
    };
    admin.create_topic(request.clone()).await.expect("made");
    let again = admin.create_topic(request).await.expect_err("there already");
    assert_eq!(again.code(), tonic::Code::AlreadyExists);
    let topics = admin.list_topics(rpc::admin::ListTopicsRequest {}).await.expect("listed");
    assert_eq!(topics.get_ref().topics[0].partitions, 2);
    let request = rpc::admin::DescribePartitionsRequest { topic: "t".to_owned() };
    let states = admin.describe_partitions(request).await.expect("described").into_inner();
    assert!(states.partitions.iter().all(|state| state.role == "leader"));
    assert_eq!(states.partitions.len(), 2);
    let request = rpc::admin::DeleteTopicRequest { name: "t".to_owned() };
    admin.delete_topic(request.clone()).await.expect("deleted");
    let gone = admin.delete_topic(request).await.expect_err("gone");
    assert_eq!(gone.code(), tonic::Code::NotFound);
    let cluster = admin.describe_cluster(rpc::admin::DescribeClusterRequest {}).await;
    assert_eq!(cluster.expect("described").get_ref().brokers.len(), 1);
    let mut health = HealthClient::new(channel);
    let status = health.check(HealthCheckRequest::default()).await.expect("health");
    assert_eq!(status.get_ref().status, 1, "serving");
}

#[tokio::test]
async fn a_forgotten_broker_registers_again_under_the_same_incarnation() {
    let node = Node::start(&[]).await;
    let before = node.broker.context().core.broker_epoch.get();
    let incarnation = node.broker.context().core.incarnation_id;
    let broker_id = types::NodeId(1);
    node.controller.decide(metadata::Command::UnregisterBroker { broker_id });
    let image = &node.broker.context().core.image;
    let mut applied = image.watch();
    let back = async {
        loop {
            let image = image.load();
            let own = image.broker(broker_id);
            if own.is_some_and(|own| own.epoch > before && !own.fenced) {
                return own.map(|own| own.incarnation_id);
            }
            applied.changed().await.expect("the broker runs");
        }
    };
    let back = tokio::time::timeout(Duration::from_secs(10), back).await;
    assert_eq!(back.expect("registered again in time"), Some(incarnation));
}

#[tokio::test]
async fn a_controlled_shutdown_ends_in_time_and_closes_the_connections() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    let shutdown = node.broker.controlled_shutdown();
    tokio::time::timeout(Duration::from_secs(5), shutdown).await.expect("bounded");
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn a_new_start_is_not_led_astray_by_the_history_of_its_topics() {
    let node = Node::start(&[]).await;
    let mut client = node.connect().await;
    create(&mut client, "t", 1).await;
    client.call(9, &produce("t", -1, &["of the first topic"])).await;
    // More than is applied as one step, so that the images in between are seen.
    let much = || {
        let (broker_id, broker_epoch) =
            (types::NodeId(1), node.broker.context().core.broker_epoch.get());
        for _ in 0..100 {
            let command = metadata::Command::AllocateProducerIds { broker_id, broker_epoch };
            node.controller.decide(command);
        }
    };
    much();
    let request = wire::delete_topics::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        timeout_ms: 5000,
        ..Default::default()
    };
    let response = client.call(5, &request).await;
    assert_eq!(response.responses[0].error_code, 0);
    much();
    create(&mut client, "t", 1).await;
    let response = client.call(9, &produce("t", -1, &["acknowledged"])).await;
    assert_eq!(produced(&response).error_code, 0);
    // The controller tells the new start all from the beginning: the first topic, its end, and the
    // second one, whose records are on disk.
    let node = node.restart().await;
    let core = &node.broker.context().core;
    let mut applied = core.image.watch();
    let leads = async {
        while core.image.load().leaders_of(types::NodeId(1)).next().is_none() {
            applied.changed().await.expect("the broker runs");
        }
        // The image is seen a moment before the partitions have followed it.
        core.image.wait_for(core.image.load().version(), Duration::from_secs(10)).await;
    };
    tokio::time::timeout(Duration::from_secs(10), leads).await.expect("leads in time");
    let mut client = node.connect().await;
    let response = client.call(12, &fetch("t", 0, 1000)).await;
    assert_eq!(values(&response), ["acknowledged"]);
}
