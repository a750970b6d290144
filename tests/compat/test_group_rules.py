"""The rules of classic groups, by requests made by hand: what libraries do not show, or only now
and then."""

import itertools
import struct
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from classic import INVALID_GROUP_ID, UNKNOWN_MEMBER_ID, Group, together
from clients.base import TIMEOUT, UNKNOWN_TOPIC_OR_PARTITION
from harness import wait_until
from harness.messages import Message

ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL = 22, 23
NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, FENCED_INSTANCE_ID, SUBSCRIBED = 68, 69, 82, 86


def subscription(*topics):
    """What a consumer says of itself, in version 0 of the embedded protocol."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", 0)


@pytest.fixture
def group(cluster, name):
    return Group(cluster, name)


def pair(group, **how):
    """Two static members in one stable generation, the leader first; their assignments are theirs."""
    first = group.join(instance="one", **how)
    assert (first.errorCode, first.leader) == (0, first.memberId)
    assert group.sync(first, {first.memberId: b"all"}, "one")[0] == 0
    again = lambda: group.join_again(first, instance="one", **how)
    leader, follower = together(again, lambda: group.join(instance="two", **how))
    assert leader.generationId == follower.generationId == 2
    assigned = {leader.memberId: b"L", follower.memberId: b"F"}
    assert together(lambda: group.sync(leader, assigned, "one"),
                    lambda: group.sync(follower, None, "two")) == [(0, b"L"), (0, b"F")]
    return leader, follower


def test_a_static_member_that_is_back_with_other_metadata_disturbs_nobody(group):
    leader, follower = pair(group)
    back = group.join(instance="two", metadata=b"owned partitions")
    assert (back.errorCode, back.generationId, back.members) == (0, 2, [])
    assert back.memberId != follower.memberId and back.leader == leader.memberId
    assert group.heartbeat(leader, "one") == 0
    assert group.heartbeat(follower, "two") == FENCED_INSTANCE_ID
    assert group.sync(back, None, "two") == (0, b"F")


def test_a_leader_that_is_back_watches_the_members_and_skips_the_assignment(group):
    leader, follower = pair(group)
    back = group.join(instance="one")
    assert (back.errorCode, back.generationId, back.skipAssignment) == (0, 2, True)
    assert back.leader == back.memberId != leader.memberId
    assert {m.memberId for m in back.members} == {back.memberId, follower.memberId}
    assert group.sync(back, None, "one") == (0, b"L")
    # An older client would bring a new assignment if it knew that it leads.
    older = group.join(instance="one", version=6)
    assert (older.errorCode, older.generationId, older.members) == (0, 2, [])
    assert older.leader == back.memberId != older.memberId
    assert group.sync(older, None, "one") == (0, b"L")
    assert group.heartbeat(follower, "two") == 0


def described(group):
    """The state, and each member's (metadata, assignment)."""
    told = group.describe()
    return told.groupState, sorted((m.memberMetadata, m.memberAssignment) for m in told.members)


def test_assignments_are_described_while_members_gather(group):
    leader, follower = pair(group)
    state, members = described(group)
    assert state == "Stable" and {assignment for _, assignment in members} == {b"L", b"F"}
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(lambda: group.join(instance="three"))
        wait_until(lambda: described(group)[0] == "PreparingRebalance", TIMEOUT, "a rebalance")
        assert described(group)[1] == [(b"", b""), (b"", b"F"), (b"", b"L")]
        others = together(lambda: group.join(member=leader.memberId, instance="one"),
                          lambda: group.join(member=follower.memberId, instance="two"))
        assert {joined.generationId for joined in [*others, third.result()]} == {3}
    assert described(group) == ("CompletingRebalance", [(b"", b""), (b"", b"F"), (b"", b"L")])


def gathered(group, *offers):
    """Members that offer these protocols come one after the other, each in a round of its own. The
    answers of each round, the first member's first."""
    rounds = [[group.enter(protocols=offers[0])]]
    for count in range(1, len(offers)):
        share_out(group, rounds[-1])
        # Their current values: a closure would see those of the last.
        again = [partial(group.join_again, joined, protocols=offer)
                 for joined, offer in zip(rounds[-1], offers)]
        rounds.append(together(*again, lambda: group.enter(protocols=offers[count])))
    return rounds


def share_out(group, members):
    leads = lambda joined: joined.memberId == joined.leader
    assigned = {joined.memberId: b"" for joined in members}
    synced = [partial(group.sync, joined, assigned if leads(joined) else None)
              for joined in members]
    assert together(*synced) == [(0, b"")] * len(members)


def test_one_that_joins_changes_the_protocol_only_where_it_must(group):
    rounds = gathered(group, ["p1", "p2"], ["p2", "p1"], ["p2"])
    first = rounds[0][0].memberId
    for generation, (joined, protocol) in enumerate(zip(rounds, ["p1", "p1", "p2"]), 1):
        for one in joined:
            assert (one.errorCode, one.generationId) == (0, generation)
            assert (one.protocolName, one.leader) == (protocol, first)
        assert [len(one.members) for one in joined] == [generation] + [0] * (generation - 1)
        assert {m.memberId for m in joined[0].members} == {one.memberId for one in joined}


PREFERRED = ["sticky", "range", "roundrobin", "cooperative-sticky"]
PAIRS = [*itertools.combinations(PREFERRED, 2), ("lag-aware", "range"), ("connect-x", "sessioned"),
         ("a", "b"), ("p1", "p2")]


@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("winner, loser", PAIRS)
def test_equal_votes_go_to_the_first_in_the_order_of_a_java_hash_map(group, winner, loser, turned):
    """Whoever joins first."""
    pair = [loser, winner] if turned else [winner, loser]
    assert {joined.protocolName for joined in gathered(group, pair, pair[::-1])[-1]} == {winner}


def test_three_assignors_with_equal_votes_are_a_tie_as_well(group):
    names = ["roundrobin", "cooperative-sticky", "range"]
    rounds = gathered(group, *[names[i:] + names[:i] for i in range(3)])
    assert {joined.protocolName for joined in rounds[-1]} == {"range"}


def test_more_votes_win_whatever_the_order_of_the_names(group):
    names = ["range", "roundrobin"]
    rounds = gathered(group, names, names[::-1], names[::-1])
    assert {joined.protocolName for joined in rounds[-1]} == {"roundrobin"}


@pytest.mark.parametrize("protocols, kind", [
    (["p3"], "consumer"), (["p1", "p2"], "connect"), (["p3", "p1"], "connect"), ([], "connect"),
    ([], "consumer"), (["p1"], "")])
def test_one_that_shares_no_protocol_or_type_is_kept_out(group, protocols, kind):
    assert group.enter(protocols=["p1", "p2"]).errorCode == 0
    assert group.enter(protocols=protocols, kind=kind).errorCode == INCONSISTENT_PROTOCOL


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
    assert group.join().errorCode == INVALID_GROUP_ID
    joined = Message(
        generationId=1, memberId="m", protocolType="consumer", protocolName="range")
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
    joined = group.enter(metadata=subscription(read))
    assert joined.errorCode == 0
    assert group.sync(joined, {})[0] == 0
    assert group.delete_offsets(read, left, never, "t-that-is-not-there") == {
        read: SUBSCRIBED, left: 0, never: 0, "t-that-is-not-there": UNKNOWN_TOPIC_OR_PARTITION}
    assert (group.fetch(read), group.fetch(left)) == ((0, 1), (0, -1))
    assert group.delete() == NON_EMPTY_GROUP
    assert group.leave(joined.memberId, "stranger") == [0, UNKNOWN_MEMBER_ID]
    assert group.delete_offsets(read) == {read: 0}
    assert group.fetch(read) == (0, -1)


def test_offsets_of_living_groups_of_another_kind_stay(group, make_topic):
    topic = make_topic(partitions=1)
    assert group.commit(topic, 1) == 0
    joined = group.enter(kind="connect", protocols=["sessioned"], metadata=b"x")
    assert group.sync(joined, {})[0] == 0
    assert group.delete_offsets(topic) == NON_EMPTY_GROUP
    assert group.leave(joined.memberId) == [0]
    assert group.delete_offsets(topic) == {topic: 0}


def test_a_group_is_deleted_with_its_offsets(group, make_topic):
    topic = make_topic(partitions=1)
    assert group.commit(topic, 1) == 0
    assert group.delete() == 0
    assert group.fetch(topic) == (0, -1)
    assert group.delete() == GROUP_ID_NOT_FOUND

