"""Options, a fresh cluster per scenario, and the table of what the scenarios found."""

import signal
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from harness import network, volume  # noqa: E402
from report import table  # noqa: E402
from via import Namespaces, Processes, Volumes  # noqa: E402

_REPORTS = []


def pytest_addoption(parser):
    parser.addoption("--system", default="ottla", choices=["ottla", "kafka"],
                     help="whose cluster it is")
    parser.addoption("--rounds", type=int, default=1,
                     help="how often each scenario repeats its fault on one cluster")
    parser.addoption("--between", type=float, default=0, metavar="SECONDS",
                     help="a rest between two rounds: without one a client may still be waiting to"
                     " try a node again that it saw die in the round before")
    parser.addoption("--storm", type=float, default=10, metavar="SECONDS",
                     help="how long the storms of random faults last")
    parser.addoption("--cuts", type=int, default=20, help="how many power cuts")
    parser.addoption("--seed", type=int, default=None, help="of the storms; default: a new one")
    parser.addoption("--report", type=Path, metavar="FILE", help="also write a JSON line each here")


def pytest_configure(config):
    # A run that is told to stop cleans up like one that ends.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to stop", returncode=143))


@pytest.fixture
def rounds(request):
    return _Rounds(*map(request.config.getoption, ("--rounds", "--between")))


class _Rounds:
    def __init__(self, count, rest):
        self.count = count
        self.rest = rest

    def __len__(self):
        return self.count

    def __iter__(self):
        for round in range(self.count):
            if round:
                time.sleep(self.rest)
            yield round


def _running(cluster, request):
    """Starts a cluster for one test. Its directory is kept if the test fails."""
    try:
        cluster.start()
        request.node.cluster = cluster
        yield cluster
    finally:
        cluster.stop()
        report = getattr(request.node, "call_report", None)
        if report is not None and report.passed:
            cluster.remove()
        else:
            print(f"the nodes' directories are kept in {cluster.directory}")


@pytest.fixture
def cluster(request):
    """Three nodes on empty directories."""
    yield from _running(Processes(request.config.getoption("--system")), request)


@pytest.fixture(scope="session")
def namespaces():
    reason = network.available()
    if reason:
        pytest.skip(f"no network to break: {reason}")


@pytest.fixture
def networked(request, namespaces):
    """Three nodes on a network of their own."""
    yield from _running(Namespaces(request.config.getoption("--system")), request)


@pytest.fixture
def powered(request):
    """Three nodes, each on a file system of its own."""
    if not volume.available():
        pytest.skip("no power to cut: needs root, mount and mkfs.ext4")
    yield from _running(Volumes(request.config.getoption("--system")), request)


@pytest.fixture
def reported(request):
    """Takes a scenario's report, shows it at the end, and judges it."""

    def take(report):
        _REPORTS.append(report)
        file = request.config.getoption("--report")
        if file:
            with open(file, "a") as out:
                out.write(report.json() + "\n")
        assert report.faults == 0, "\n".join([report.json(), *report.examples])

    return take


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.call_report = report
    cluster = getattr(item, "cluster", None)
    if report.failed and cluster is not None:
        for id in cluster.nodes:
            report.sections.append((f"node {id}", cluster.log_tail(id, 15)))


def pytest_terminal_summary(terminalreporter):
    if _REPORTS:
        terminalreporter.section("chaos")
        for line in table(_REPORTS):
            terminalreporter.write_line(line)
