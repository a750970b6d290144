//! Listeners: names, addresses, and what is spoken on each.

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

/// A socket to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// In capitals, as Kafka has it.
    pub name: String,
    /// Empty or `0.0.0.0`: all interfaces.
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
        format!("{host}:{}", self.port)
    }
}

/// An address that others are told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// The listener's name.
    pub name: String,
    pub host: String,
    /// 0: the port that the listener of this name was bound to.
    pub port: u16,
}
