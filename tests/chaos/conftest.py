"""Options, a fresh cluster per scenario, and the table of what the scenarios found."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from via import WAYS  # noqa: E402

_REPORTS = []


def pytest_addoption(parser):
    parser.addoption("--via", default="processes", choices=sorted(WAYS),
                     help="how the cluster runs")
    parser.addoption("--rounds", type=int, default=1,
                     help="how often each scenario repeats its fault on one cluster")
    parser.addoption("--storm", type=float, default=15, metavar="SECONDS",
                     help="how long the storm of random faults lasts")
    parser.addoption("--seed", type=int, default=None, help="of the storm; default: a new one")
    parser.addoption("--report", type=Path, metavar="FILE", help="also write a JSON line each here")


@pytest.fixture
def rounds(request):
    return range(request.config.getoption("--rounds"))


@pytest.fixture
def cluster(request):
    """Three nodes on empty directories, which are kept if the test fails."""
    cluster = WAYS[request.config.getoption("--via")]()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        report = getattr(request.node, "call_report", None)
        if report is not None and report.passed:
            cluster.remove()
        else:
            print(f"the nodes' directories are kept in {cluster.directory}")


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
    cluster = item.funcargs.get("cluster")
    if report.failed and cluster is not None:
        for id in cluster.nodes:
            report.sections.append((f"node {id}", cluster.log_tail(id, 15)))


def pytest_terminal_summary(terminalreporter):
    if not _REPORTS:
        return
    terminalreporter.section("chaos")
    line = "{:28} {:>9} {:>5} {:>7} {:>9} {:>8} {:>6} {:>6} {:>6} {:>6}  {}".format
    terminalreporter.write_line(line("scenario", "acked", "lost", "doubled", "reordered",
                                     "diverged", "epochs", "p50 s", "p99 s", "max s", "fired"))
    for r in _REPORTS:
        fired = " ".join(f"{kind}:{count}" for kind, count in r.fired.items()) or "-"
        terminalreporter.write_line(line(
            r.scenario, r.acknowledged, r.lost, r.doubled, r.reordered, r.diverged,
            r.leader_epochs, f"{r.stall(0.5):.2f}", f"{r.stall(0.99):.2f}", f"{r.stall_s:.2f}",
            fired))
