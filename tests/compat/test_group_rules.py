"""The rules of classic groups, by requests made by hand: what libraries do not show, or only now
and then."""

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from clients.base import TIMEOUT
from harness import protocol, wait_until

JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE = 11, 12, 13, 14, 15
COMMIT, FETCH, DELETE_GROUPS, OFFSET_DELETE = 8, 9, 42, 47
UNKNOWN_TOPIC_OR_PARTITION, ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL = 3, 22, 23
INVALID_GROUP_ID, UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED = 24, 25, 79
NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, FENCED_INSTANCE_ID, SUBSCRIBED = 68, 69, 82, 86


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(text)) + text.encode()


def data(content):
    return struct.pack(">i", len(content)) + content


def compact(text):
    if text is None:
        return b"\0"
    content = text if isinstance(text, bytes) else text.encode()
    assert len(content) < 126
    return bytes([len(content) + 1]) + content


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def subscription(*topics):
    """What a consumer says of itself, in version 0 of the embedded protocol."""
    return struct.pack(">h", 0) + array([string(topic) for topic in topics]) + data(b"")


@dataclass
class Joined:
    error: int
    generation: int
    protocol: str
    leader: str
    skips: bool
    member: str
    members: list


class Group:
    """One group, asked of its coordinator, each request on a connection of its own."""

    def __init__(self, cluster, name):
        self.name = name
        found = []

        def coordinator():
            found[:] = [protocol.coordinator(cluster.nodes[1].address, name)]
            return found[0] is not None

        wait_until(coordinator, TIMEOUT, "a coordinator")
        self.address = cluster.nodes[found[0]].address
        wait_until(lambda: self.fetch("none")[0] in (0, INVALID_GROUP_ID), TIMEOUT,
                   "a loaded coordinator")

    def call(self, key, version, body, flexible=False):
        return protocol.call(self.address, key, version, body, TIMEOUT, flexible)

    def join(self, member="", protocols=(("range", b""),), instance=None, kind="consumer",
             version=9):
        """JoinGroup 9 or 6, which are flexible."""
        offered = b"".join(compact(name) + compact(metadata) + b"\0"
                           for name, metadata in protocols)
        body = compact(self.name) + struct.pack(">ii", 20_000, 20_000) + compact(member)
        body += compact(instance) + compact(kind) + bytes([len(protocols) + 1]) + offered
        body += (compact(None) if version >= 8 else b"") + b"\0"
        answer = self.call(JOIN, version, body, flexible=True)
        answer.number("i")  # throttle time
        error, generation = answer.number("h"), answer.number("i")
        if version >= 7:
            answer.compact_string()  # protocol type
        name, leader = answer.compact_string(), answer.compact_string()
        skips = bool(answer.number("b")) if version >= 9 else False
        member = answer.compact_string()

        def one():
            id = answer.compact_string()
            answer.compact_string()  # instance
            answer.take(answer.varint() - 1)
            answer.tags()
            return id

        members = [one() for _ in range(answer.varint() - 1)]
        return Joined(error, generation, name, leader, skips, member, members)

    def enter(self, **how):
        """Joins as a member that nobody knows yet: with the id that it is given."""
        first = self.join(**how)
        if first.error != MEMBER_ID_REQUIRED:
            return first
        return self.join(member=first.member, **how)

    def sync(self, joined, assignments=None, instance=None):
        """The member's assignment; SyncGroup 3."""
        given = [string(id) + data(content) for id, content in (assignments or {}).items()]
        body = string(self.name) + struct.pack(">i", joined.generation) + string(joined.member)
        answer = self.call(SYNC, 3, body + string(instance) + array(given))
        answer.number("i")
        error = answer.number("h")
        return error, answer.take(answer.number("i"))

    def heartbeat(self, joined, instance=None):
        body = string(self.name) + struct.pack(">i", joined.generation) + string(joined.member)
        answer = self.call(HEARTBEAT, 3, body + string(instance))
        answer.number("i")
        return answer.number("h")

    def leave(self, *members):
        """LeaveGroup 3: the error of the group, or those of the members."""
        gone = [string(member) + string(None) for member in members]
        answer = self.call(LEAVE, 3, string(self.name) + array(gone))
        answer.number("i")
        error = answer.number("h")
        return error or answer.array(lambda: (answer.string(), answer.string(),
                                              answer.number("h"))[2])

    def describe(self):
        """State, and per member (id, metadata, assignment); DescribeGroups 4."""
        answer = self.call(DESCRIBE, 4, array([string(self.name)]) + b"\0")
        answer.number("i")

        def member():
            id = answer.string()
            for _ in range(3):
                answer.string()
            return id, answer.take(answer.number("i")), answer.take(answer.number("i"))

        def group():
            answer.number("h"), answer.string()
            state = answer.string()
            answer.string(), answer.string()
            members = answer.array(member)
            answer.number("i")
            return state, members

        return answer.array(group)[0]

    def commit(self, topic, offset, generation=-1, member=""):
        """OffsetCommit 7 of partition 0."""
        partition = struct.pack(">iqi", 0, offset, -1) + string(None)
        body = string(self.name) + struct.pack(">i", generation) + string(member) + string(None)
        answer = self.call(COMMIT, 7, body + array([string(topic) + array([partition])]))
        answer.number("i")
        results = answer.array(lambda: (answer.string(), answer.array(
            lambda: (answer.number("i"), answer.number("h")))))
        return results[0][1][0][1]

    def fetch(self, topic):
        """(the group's error, the committed offset of partition 0); OffsetFetch 5."""
        body = string(self.name) + array([string(topic) + array([struct.pack(">i", 0)])])
        answer = self.call(FETCH, 5, body)
        answer.number("i")

        def partition():
            answer.number("i")
            offset = answer.number("q")
            answer.number("i"), answer.string(), answer.number("h")
            return offset

        topics = answer.array(lambda: (answer.string(), answer.array(partition)))
        return answer.number("h"), topics[0][1][0]

    def delete(self):
        answer = self.call(DELETE_GROUPS, 1, array([string(self.name)]))
        answer.number("i")
        return answer.array(lambda: (answer.string(), answer.number("h")))[0][1]

    def delete_offsets(self, *topics):
        """The error of the group, or {topic: error of partition 0}."""
        asked = [string(topic) + array([struct.pack(">i", 0)]) for topic in topics]
        answer = self.call(OFFSET_DELETE, 0, string(self.name) + array(asked))
        error = answer.number("h")
        answer.number("i")
        results = answer.array(lambda: (answer.string(), answer.array(
            lambda: (answer.number("i"), answer.number("h")))))
        return error or {topic: partitions[0][1] for topic, partitions in results}


@pytest.fixture
def group(cluster, name):
    return Group(cluster, name)


def together(*calls):
    """Runs calls that wait for each other."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def pair(group, **how):
    """Two static members in one stable generation, the leader first; their assignments are theirs."""
    first = group.join(instance="one", **how)
    assert (first.error, first.leader) == (0, first.member)
    assert group.sync(first, {first.member: b"all"}, "one")[0] == 0
    again = lambda: joins_again(group, first, instance="one", **how)
    leader, follower = together(again, lambda: group.join(instance="two", **how))
    assert leader.generation == follower.generation == 2
    assigned = {leader.member: b"L", follower.member: b"F"}
    assert together(lambda: group.sync(leader, assigned, "one"),
                    lambda: group.sync(follower, None, "two")) == [(0, b"L"), (0, b"F")]
    return leader, follower


def joins_again(group, joined, **how):
    """Joins with the id of before, as soon as a round has begun."""
    wait_until(lambda: group.describe()[0] == "PreparingRebalance", TIMEOUT, "a rebalance")
    return group.join(member=joined.member, **how)


def test_a_static_member_that_is_back_with_other_metadata_disturbs_nobody(group):
    leader, follower = pair(group)
    back = group.join(instance="two", protocols=[("range", b"owned partitions")])
    assert (back.error, back.generation, back.members) == (0, 2, [])
    assert back.member != follower.member and back.leader == leader.member
    assert group.heartbeat(leader, "one") == 0
    assert group.heartbeat(follower, "two") == FENCED_INSTANCE_ID
    assert group.sync(back, None, "two") == (0, b"F")


def test_a_leader_that_is_back_watches_the_members_and_skips_the_assignment(group):
    leader, follower = pair(group)
    back = group.join(instance="one")
    assert (back.error, back.generation, back.skips) == (0, 2, True)
    assert back.leader == back.member != leader.member
    assert set(back.members) == {back.member, follower.member}
    assert group.sync(back, None, "one") == (0, b"L")
    # An older client would bring a new assignment if it knew that it leads.
    older = group.join(instance="one", version=6)
    assert (older.error, older.generation, older.members) == (0, 2, [])
    assert older.leader == back.member != older.member
    assert group.sync(older, None, "one") == (0, b"L")
    assert group.heartbeat(follower, "two") == 0


def test_assignments_are_described_while_members_gather(group):
    leader, follower = pair(group)
    state, members = group.describe()
    assert state == "Stable" and {m[2] for m in members} == {b"L", b"F"}
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(lambda: group.join(instance="three"))
        wait_until(lambda: group.describe()[0] == "PreparingRebalance", TIMEOUT, "a rebalance")
        state, members = group.describe()
        assert sorted(m[1:] for m in members) == [(b"", b""), (b"", b"F"), (b"", b"L")]
        others = together(lambda: group.join(member=leader.member, instance="one"),
                          lambda: group.join(member=follower.member, instance="two"))
        assert {joined.generation for joined in [*others, third.result()]} == {3}
    state, members = group.describe()
    assert state == "CompletingRebalance"
    assert sorted(m[1:] for m in members) == [(b"", b""), (b"", b"F"), (b"", b"L")]


@pytest.mark.parametrize("first, second", [
    ("sticky", "range"), ("range", "roundrobin"), ("roundrobin", "cooperative-sticky"),
    ("lag-aware", "range"), ("a", "b"), ("p1", "p2"),
])
def test_of_assignors_with_as_many_votes_one_is_taken_whoever_came_first(
        first, second, group):
    one, other = [(first, b""), (second, b"")], [(second, b""), (first, b"")]
    alone = group.join(instance="one", protocols=other)
    assert alone.protocol == second
    assert group.sync(alone, {}, "one")[0] == 0
    joined = together(lambda: joins_again(group, alone, instance="one", protocols=other),
                      lambda: group.join(instance="two", protocols=one))
    assert [j.protocol for j in joined] == [first, first]


def test_an_offset_goes_with_its_topic(cluster, bootstrap, group, make_topic, admin):
    topic = make_topic(partitions=1)
    assert group.commit(topic, 40) == 0
    assert group.fetch(topic) == (0, 40)
    admin.delete(bootstrap, topic)
    wait_until(lambda: topic not in admin.names(bootstrap), TIMEOUT, "the topic to be gone")
    wait_until(lambda: group.fetch(topic) == (0, -1), TIMEOUT, "its offset to be gone")
    admin.create(bootstrap, topic, 1, 3, {})
    cluster.wait_everywhere(topic)
    assert group.fetch(topic) == (0, -1)
    assert group.commit(topic, 1) == 0
    assert group.fetch(topic) == (0, 1)


def test_the_group_without_a_name_keeps_offsets_and_has_no_members(cluster, make_topic):
    topic = make_topic(partitions=1)
    group = Group(cluster, "")
    assert group.commit(topic, 5) == 0
    assert group.fetch(topic) == (0, 5)
    assert group.join().error == INVALID_GROUP_ID
    joined = Joined(0, 1, "range", "m", False, "m", [])
    assert group.heartbeat(joined) == INVALID_GROUP_ID
    assert group.sync(joined)[0] == INVALID_GROUP_ID
    assert group.leave("m") == INVALID_GROUP_ID
    assert group.delete_offsets(topic) == INVALID_GROUP_ID
    # Who says that it is a member is none.
    assert group.commit(topic, 6, generation=1, member="m") in (
        ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID)
    assert group.delete() == 0
    assert group.fetch(topic) == (0, -1)


def test_a_group_forgets_topics_that_it_reads_no_longer(group, make_topic):
    read, left, never = (make_topic(partitions=1) for _ in range(3))
    assert group.delete_offsets(read) == GROUP_ID_NOT_FOUND
    assert group.commit(read, 1) == group.commit(left, 2) == 0
    joined = group.enter(protocols=[("range", subscription(read))])
    assert joined.error == 0
    assert group.sync(joined, {})[0] == 0
    assert group.delete_offsets(read, left, never, "t-that-is-not-there") == {
        read: SUBSCRIBED, left: 0, never: 0, "t-that-is-not-there": UNKNOWN_TOPIC_OR_PARTITION}
    assert (group.fetch(read), group.fetch(left)) == ((0, 1), (0, -1))
    assert group.delete() == NON_EMPTY_GROUP
    assert group.leave(joined.member, "stranger") == [0, UNKNOWN_MEMBER_ID]
    assert group.delete_offsets(read) == {read: 0}
    assert group.fetch(read) == (0, -1)


def test_offsets_of_living_groups_of_another_kind_stay(group, make_topic):
    topic = make_topic(partitions=1)
    assert group.commit(topic, 1) == 0
    joined = group.enter(kind="connect", protocols=[("sessioned", b"x")])
    assert group.sync(joined, {})[0] == 0
    assert group.delete_offsets(topic) == NON_EMPTY_GROUP
    assert group.leave(joined.member) == [0]
    assert group.delete_offsets(topic) == {topic: 0}


def test_a_group_is_deleted_with_its_offsets(group, make_topic):
    topic = make_topic(partitions=1)
    assert group.commit(topic, 1) == 0
    assert group.delete() == 0
    assert group.fetch(topic) == (0, -1)
    assert group.delete() == GROUP_ID_NOT_FOUND


def test_members_of_another_kind_or_assignor_are_refused(group):
    pair(group)
    assert group.join(protocols=[("other", b"")]).error == INCONSISTENT_PROTOCOL
    assert group.join(kind="connect").error == INCONSISTENT_PROTOCOL
