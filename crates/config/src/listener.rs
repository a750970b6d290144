//! Listeners: names, addresses, and what is spoken on each.

use crate::ConfigError;
use crate::key::split_list;
use std::net::IpAddr;
use types::host_port;

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerRole {
    /// The Kafka protocol, for clients.
    Kafka,
    /// gRPC: raft and controller services (a name in `controller.listener.names`).
    Controller,
    /// gRPC: replica and admin services (the name `GRPC`).
    Grpc,
}

/// `listener.security.protocol.map`'s right side. Only `Plaintext` is served so far: the others
/// are refused at start, since serving them in the clear would be worse than not starting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    pub fn from_name(name: &str) -> Option<SecurityProtocol> {
        match name.to_uppercase().as_str() {
            "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
            "SSL" => Some(SecurityProtocol::Ssl),
            "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
            "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }
}

/// A socket to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In capitals, as Kafka has it.
    pub name: String,
    /// Empty, `0.0.0.0` or `::`: all interfaces. An IPv6 address has no brackets.
    pub host: String,
    /// 0: any free one.
    pub port: u16,
    pub role: ListenerRole,
    pub protocol: SecurityProtocol,
    /// Not configured but added by default: where its port is taken, any free one will do.
    pub implicit: bool,
}

impl Listener {
    /// `host:port` to bind; all interfaces where no host is given.
    pub fn bind_addr(&self) -> String {
        let host = if self.host.is_empty() { "0.0.0.0" } else { &self.host };
        host_port(host, self.port)
    }
}

/// Where metrics and health are served (`ottla.http.listener`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpListener {
    /// Empty: all interfaces.
    pub host: String,
    /// 0: any free one.
    pub port: u16,
    /// The default: where its port is taken, any free one will do.
    pub implicit: bool,
}

impl HttpListener {
    /// `host:port` to bind.
    pub fn bind_addr(&self) -> String {
        let host = if self.host.is_empty() { "0.0.0.0" } else { &self.host };
        host_port(host, self.port)
    }
}

/// An address that others are told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// The listener's name.
    pub name: String,
    /// An IPv6 address has no brackets: clients are told it as it stands.
    pub host: String,
    /// 0: the port that the listener of this name was bound to.
    pub port: u16,
}

/// Whether a host, without brackets, is this machine and nothing else.
pub(crate) fn is_loopback(host: &str) -> bool {
    let is_address = |host: &str| host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    host.eq_ignore_ascii_case("localhost") || is_address(host)
}

/// Splits `host:port`, `:port` or `[v6]:port`; the host loses its brackets.
pub(crate) fn parse_host_port(key: &'static str, text: &str) -> Result<(String, u16), ConfigError> {
    let invalid = |reason: &str| ConfigError::InvalidValue {
        name: key.to_owned(),
        value: text.to_owned(),
        reason: reason.to_owned(),
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| invalid("must be host:port"))?;
    let port = port.parse::<u16>().map_err(|_| invalid("the port must be 0 to 65535"))?;
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Some(v6) = v6.filter(|host| host.contains(':')) {
        return Ok((v6.to_owned(), port));
    }
    if host.contains([':', '/', ' ', '[', ']']) {
        return Err(invalid(
            "the host must be a name, an IPv4 address or an IPv6 address in brackets",
        ));
    }
    Ok((host.to_owned(), port))
}

/// Parses `NAME://host:port,...`. Names are unique; so are ports other than 0 per host.
pub(crate) fn parse_endpoints(key: &'static str, text: &str) -> Result<Vec<Endpoint>, ConfigError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for element in split_list(text) {
        let invalid = |reason: String| ConfigError::InvalidValue {
            name: key.to_owned(),
            value: element.to_owned(),
            reason,
        };
        let (name, address) = element
            .split_once("://")
            .ok_or_else(|| invalid("must be NAME://host:port".to_owned()))?;
        let name = name.trim().to_uppercase();
        if name.is_empty() {
            return Err(invalid("the listener needs a name".to_owned()));
        }
        let (host, port) = parse_host_port(key, address)?;
        if endpoints.iter().any(|other| other.name == name) {
            return Err(invalid(format!("the name {name} is used twice")));
        }
        if port != 0 && endpoints.iter().any(|other| other.port == port && other.host == host) {
            return Err(invalid(format!("port {port} is used twice")));
        }
        endpoints.push(Endpoint { name, host, port });
    }
    Ok(endpoints)
}

/// The protocol of a listener: by the map, by its own name, or in the clear for the gRPC ones.
pub(crate) fn protocol_of(
    name: &str,
    map: &str,
    is_grpc: bool,
) -> Result<SecurityProtocol, ConfigError> {
    let invalid = |reason: String| ConfigError::InvalidValue {
        name: "listener.security.protocol.map".to_owned(),
        value: map.to_owned(),
        reason,
    };
    for element in split_list(map) {
        let (mapped, protocol) = element
            .split_once(':')
            .ok_or_else(|| invalid(format!("{element} is not of the form NAME:PROTOCOL")))?;
        if mapped.trim().eq_ignore_ascii_case(name) {
            return SecurityProtocol::from_name(protocol.trim())
                .ok_or_else(|| invalid(format!("{protocol} is not a security protocol")));
        }
    }
    match SecurityProtocol::from_name(name) {
        Some(protocol) => Ok(protocol),
        None if is_grpc => Ok(SecurityProtocol::Plaintext),
        None => {
            Err(invalid(format!("listener {name} is not in the map, and its name is no protocol")))
        }
    }
}
