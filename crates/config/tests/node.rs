//! What a node makes of its file.

use config::{ListenerRole, NodeConfig, Properties};
use std::time::Duration;
use types::NodeId;

fn node(text: &str) -> NodeConfig {
    NodeConfig::from_properties(Properties::parse(text).expect("the text parses"))
        .expect("the file is right")
}

fn errors(text: &str) -> String {
    let properties = Properties::parse(text).expect("the text parses");
    NodeConfig::from_properties(properties).expect_err("the file is wrong").to_string()
}

fn listeners(config: &NodeConfig) -> Vec<(&str, u16, ListenerRole, bool)> {
    let all = config.network.listeners.iter();
    all.map(|listener| (listener.name.as_str(), listener.port, listener.role, listener.implicit))
        .collect()
}

#[test]
fn a_lone_node_has_the_documented_ports() {
    let config = node("node.id=1");
    assert_eq!(
        listeners(&config),
        [
            ("PLAINTEXT", 9092, ListenerRole::Kafka, false),
            ("CONTROLLER", 9093, ListenerRole::Controller, true),
            ("GRPC", 9094, ListenerRole::Grpc, true),
        ]
    );
    assert_eq!(config.network.http.as_ref().map(|http| http.port), Some(9095));
}

/// Nobody is asked who they are, so what no key opens must not be open.
#[test]
fn only_the_loopback_is_listened_on_unless_a_key_says_otherwise() {
    let bound = |text: &str| -> Vec<String> {
        let config = node(text);
        let http = config.network.http.as_ref().map(|http| http.bind_addr());
        config.network.listeners.iter().map(|one| one.bind_addr()).chain(http).collect()
    };
    let all = ["127.0.0.1:9092", "127.0.0.1:9093", "127.0.0.1:9094", "127.0.0.1:9095"];
    assert_eq!(bound("node.id=1"), all);
    assert_eq!(bound("node.id=1\ncontroller.quorum.voters=1@localhost:9093,2@[::1]:9193"), all);
    let clients_only = ["0.0.0.0:9092", "127.0.0.1:9093", "127.0.0.1:9094", "127.0.0.1:9095"];
    assert_eq!(bound("node.id=1\nlisteners=PLAINTEXT://:9092"), clients_only);
    let of_a_quorum = bound(
        "node.id=1\nlisteners=PLAINTEXT://h1:9092,CONTROLLER://h1:9093\n\
         controller.quorum.voters=1@h1:9093,2@h2:9093\nottla.http.listener=:9095",
    );
    assert_eq!(of_a_quorum, ["h1:9092", "h1:9093", "h1:9094", "0.0.0.0:9095"]);
    let cut_off = node("node.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093,2@127.0.0.1:9193");
    assert!(cut_off.warnings[0].contains("listeners is not set"), "{:?}", cut_off.warnings);
    let mut lone = node("node.id=1");
    lone.advertise_as("box");
    assert!(lone.network.advertised.iter().all(|told| told.host == "localhost"));
}

/// Each node of a rolling restart would cut itself off from the others.
#[test]
fn a_node_whose_quorum_is_on_other_hosts_does_not_start_on_the_loopback_for_want_of_listeners() {
    for text in [
        "node.id=1\ncontroller.quorum.voters=1@localhost:9093,2@h2:9093",
        "node.id=1\ncontroller.quorum.voters=1@10.0.0.1:9093\nlisteners=",
        "node.id=4\nprocess.roles=broker\ncontroller.quorum.bootstrap.servers=h1:9093",
    ] {
        let found = errors(text);
        assert!(found.starts_with("missing required key listeners: the quorum has a"), "{found}");
        let text = text.trim_end_matches("\nlisteners=");
        node(&format!("{text}\nlisteners=PLAINTEXT://:9092"));
    }
}

/// Brokers that join it follow its partitions by its added gRPC listener.
#[test]
fn a_first_node_whose_controllers_listener_is_open_is_reached_by_those_who_join_it() {
    let grpc = |listeners: &str| {
        let mut config = node(&format!("node.id=1\nlisteners={listeners}"));
        config.advertise_as("box");
        let bound = config.network.listeners.iter().find(|one| one.name == "GRPC");
        let told = config.network.advertised.iter().find(|one| one.name == "GRPC");
        (bound.expect("added").bind_addr(), told.expect("told").host.clone())
    };
    let of = |bound: &str, told: &str| (bound.to_owned(), told.to_owned());
    let here = of("127.0.0.1:9094", "localhost");
    assert_eq!(grpc("PLAINTEXT://:9092,CONTROLLER://:9093"), of("0.0.0.0:9094", "box"));
    assert_eq!(grpc("PLAINTEXT://127.0.0.1:9092,CONTROLLER://h1:9093"), of("h1:9094", "h1"));
    assert_eq!(grpc("PLAINTEXT://:9092,CONTROLLER://localhost:9093"), here);
    assert_eq!(grpc("PLAINTEXT://:9092"), here);
}

#[test]
fn a_stock_kafka_file_starts_a_node() {
    let config = node(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL\n\
         num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\n\
         log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\nnum.recovery.threads.per.data.dir=2\n\
         offsets.topic.replication.factor=1\nshare.coordinator.state.topic.replication.factor=1\n\
         transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n",
    );
    assert_eq!(config.node_id, NodeId(1));
    assert_eq!(config.quorum.bootstrap, [("localhost".to_owned(), 9093)]);
    let names: Vec<&str> =
        config.network.listeners.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(names, ["PLAINTEXT", "CONTROLLER", "GRPC"]);
    assert_eq!(config.warnings.len(), 5, "{:#?}", config.warnings);
}

#[test]
fn one_grpc_listener_is_enough_for_voters() {
    let config = node(
        "node.id=2\nlisteners=PLAINTEXT://h2:19092,GRPC://h2:19094\n\
         controller.quorum.voters=1@h1:19094,2@h2:19094,3@h3:19094\n",
    );
    assert_eq!(
        listeners(&config),
        [
            ("PLAINTEXT", 19092, ListenerRole::Kafka, false),
            ("GRPC", 19094, ListenerRole::Grpc, false)
        ]
    );
    assert_eq!(config.quorum.voters.len(), 3);
}

#[test]
fn named_listeners_are_advertised_each_at_its_own_address() {
    let mut config = node(
        "node.id=1\nlisteners=INSIDE://:9092,OUTSIDE://0.0.0.0:19092,CTRL://:9093\n\
         controller.listener.names=CTRL\nadvertised.listeners=OUTSIDE://example.org:19092\n\
         listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT\ninter.broker.listener.name=INSIDE",
    );
    config.advertise_as("box");
    let advertised: Vec<String> = config
        .network
        .advertised
        .iter()
        .map(|to| format!("{}={}:{}", to.name, to.host, to.port))
        .collect();
    assert_eq!(
        advertised,
        ["INSIDE=box:9092", "OUTSIDE=example.org:19092", "CTRL=box:9093", "GRPC=box:9094"]
    );
}

#[test]
fn all_problems_are_told_at_once_each_with_its_key() {
    assert_eq!(
        errors(
            "node.id=x\nlog.retension.ms=1\nretention.ms=1\nnum.partitions=0\nprocess.roles=broker,zookeeper"
        ),
        "unknown key log.retension.ms (did you mean log.retention.ms?)\n\
         invalid value x for configuration node.id: not a number of type int\n\
         invalid value 0 for configuration num.partitions: must be at least 1\n\
         invalid value broker,zookeeper for configuration process.roles: zookeeper is unknown: must be a list of broker, controller\n\
         unknown key retention.ms (did you mean log.retention.ms?)"
    );
}

#[test]
fn contradictions_are_refused() {
    let cases = [
        ("process.roles=broker\nnode.id=1", "missing required key controller.quorum.voters"),
        ("node.id=1\ncontroller.quorum.voters=2@h:1", "node 1 is a controller but not in"),
        ("node.id=1\nbroker.id=2", "must be the same"),
        ("", "missing required key node.id"),
        ("node.id=1\nlisteners=SSL://:9093", "does not serve"),
        ("node.id=1\nlisteners=OUTSIDE://:9092", "listener OUTSIDE is not in the map"),
        ("node.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9092", "port 9092 is used twice"),
        ("node.id=1\nadvertised.listeners=PLAINTEXT://0.0.0.0:9092", "all interfaces"),
        ("node.id=1\nadvertised.listeners=OTHER://h:9092", "it is not in listeners"),
        ("node.id=1\nbroker.session.timeout.ms=300", "at most half"),
        ("node.id=1\ncontroller.quorum.voters=1@h", "must be host:port"),
    ];
    for (text, expected) in cases {
        let found = errors(text);
        assert!(found.contains(expected), "{text:?} gave {found:?}, not {expected:?}");
    }
}

#[test]
fn a_silent_broker_is_fenced_within_about_a_second() {
    let config = node("node.id=1");
    assert_eq!(config.liveness.session_timeout, Duration::from_secs(1));
    assert!(config.liveness.heartbeat_interval * 5 <= config.liveness.session_timeout);
}

#[test]
fn a_key_for_later_is_accepted_with_a_warning() {
    let config =
        node("node.id=1\nauthorizer.class.name=x.Y\nlistener.name.plaintext.ssl.client.auth=none");
    assert_eq!(config.warnings.len(), 2);
    assert!(
        config.warnings[0].starts_with("authorizer.class.name is accepted but does nothing yet")
    );
}
