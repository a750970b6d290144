"""Fixtures: one cluster of three processes for the whole run, and a topic per test."""

import os
import sys
import uuid
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import record  # noqa: E402
from alone import Alone  # noqa: E402
from clients.confluent import ConfluentAdmin  # noqa: E402
from harness import Cluster  # noqa: E402
from harness.kafka import VERSION, warm_tools  # noqa: E402

# What the tests assume of a cluster; everything else is at its default.
OVERRIDES = {
    "num.partitions": 3,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "group.initial.rebalance.delay.ms": 0,
}


def pytest_addoption(parser):
    parser.addoption("--system", default="ottla", choices=["ottla", "kafka"],
                     help="what to test: ottla (the built binary, or OTTLA_BIN) or Apache Kafka")
    parser.addoption("--record", action="store_true",
                     help="write docs/compatibility.md: what each client used and was told")


@pytest.fixture(scope="session")
def system(request):
    return request.config.getoption("--system")


@pytest.fixture(scope="session")
def cluster(system, request):
    recording = request.config.getoption("--record") and system == "ottla"
    if recording:
        os.environ["OTTLA_LOG_FILTER"] = record.LOG_FILTER
    with Cluster(system, overrides=OVERRIDES) as cluster:
        warm_tools(cluster.bootstrap, "warm")
        yield cluster
        if recording:
            seen = record.Seen()
            for id in cluster.nodes:
                seen.add_log(cluster.nodes[id].process.log_path)
            record.PAGE.write_text(seen.page(VERSION))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the nodes' last words beside a failure."""
    report = (yield).get_result()
    cluster = item.funcargs.get("cluster") or item.funcargs.get("alone")
    if report.failed and cluster is not None:
        for id in cluster.nodes:
            report.sections.append((f"node {id}", cluster.log_tail(id, 15)))


@pytest.fixture(scope="session")
def alone(system):
    """One node, for what is asked of it by raw requests."""
    with Alone(system) as node:
        yield node


@pytest.fixture
def bootstrap(cluster):
    return cluster.bootstrap


@pytest.fixture(scope="session")
def admin():
    return ConfluentAdmin()


@pytest.fixture
def name():
    """A topic name, or group name, that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_topic(cluster, admin):
    """Makes topics that are ready to use."""

    def make(partitions=3, factor=3, **configs):
        topic = f"t-{uuid.uuid4().hex[:12]}"
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        admin.create(cluster.bootstrap, topic, partitions, factor, configs)
        cluster.wait_everywhere(topic)
        return topic

    return make
