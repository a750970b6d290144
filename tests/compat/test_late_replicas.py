"""An append that the replicas do not have in time."""

from harness import messages
from harness.batch import Batch

REQUEST_TIMED_OUT = 7
NOW = 1_700_000_000_000


def test_what_replicas_have_not_in_time_tells_where_it_is_in_the_log(cluster, make_topic):
    topic = make_topic(partitions=1)
    leader = cluster.leader(topic)

    def produce(timeout_ms):
        answer = messages.ask(cluster.nodes[leader].address, "Produce", 12, acks=-1,
                              timeoutMs=timeout_ms, topicData=[{"name": topic, "partitionData": [
                                  {"index": 0, "records": Batch([(NOW, b"k", b"v")]).encode()}]}])
        one = answer.responses[0].partitionResponses[0]
        return one.errorCode, one.baseOffset, one.logStartOffset

    assert produce(10_000) == (0, 0, 0)
    followers = [id for id in cluster.nodes if id != leader]
    for id in followers:
        cluster.pause(id)
    try:
        # Shorter than it takes to notice that they are silent.
        late = produce(300)
    finally:
        for id in followers:
            cluster.resume(id)
    assert late == (REQUEST_TIMED_OUT, 1, 0)
    cluster.wait_in_sync(topic)
    assert cluster.partition(topic).error == 0
