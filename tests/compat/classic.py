"""A classic group, asked of its coordinator by raw requests, each on a connection of its own."""

from concurrent.futures import ThreadPoolExecutor

from clients.base import TIMEOUT
from harness import messages, wait_until

INVALID_GROUP_ID, UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED = 24, 25, 79


class Group:
    """What is answered has the protocol's own names; `joined` is the answer of a JoinGroup."""

    def __init__(self, cluster, name):
        self.name = name
        self.address = cluster.nodes[cluster.coordinator(name, TIMEOUT)].address
        loaded = lambda: self._fetched("none").errorCode in (0, INVALID_GROUP_ID)
        wait_until(loaded, TIMEOUT, "a loaded coordinator")

    def ask(self, api, version, **fields):
        return messages.ask(self.address, api, version, **fields)

    def join(self, member="", protocols=("range",), metadata=b"", instance=None, kind="consumer",
             version=9):
        return self.ask(
            "JoinGroup", version, groupId=self.name, sessionTimeoutMs=20_000,
            rebalanceTimeoutMs=20_000, memberId=member, groupInstanceId=instance,
            protocolType=kind,
            protocols=[{"name": name, "metadata": metadata} for name in protocols])

    def enter(self, **how):
        """Joins as a member that nobody knows yet: with the id that it is given."""
        first = self.join(**how)
        if first.errorCode != MEMBER_ID_REQUIRED:
            return first
        return self.join(member=first.memberId, **how)

    def join_again(self, joined, **how):
        """Joins with the id of before, as soon as a round has begun."""
        begun = lambda: self.describe().groupState == "PreparingRebalance"
        wait_until(begun, TIMEOUT, "a rebalance")
        return self.join(member=joined.memberId, **how)

    def sync(self, joined, assignments=None, instance=None):
        """(error, the member's assignment); the leader brings those of all."""
        # Whom an old JoinGroup told no type tells none either.
        kind = {key: joined[key] for key in ("protocolType", "protocolName")
                if "protocolType" in joined}
        answer = self.ask(
            "SyncGroup", 5 if kind else 3, groupId=self.name, generationId=joined.generationId,
            memberId=joined.memberId, groupInstanceId=instance, **kind,
            assignments=[{"memberId": m, "assignment": a} for m, a in (assignments or {}).items()])
        return answer.errorCode, answer.assignment

    def heartbeat(self, joined, instance=None):
        return self.ask(
            "Heartbeat", 4, groupId=self.name, generationId=joined.generationId,
            memberId=joined.memberId, groupInstanceId=instance).errorCode

    def leave(self, *members):
        """The error of the group, or those of the members."""
        answer = self.ask("LeaveGroup", 5, groupId=self.name,
                          members=[{"memberId": member} for member in members])
        return answer.errorCode or [member.errorCode for member in answer.members]

    def describe(self):
        return self.ask("DescribeGroups", 5, groups=[self.name]).groups[0]

    def commit(self, topic, offset, generation=-1, member=""):
        """The error of partition 0; an administrator's commit has no generation and no member."""
        answer = self.ask(
            "OffsetCommit", 9, groupId=self.name, generationIdOrMemberEpoch=generation,
            memberId=member, topics=[{"name": topic, "partitions": [
                {"partitionIndex": 0, "committedOffset": offset}]}])
        return answer.topics[0].partitions[0].errorCode

    def fetch(self, topic):
        """(the group's error, the committed offset of partition 0)"""
        answer = self._fetched(topic)
        return answer.errorCode, answer.topics[0].partitions[0].committedOffset

    def _fetched(self, topic):
        return self.ask("OffsetFetch", 9, groups=[{"groupId": self.name, "topics": [
            {"name": topic, "partitionIndexes": [0]}]}]).groups[0]

    def delete(self):
        return self.ask("DeleteGroups", 3, groupsNames=[self.name]).results[0].errorCode

    def delete_offsets(self, *topics):
        """The error of the group, or {topic: error of partition 0}."""
        answer = self.ask("OffsetDelete", 0, groupId=self.name, topics=[
            {"name": topic, "partitions": [{"partitionIndex": 0}]} for topic in topics])
        return answer.errorCode or {t.name: t.partitions[0].errorCode for t in answer.topics}


def together(*calls):
    """Runs calls that wait for each other."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
