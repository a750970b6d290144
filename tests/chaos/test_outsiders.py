"""What strangers send to a node's ports: it costs them their connection, and the cluster nothing."""

import base64

import grpc
import pytest
from harness import Cluster, protocol, wait_until

LAST_TERM = 2**64 - 1
STRANGER = bytes([7]) * 16


@pytest.fixture(autouse=True)
def only_ottla(request):
    if request.config.getoption("--system") != "ottla":
        pytest.skip("only Ottla's controllers speak gRPC")


# Protobuf by hand: `proto/ottla/raft.proto` is not what an outsider has to be given.


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def number(field, value):
    return varint(field << 3) + varint(value)


def part(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def member(id, directory):
    return number(1, id) + part(2, directory)


def vote_request(cluster_id, target, candidate, term):
    ballot = number(1, term) + part(2, candidate)
    last = number(1, term - 1) + part(2, candidate) + number(3, 2**40)
    return (part(1, cluster_id.encode()) + part(2, target) + part(3, ballot) + part(4, last)
            + number(5, 1))


def ask(node, request, method="Vote"):
    """The answer's status code."""
    with grpc.insecure_channel(f"{node.host}:{node.ports[1]}") as channel:
        call = channel.unary_unary(f"/ottla.raft.v1.Raft/{method}",
                                   request_serializer=bytes, response_deserializer=bytes)
        try:
            call(request, timeout=10)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def identity(cluster, id):
    """Cluster and directory id of a controller, from its own file."""
    path = cluster.data_directory(id) / "controller" / "meta.properties"
    values = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return values["cluster.id"], base64.urlsafe_b64decode(values["directory.id"] + "==")


def test_one_forged_vote_does_not_end_all_elections():
    """A vote for the last term that there is, once given, leaves none to elect anybody in."""
    with Cluster("ottla", count=3) as cluster:
        cluster.controller()
        told = lambda: {id: identity(cluster, id) for id in cluster.nodes}
        known = wait_until(told, 30, "the cluster's id being known everywhere")
        for id, node in cluster.nodes.items():
            ours, directory = known[id]
            target = member(id, directory)
            other = id % 3 + 1
            fellow = member(other, known[other][1])
            forged = [
                vote_request("", target, fellow, LAST_TERM),
                vote_request(ours, target, fellow, LAST_TERM),
                vote_request(ours, target, member(9, STRANGER), 1000),
                vote_request("AAAAAAAAAAAAAAAAAAAAAQ", target, fellow, 1000),
            ]
            for message in forged:
                assert ask(node, message) == grpc.StatusCode.FAILED_PRECONDITION
        active = cluster.controller()
        cluster.kill(active)
        cluster.controller(other_than=active)
        cluster.start_node(active)
        for id in cluster.nodes:
            cluster.kill(id)
        cluster.start()
        leader = cluster.controller()
        assert protocol.quorum_leader(cluster.nodes[leader].address) == leader
