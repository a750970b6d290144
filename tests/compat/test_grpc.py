"""The gRPC services, through generic tools: what is called is learned by reflection."""

import json
import urllib.request
import uuid

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

ADMIN = "ottla.admin.v1.Admin"


class Generic:
    """Calls methods by name with JSON, as grpcurl does."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def services(self):
        return set(self.database.get_services())

    def call(self, method, request=None):
        described = self.pool.FindServiceByName(ADMIN).FindMethodByName(method)
        kind, answer = map(message_factory.GetMessageClass, (described.input_type, described.output_type))
        invoke = self.channel.unary_unary(
            f"/{ADMIN}/{method}",
            request_serializer=kind.SerializeToString,
            response_deserializer=answer.FromString,
        )
        told = invoke(json_format.ParseDict(request or {}, kind()), timeout=10)
        return json_format.MessageToDict(told, always_print_fields_with_no_presence=True)

    def refused(self, method, request):
        with pytest.raises(grpc.RpcError) as error:
            self.call(method, request)
        return error.value.code(), error.value.details()


@pytest.fixture(scope="module")
def generic(system, cluster):
    if system == "kafka":
        pytest.skip("Apache Kafka has no gRPC")
    node = cluster.nodes[1]
    tool = Generic(f"127.0.0.1:{node.ports[2]}")
    yield tool
    tool.channel.close()


def test_reflection_tells_the_services_and_health_answers(generic):
    assert {ADMIN, "grpc.health.v1.Health"} <= generic.services()
    health = health_pb2_grpc.HealthStub(generic.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_cluster_is_described(generic, cluster):
    told = generic.call("DescribeCluster")
    assert {broker["brokerId"] for broker in told["brokers"]} == set(cluster.nodes)
    assert told["activeControllerId"] in cluster.nodes
    listeners = {e["name"]: e["port"] for e in told["brokers"][0]["endpoints"]}
    assert listeners["PLAINTEXT"] == cluster.nodes[told["brokers"][0]["brokerId"]].ports[0]


def test_a_topic_lives_by_grpc_alone(generic, cluster):
    topic = f"g-{uuid.uuid4().hex[:8]}"
    configs = {"retention.ms": "60000"}
    made = generic.call("CreateTopic", {"name": topic, "partitions": 2, "replicationFactor": 3,
                                        "configs": configs})
    cluster.wait_in_sync(topic)
    described = generic.call("DescribeTopic", {"name": topic})
    assert described["topic"]["topicId"] == made["topicId"]
    assert [len(p["inSyncReplicas"]) for p in described["partitions"]] == [3, 3]
    generic.call("CreatePartitions", {"topic": topic, "count": 3})
    assert len(cluster.metadata([topic]).topics[topic]) == 3

    resource = {"type": "TOPIC", "name": topic}
    generic.call("AlterConfigs", {"resource": resource, "set": {"retention.bytes": "1000"},
                                  "remove": ["retention.ms"]})
    values = generic.call("DescribeConfigs", {"resource": resource})["configs"]
    dynamic = {v["name"]: v["value"] for v in values if v["source"] == "DYNAMIC_TOPIC_CONFIG"}
    assert dynamic == {"retention.bytes": "1000"}

    states = generic.call("DescribePartitions", {"topic": topic})["partitions"]
    assert {state["role"] for state in states} <= {"leader", "follower"} and len(states) == 3
    generic.call("DeleteTopic", {"name": topic})
    assert topic not in {t["name"] for t in generic.call("ListTopics")["topics"]}


def test_refusals_are_statuses_that_name_kafkas_error_and_the_value(generic, name):
    code, details = generic.refused("DescribeTopic", {"name": name})
    assert code == grpc.StatusCode.NOT_FOUND
    assert details.startswith("UNKNOWN_TOPIC_OR_PARTITION") and name in details
    code, details = generic.refused("CreateTopic", {"name": "a b"})
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("INVALID_TOPIC_EXCEPTION") and "a b" in details
    code, details = generic.refused("CreateTopic", {"name": name, "replicationFactor": 9})
    assert details.startswith("INVALID_REPLICATION_FACTOR"), details
    resource = {"type": "TOPIC", "name": name}
    code, _ = generic.refused("AlterConfigs", {"resource": resource, "set": {"retention.ms": "1"}})
    assert code == grpc.StatusCode.NOT_FOUND


def test_metrics_and_readiness_are_told_over_http(system, cluster, make_topic):
    if system == "kafka":
        pytest.skip("Apache Kafka has neither")
    make_topic()
    for node in cluster.nodes.values():
        with urllib.request.urlopen(f"http://127.0.0.1:{node.ports[3]}/readyz", timeout=5) as page:
            assert json.load(page)["broker_ready"]
        with urllib.request.urlopen(f"http://127.0.0.1:{node.ports[3]}/metrics", timeout=5) as page:
            text = page.read().decode()
        for metric in ("under_replicated_partitions", "offline_partitions", "isr_shrinks_total",
                       "isr_expands_total", "leader_elections_total", "request_time_seconds_bucket",
                       "request_bytes_total", "response_bytes_total", "partition_log_end_offset",
                       "partition_high_watermark_offset"):
            assert f"ottla_{metric}" in text, f"no metric {metric}"
