"""Where a group lives, and commits of those that are no members of it."""

import pytest
from alone import WAIT
from classic import UNKNOWN_MEMBER_ID, Group
from clients.java import TOOLS, run
from harness import protocol, wait_until

PARTITIONS = 50


@pytest.fixture
def group(alone, name):
    return Group(alone, name)


def ends(alone):
    return [protocol.end_offset(alone.address, "__consumer_offsets", partition)
            for partition in range(PARTITIONS)]


@pytest.mark.parametrize("name, partition", [
    ("orders", 31), ("my-group", 12), ("console-consumer-1", 24), ("", 0)])
def test_a_groups_partition_is_javas_hash_of_its_name(alone, group, partition):
    topic = alone.topic()
    before = wait_until(lambda: ends(alone), WAIT, "all partitions being served")
    assert group.commit(topic, 8) == 0
    grown = [p for p, (old, new) in enumerate(zip(before, ends(alone))) if new > old]
    assert grown == [partition]


def a_member(group):
    joined = group.enter()
    assert group.sync(joined) == (0, b"")
    return joined


def test_a_commit_without_a_member_waits_for_the_last_one_to_leave(alone, group):
    topic = alone.topic()
    joined = a_member(group)
    assert group.commit(topic, 7) == UNKNOWN_MEMBER_ID
    assert group.fetch(topic) == (0, -1)
    assert group.leave(joined.memberId) == [0]
    assert group.commit(topic, 7) == 0
    assert group.fetch(topic) == (0, 7)


def test_the_tool_resets_no_offsets_of_a_living_group(alone, group):
    topic = alone.topic()
    reset = lambda: run(
        f"{TOOLS}.consumer.group.ConsumerGroupCommand", "--bootstrap-server", alone.bootstrap,
        "--group", group.name, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute")
    joined = a_member(group)
    assert (f"Error: Assignments can only be reset if the group '{group.name}' is inactive, but "
            "the current state is Stable.") in reset()
    assert group.fetch(topic) == (0, -1)
    assert group.leave(joined.memberId) == [0]
    assert "Error" not in reset()
    assert group.fetch(topic) == (0, 0)


def test_a_commit_makes_an_empty_group_without_a_type(alone, group):
    assert group.commit(alone.topic(), 7) == 0
    listed = [g for g in alone.ask("ListGroups", 5, statesFilter=[], typesFilter=[]).groups
              if g.groupId == group.name]
    assert [(g.groupState, g.protocolType, g.groupType) for g in listed] \
        == [("Empty", "", "classic")]
