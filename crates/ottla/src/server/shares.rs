//! Who may have how many of the files and sockets that the process may open (`RLIMIT_NOFILE`).
//!
//! Promises: what connections from outside and segment files may take leaves a reserve for everything
//! else: the Raft log and its store, checkpoints, directories while they are synced, and connections to
//! other nodes. So clients are refused before a file cannot be opened.
//!
//! | share | of the limit |
//! |--|--|
//! | reserve | an eighth: 64 to 1,024 |
//! | each gRPC listener | a sixteenth: 48 to 1,000; other nodes come in by these |
//! | HTTP | a sixty-fourth: 8 to 100 |
//! | segment files | three fifths of the rest |
//! | clients | two fifths of the rest |
//!
//! A configured bound is kept where it is below the share.

use config::NodeConfig;

/// The least that any share is, however low the limit: below it a node is of no use.
const LEAST: u64 = 16;
/// A part of the reserve is held ready by open descriptors; the rest is in use mostly.
const HELD_PART: u64 = 4;

/// The shares of one limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shares {
    reserve: u64,
    grpc: u64,
    http: u64,
    files: u64,
    clients: u64,
}

impl Shares {
    fn of(limit: u64) -> Shares {
        let reserve = (limit / 8).clamp(64, 1024);
        let grpc = (limit / 16).clamp(48, 1000);
        let http = (limit / 64).clamp(8, 100);
        let rest = limit.saturating_sub(reserve + 2 * grpc + http);
        let clients = (rest * 2 / 5).max(LEAST);
        let files = rest.saturating_sub(clients).max(LEAST);
        Shares { reserve, grpc, http, files, clients }
    }
}

/// Lowers what the node may take to its shares, and sets the reserve aside.
pub(super) fn fit(config: &mut NodeConfig, limit: u64) {
    let shares = Shares::of(limit);
    let at_most = |value: &mut u32, most: u64| {
        *value = (*value).min(u32::try_from(most).unwrap_or(u32::MAX));
    };
    let network = &mut config.network;
    at_most(&mut network.max_connections, shares.clients);
    let most = u64::from(network.max_connections);
    at_most(&mut network.max_connections_per_ip, most - most / 8);
    at_most(&mut network.max_connection_creation_rate, most);
    at_most(&mut network.grpc_connections_max, shares.grpc);
    at_most(&mut network.http_connections_max, shares.http);
    at_most(&mut config.storage.open_files_max, shares.files);
    let held = usize::try_from(shares.reserve / HELD_PART).unwrap_or(usize::MAX);
    env::descriptors::keep_reserve(held);
    tracing::info!(
        limit,
        clients = config.network.max_connections,
        segment_files = config.storage.open_files_max,
        grpc = config.network.grpc_connections_max,
        reserve = shares.reserve,
        "shares of the files that may be open"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Properties;

    fn config(text: &str) -> NodeConfig {
        let properties = Properties::parse(text).expect("the text parses");
        NodeConfig::from_properties(properties).expect("the file is right")
    }

    #[test]
    fn the_shares_are_within_the_limit_and_clients_never_have_all() {
        for limit in [256, 1024, 4096, 20_000, 100_000, 1 << 20] {
            let shares = Shares::of(limit);
            let all =
                shares.reserve + 2 * shares.grpc + shares.http + shares.files + shares.clients;
            assert!(all <= limit, "{all} of {limit}: {shares:?}");
            assert!(shares.reserve >= 64 && shares.files >= shares.clients, "{shares:?}");
        }
        assert_eq!(Shares::of(0).clients, LEAST, "some, whatever the limit");
    }

    #[test]
    fn what_is_not_configured_is_bounded_and_what_is_lower_stays() {
        let mut unset = config("node.id=1");
        fit(&mut unset, 4096);
        assert_eq!(unset.network.max_connections, 1203);
        assert_eq!(unset.network.max_connections_per_ip, 1203 - 150);
        assert_eq!(unset.network.max_connection_creation_rate, 1203);
        assert_eq!(
            (unset.network.grpc_connections_max, unset.network.http_connections_max),
            (256, 64)
        );
        assert_eq!(unset.storage.open_files_max, 1805);
        let mut low = config(
            "node.id=1\nmax.connections=10\nmax.connections.per.ip=3\n\
             max.connection.creation.rate=7\nottla.log.open.files.max=100",
        );
        fit(&mut low, 4096);
        let network = &low.network;
        assert_eq!((network.max_connections, network.max_connections_per_ip), (10, 3));
        assert_eq!(network.max_connection_creation_rate, 7);
        assert_eq!(low.storage.open_files_max, 100);
    }
}
