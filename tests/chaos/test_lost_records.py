"""Records that a leader held alone, gone with its disk while the cluster counts on them.

All three replicas acknowledge some records of each topic. Then its followers are away, and its
leader takes more; then the leader stops, and what it held is lost in one way or another. The
followers come back, alive and outside of the ISR, then the leader, with nothing. If it led, it
would have them cut what all three acknowledged.
"""

import shutil
import subprocess
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Cluster, batch, protocol, wait_until
from harness.logs import ReplicaLog, read_checkpoint

# By all three replicas, and by the leader alone.
BY_ALL, ALONE = 5, 3
WAIT = 30.0
# A leader with an empty log is elected, and followed, in a fraction of this.
SECONDS = 2.0


def places(cluster, id, topic):
    """Where a node has a topic's only partition."""
    return list(cluster.nodes[id].directory.glob(f"data*/{topic}-0"))


def replace_disk(cluster, id, topic):
    """The log directory with the partition is an empty one; others stay."""
    [place] = places(cluster, id, topic)
    shutil.rmtree(place.parent)
    place.parent.mkdir()


def remove_partition(cluster, id, topic):
    [place] = places(cluster, id, topic)
    shutil.rmtree(place)


def link_partition(cluster, id, topic):
    """To where there is room."""
    [place] = places(cluster, id, topic)
    elsewhere = cluster.nodes[id].directory / "elsewhere"
    shutil.move(place, elsewhere)
    place.symlink_to(elsewhere)


# What happens to each topic's records, and the log directories that its leader has.
FATES = {
    "only-disk": (replace_disk, 1),
    "directory": (remove_partition, 1),
    "one-of-two-disks": (replace_disk, 2),
    "linked": (link_partition, 1),
}
LOST = [topic for topic, (fate, _) in FATES.items() if fate != link_partition]


class Partitions:
    """One partition of each fate. Each has a broker of its own that leads it in the end; the others
    are common."""

    def __init__(self, cluster, end):
        self.cluster = cluster
        self.followers = [cluster.add_broker() for _ in range(2)]
        self.leaders = {topic: self.add_leader(disks) for topic, (_, disks) in FATES.items()}
        self.start(*self.followers, *self.leaders.values())
        self.make_topics()
        self.append(BY_ALL)
        for id in self.followers:
            cluster.terminate(id)
        alone = lambda topic, p: [p.leader] == p.isr == [self.leaders[topic]]
        self.until(alone, "the leaders alone")
        self.append(ALONE)
        wait_until(self.are_known, WAIT, "the leaders' checkpoints")
        for id in self.leaders.values():
            cluster.terminate(id) if end == "stopped" else cluster.kill(id)
        self.until(lambda _, p: p.leader == -1, "nobody leading")
        for topic, (fate, _) in FATES.items():
            fate(cluster, self.leaders[topic], topic)
        self.start(*self.followers)
        self.held = {topic: self.holdings(topic) for topic in FATES}
        self.start(*self.leaders.values())

    def add_leader(self, disks):
        id = self.cluster.add_broker()
        node = self.cluster.nodes[id]
        names = ",".join(str(node.directory / f"data-{disk}") for disk in range(disks))
        self.cluster.configure(id, process_roles="broker", log_dirs=names,
                               **self.cluster.system.broker_only(node))
        return id

    def start(self, *ids):
        for id in ids:
            self.cluster.start_node(id, wait=False)
        self.cluster.wait_ready()

    def make_topics(self):
        # An unclean election takes the first that is alive: those that have something.
        topics = [NewTopic(topic, 1, replica_assignment=[[*self.followers, leader]],
                           config={"min.insync.replicas": "1"})
                  for topic, leader in self.leaders.items()]
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
        for made in admin.create_topics(topics).values():
            made.result(WAIT)
        for topic in FATES:
            self.cluster.wait_in_sync(topic)

    def append(self, count):
        for topic in FATES:
            for _ in range(count):
                assert self.produce(topic).error == 0

    def produce(self, topic):
        record = (int(time.time() * 1000), b"k", b"v")
        address = self.cluster.nodes[self.cluster.leader(topic)].address
        return batch.produce(address, topic, batch.Batch([record]).encode())

    def state(self, topic):
        return self.cluster.metadata([topic], of=1).topics[topic][0]

    def until(self, holds, what):
        wait_until(lambda: all(holds(topic, self.state(topic)) for topic in FATES), WAIT, what)

    def are_known(self):
        """Whether each leader has noted what it has: a partition that a killed node has not noted
        cannot be told from one that it never made."""
        noted = lambda place: read_checkpoint(place.parent / "replication-offset-checkpoint")
        return all(place.name in noted(place) for topic, id in self.leaders.items()
                   for place in places(self.cluster, id, topic))

    def holdings(self, topic):
        """The batches in the followers' files, byte for byte."""
        found = []
        for id in self.followers:
            [place] = places(self.cluster, id, topic)
            found.append([bytes(one.data) for one in ReplicaLog(place).batches()])
        return found

    def elect_unclean(self, topic):
        subprocess.run(
            [self.cluster.system.binary, "leader-election", "--bootstrap-server",
             self.cluster.bootstrap, "--election-type", "unclean", "--topic", topic,
             "--partition", "0"], check=True, timeout=WAIT, capture_output=True)


@pytest.fixture(scope="module", params=["stopped", "killed"])
def partitions(request):
    if request.config.getoption("--system") != "ottla":
        pytest.skip("elsewhere an empty log may lead")
    often = {"replica.high.watermark.checkpoint.interval.ms": 500}
    with Cluster("ottla", count=3, overrides=often) as cluster:
        yield Partitions(cluster, request.param)


@pytest.mark.parametrize("topic", LOST)
def test_who_lost_what_it_held_leads_nothing_until_an_unclean_election_is_asked_for(
        partitions, topic):
    assert [len(batches) for batches in partitions.held[topic]] == [BY_ALL, BY_ALL]
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert partitions.state(topic).leader == -1
        assert partitions.holdings(topic) == partitions.held[topic], "a follower's log was cut"
    partitions.elect_unclean(topic)
    partitions.cluster.wait_in_sync(topic)
    made = partitions.produce(topic)
    assert (made.error, made.base_offset) == (0, BY_ALL)


def test_a_partition_behind_a_symbolic_link_is_there_after_a_restart(partitions):
    cluster, leader = partitions.cluster, partitions.leaders["linked"]
    assert cluster.leader("linked") == leader
    cluster.wait_in_sync("linked")
    assert cluster.end_offset("linked") == BY_ALL + ALONE
    error, records = protocol.fetch(cluster.nodes[leader].address, "linked", 0, 0)
    [place] = places(cluster, leader, "linked")
    assert error == 0 and place.is_symlink()
    assert records == b"".join(bytes(one.data) for one in ReplicaLog(place).batches())
    assert not list(place.parent.glob("*-stray*"))
