//! Which listeners a node has, given and by default.
//!
//! Defaults: `PLAINTEXT` 9092 for clients, `CONTROLLER` 9093 for the quorum, `GRPC` 9094 for
//! replicas and administration. A broker always has a gRPC listener apart from the controllers',
//! so that bulk replication never delays heartbeats; where the file names none, it is added on the
//! default port, or any free one if that is taken (other brokers learn the address from the
//! registration). A controller whose file names only `GRPC` serves everything on it.
//!
//! Nobody has to prove who they are yet, so what no key asks for is bound to the loopback: all
//! listeners where `listeners` is not set, and those that are added to it on a lone node, which nobody
//! else needs. A node of a quorum gets its added ones on the host of its first listener, since the
//! others must reach them; and one whose controllers' listener is open to others is there to be joined,
//! so that its added ones are where that is.

use super::values::Values;
use super::{NetworkConfig, Roles};
use crate::listener::{is_loopback, parse_endpoints, parse_host_port, protocol_of};
use crate::{ConfigError, Endpoint, HttpListener, Listener, ListenerRole, SecurityProtocol};
use std::time::Duration;

const KAFKA_PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
const GRPC_PORT: u16 = 9094;
/// Where listens what no key asks for.
const LOOPBACK: &str = "127.0.0.1";
/// What others on this machine are told of it.
const LOOPBACK_NAME: &str = "localhost";

/// What decides about defaults.
pub(super) struct Place {
    pub(super) roles: Roles,
    /// No quorum is configured: the node is alone, and nobody needs to know its ports beforehand.
    pub(super) is_alone: bool,
}

pub(super) fn network(values: &Values<'_>, place: &Place) -> Result<NetworkConfig, ConfigError> {
    let listeners = listeners(values, place)?;
    let advertised = advertised(values, &listeners)?;
    check_inter_broker(values, &listeners)?;
    Ok(NetworkConfig {
        listeners,
        advertised,
        http: http(values)?,
        max_connections: values.u32("max.connections"),
        max_connections_per_ip: values.u32("max.connections.per.ip"),
        max_connection_creation_rate: values.u32("max.connection.creation.rate"),
        grpc_connections_max: values.u32("ottla.grpc.connections.max"),
        http_connections_max: values.u32("ottla.http.connections.max"),
        connections_max_idle: u64::try_from(values.i64("connections.max.idle.ms"))
            .ok()
            .map(Duration::from_millis),
        socket_send_buffer_bytes: values.optional_u32("socket.send.buffer.bytes"),
        socket_receive_buffer_bytes: values.optional_u32("socket.receive.buffer.bytes"),
        socket_listen_backlog: values.u32("socket.listen.backlog.size"),
    })
}

fn listeners(values: &Values<'_>, place: &Place) -> Result<Vec<Listener>, ConfigError> {
    let mut given = parse_endpoints("listeners", values.text("listeners"))?;
    let opened = given.iter().find(|one| is_of_controllers(values, one) && !is_loopback(&one.host));
    let reached = if place.is_alone { opened } else { given.first() };
    let host = reached.map_or(LOOPBACK, |one| one.host.as_str()).to_owned();
    if given.is_empty() && place.roles.broker {
        given.push(Endpoint { name: "PLAINTEXT".to_owned(), host: host.clone(), port: KAFKA_PORT });
    }
    let mut listeners = Vec::new();
    for endpoint in given {
        listeners.push(listener(values, endpoint, false)?);
    }
    for (name, port) in missing(&listeners, place) {
        let endpoint = Endpoint { name: name.to_owned(), host: host.clone(), port };
        // Voters are named with their ports, so a controller among others cannot take another.
        let implicit = name == "GRPC" || place.is_alone;
        listeners.push(listener(values, endpoint, implicit)?);
    }
    if place.roles.broker && !listeners.iter().any(|listener| listener.role == ListenerRole::Kafka)
    {
        return Err(ConfigError::Conflict(
            "listeners: a broker needs one for clients, such as PLAINTEXT://:9092".to_owned(),
        ));
    }
    Ok(listeners)
}

/// The gRPC listeners to add.
fn missing(listeners: &[Listener], place: &Place) -> Vec<(&'static str, u16)> {
    let has = |role| listeners.iter().any(|listener| listener.role == role);
    let mut missing = Vec::new();
    if place.roles.controller && !has(ListenerRole::Controller) && !has(ListenerRole::Grpc) {
        missing.push(("CONTROLLER", CONTROLLER_PORT));
    }
    if place.roles.broker && !has(ListenerRole::Grpc) {
        missing.push(("GRPC", GRPC_PORT));
    }
    missing
}

fn is_of_controllers(values: &Values<'_>, endpoint: &Endpoint) -> bool {
    let names = values.list("controller.listener.names");
    let is_named = names.iter().any(|name| name.eq_ignore_ascii_case(&endpoint.name));
    is_named || endpoint.name == "CONTROLLER"
}

fn listener(
    values: &Values<'_>,
    endpoint: Endpoint,
    implicit: bool,
) -> Result<Listener, ConfigError> {
    let role = match endpoint.name.as_str() {
        _ if is_of_controllers(values, &endpoint) => ListenerRole::Controller,
        "GRPC" => ListenerRole::Grpc,
        _ => ListenerRole::Kafka,
    };
    let map = values.text("listener.security.protocol.map");
    let protocol = protocol_of(&endpoint.name, map, role != ListenerRole::Kafka)?;
    if protocol != SecurityProtocol::Plaintext {
        return Err(ConfigError::Conflict(format!(
            "listener {} asks for {}, which this version does not serve: it would be open and in the clear",
            endpoint.name,
            protocol.name()
        )));
    }
    Ok(Listener {
        name: endpoint.name,
        host: endpoint.host,
        port: endpoint.port,
        role,
        protocol,
        implicit,
    })
}

fn advertised(values: &Values<'_>, listeners: &[Listener]) -> Result<Vec<Endpoint>, ConfigError> {
    let given = parse_endpoints("advertised.listeners", values.text("advertised.listeners"))?;
    for endpoint in &given {
        let problem = if is_any(&endpoint.host) && !endpoint.host.is_empty() {
            Some("no client can connect to an address that means all interfaces")
        } else if !listeners.iter().any(|listener| listener.name == endpoint.name) {
            Some("it is not in listeners")
        } else {
            None
        };
        if let Some(reason) = problem {
            return Err(ConfigError::InvalidValue {
                name: "advertised.listeners".to_owned(),
                value: endpoint.name.clone(),
                reason: reason.to_owned(),
            });
        }
    }
    let asked_for = parse_endpoints("listeners", values.text("listeners"))?;
    let host = |listener: &Listener| {
        let is_added = !asked_for.iter().any(|endpoint| endpoint.name == listener.name);
        match listener.host.as_str() {
            any if is_any(any) => String::new(),
            LOOPBACK if is_added => LOOPBACK_NAME.to_owned(),
            host => host.to_owned(),
        }
    };
    let told = |listener: &Listener| {
        let own = given.iter().find(|endpoint| endpoint.name == listener.name).cloned();
        own.unwrap_or_else(|| Endpoint {
            name: listener.name.clone(),
            host: host(listener),
            port: listener.port,
        })
    };
    Ok(listeners.iter().map(told).collect())
}

fn is_any(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::")
}

fn check_inter_broker(values: &Values<'_>, listeners: &[Listener]) -> Result<(), ConfigError> {
    let Some(name) = values.optional("inter.broker.listener.name") else { return Ok(()) };
    let is_there = listeners.iter().any(|listener| listener.name.eq_ignore_ascii_case(name));
    // A controller's stock file names the brokers' listener, which it does not have itself.
    let has_clients = listeners.iter().any(|listener| listener.role == ListenerRole::Kafka);
    if is_there || !has_clients {
        return Ok(());
    }
    Err(ConfigError::InvalidValue {
        name: "inter.broker.listener.name".to_owned(),
        value: name.to_owned(),
        reason: "it is not in listeners".to_owned(),
    })
}

fn http(values: &Values<'_>) -> Result<Option<HttpListener>, ConfigError> {
    const KEY: &str = "ottla.http.listener";
    let Some(address) = values.optional(KEY) else { return Ok(None) };
    let (host, port) = parse_host_port(KEY, address)?;
    Ok(Some(HttpListener { host, port, implicit: !values.0.contains(KEY) }))
}
