//! A host and a port as one text.

use std::fmt::Display;

/// `host:port`, as sockets and URLs take it: an IPv6 address stands in brackets there, and without
/// them everywhere else. Kafka clients take a host with brackets for a name, and find no address
/// of that name.
pub fn host_port(host: &str, port: impl Display) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// The host and the port of such a text, the host without brackets.
pub fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Some((bare.unwrap_or(host), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{host_port, split_host_port};

    #[test]
    fn only_an_ipv6_address_gets_brackets_and_only_once() {
        assert_eq!(host_port("::1", 9092), "[::1]:9092");
        assert_eq!(host_port("[::1]", 9092), "[::1]:9092");
        assert_eq!(host_port("127.0.0.1", 9092), "127.0.0.1:9092");
        assert_eq!(host_port("broker-1.example", 0), "broker-1.example:0");
    }

    #[test]
    fn a_host_is_split_off_without_its_brackets() {
        for (host, port) in [("::1", 9092), ("127.0.0.1", 9092), ("broker-1.example", 0)] {
            assert_eq!(split_host_port(&host_port(host, port)), Some((host, port)));
        }
        assert_eq!(split_host_port("no port"), None);
        assert_eq!(split_host_port("host:65536"), None);
    }
}
