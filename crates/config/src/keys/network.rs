//! Keys of listeners, connections and requests.

use crate::FetchTransfer;
use crate::Kind::*;
use crate::Valid::OneOf;
use crate::key::{Key, key, unset};

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    unset("listeners", List, "Sockets to listen on, as `NAME://host:port`; an empty host is all interfaces, port 0 any free one. The name says what is spoken: gRPC for `GRPC` and the names in `controller.listener.names`, the Kafka protocol for all others. Without it: `PLAINTEXT://127.0.0.1:9092`, `CONTROLLER://127.0.0.1:9093` and `GRPC://127.0.0.1:9094`, as the roles need them: nothing else than the loopback is listened on unless this key says so. It must be set where `controller.quorum.voters` or `controller.quorum.bootstrap.servers` names another host. A broker without a gRPC listener of its own gets `GRPC` at port 9094, on the host of its first listener if it has a quorum to be reached by, on that of its controllers' listener if others reach this, and else on 127.0.0.1."),
    unset("advertised.listeners", List, "Addresses that clients and other nodes are told, as `NAME://host:port`; without it, those of `listeners`."),
    key("listener.security.protocol.map", List, "", "Which security protocol each listener name means, as `NAME:PROTOCOL`. Names that are protocols mean themselves; `GRPC` and `CONTROLLER` mean `PLAINTEXT`."),
    unset("inter.broker.listener.name", String, "Brokers speak gRPC to each other. The name must be one of `listeners` all the same.").unneeded(),
    unset("security.inter.broker.protocol", String, "Brokers speak gRPC to each other.").unneeded(),
    unset("control.plane.listener.name", String, "Controllers have listeners of their own.").unneeded(),
    key("early.start.listeners", List, "", "Listeners that start before the node has authorized anything.").unneeded(),
    key("num.network.threads", Int, "3", "Sockets are served by as many threads as there are cores.").min(1).dynamic().unneeded(),
    key("num.io.threads", Int, "8", "Requests are served by as many threads as there are cores.").min(1).dynamic().unneeded(),
    key("queued.max.requests", Int, "500", "Requests that wait behind an earlier one of their connection, over all connections; beyond it, a connection goes on with one request at a time.").min(1),
    key("queued.max.request.bytes", Long, "536870912", "Memory that requests of all client connections take together: the bytes that came, and what they are decoded to, until they are done (a produce request: until it is appended). While they take this much, no more of any is read, but for those of up to 4 KiB, and one at a time that goes on until it is decoded; these take as much again at most. Who waits for 30 s is closed, and so is a connection that holds much of it and answers nothing. -1 is no limit. (Kafka's default is -1.)").min(-1).bytes(),
    key("ottla.connection.inflight.max", Int, "64", "Requests in progress on one connection; no more is read from its socket beyond it.").min(1),
    key("socket.send.buffer.bytes", Int, "-1", "The send buffer of client sockets; -1 leaves it to the system, which lets it grow. (Kafka's default is 102400, which holds it there.)").min(-1).bytes(),
    key("socket.receive.buffer.bytes", Int, "-1", "The receive buffer of client sockets; -1 leaves it to the system, which lets it grow. (Kafka's default is 102400, which takes eight times as many reads for large requests.)").min(-1).bytes(),
    key("socket.request.max.bytes", Int, "104857600", "The largest request; a connection that announces a larger one is closed.").min(1).bytes(),
    key("socket.listen.backlog.size", Int, "50", "Connections that may wait to be accepted.").min(1),
    key("socket.connection.setup.timeout.ms", Long, "10000", "How long a connection to another node may take to be made.").min(1).ms().unneeded(),
    key("socket.connection.setup.timeout.max.ms", Long, "30000", "See `socket.connection.setup.timeout.ms`.").min(1).ms().unneeded(),
    key("max.connections", Int, "2147483647", "Most client connections at once; one more is closed at once (Kafka lets it wait). Never more than a share of the files that the process may open (`ulimit -n`), which is the bound where this is not set: 1,203 of 4,096, 6,750 of 20,000.").min(0),
    key("max.connections.per.ip", Int, "2147483647", "Most client connections at once from one address; seven eighths of `max.connections` at most, so that one address never has all of them.").min(0),
    key("max.connections.per.ip.overrides", List, "", "Exceptions from `max.connections.per.ip`, as `host:count`.").dynamic().later(),
    key("max.connection.creation.rate", Int, "2147483647", "Most new client connections per second, beyond those of a first second; others wait to be served. Never more than `max.connections`.").min(0),
    key("ottla.grpc.connections.max", Int, "1000", "Most connections at once to each gRPC listener; one more is closed at once. A quarter of them is for nodes that this one has itself connected to, and for this machine; one other address has three quarters of the rest. Never more than its share of the files that the process may open.").min(1),
    key("ottla.http.connections.max", Int, "100", "The same for `ottla.http.listener`.").min(1),
    key("connections.max.idle.ms", Long, "600000", "A client connection without a request for this long is closed; negative is never.").ms(),
    key("connections.max.reauth.ms", Long, "0", "How long an authenticated session may last.").min(0).ms().later(),
    key("connection.failed.authentication.delay.ms", Int, "100", "The wait before a connection that failed to authenticate is closed.").min(0).ms().later(),
    key("fetch.max.bytes", Int, "57671680", "The most that one fetch of a consumer is answered with.").min(1024).bytes(),
    key("ottla.fetch.transfer", String, "auto", "How records go from the page cache to a consumer's socket: `sendfile`, by the system alone; `pread`, through a small buffer of the connection; `auto`, the one that was measured better, which is `sendfile` today (where a file or system cannot, `pread`). Records that are not in memory are always read by a thread of their own.").valid(OneOf(FetchTransfer::NAMES)),
    key("max.incremental.fetch.session.cache.slots", Int, "1000", "No fetch sessions are kept: each fetch names all its partitions.").min(0).unneeded(),
    key("max.request.partition.size.limit", Int, "2000", "Most partitions that one DescribeTopicPartitions answer holds.").min(1),
    key("request.timeout.ms", Int, "30000", "How long a request of this node to another may take.").min(1).ms(),
    key("fetch.purgatory.purge.interval.requests", Int, "1000", "A waiting request is an entry that goes when it is answered.").unneeded(),
    key("producer.purgatory.purge.interval.requests", Int, "1000", "See `fetch.purgatory.purge.interval.requests`.").unneeded(),
    key("delete.records.purgatory.purge.interval.requests", Int, "1", "See `fetch.purgatory.purge.interval.requests`.").unneeded(),
    key("unstable.api.versions.enable", Boolean, "false", "Ottla offers only versions that work.").unneeded(),
    key("unstable.feature.versions.enable", Boolean, "false", "Ottla offers only features that work.").unneeded(),
];
