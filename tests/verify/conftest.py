"""Options, and a cluster of three for each test."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from harness import Cluster  # noqa: E402

_REPORTS = []


def pytest_addoption(parser):
    parser.addoption("--system", default="ottla", choices=["ottla", "kafka"],
                     help="whose cluster is checked")


@pytest.fixture
def cluster(request):
    with Cluster(request.config.getoption("--system")) as cluster:
        yield cluster


@pytest.fixture
def reported(request):
    """Takes a report, and shows its numbers at the end."""
    return lambda report: _REPORTS.append((request.node.name, report))


def pytest_terminal_summary(terminalreporter):
    if not _REPORTS:
        return
    terminalreporter.section("ottla verify")
    line = "{:62} {:>8} {:>7} {:>6} {:>7} {:>9} {:>8} {:>5} {:>7} {:>7}".format
    terminalreporter.write_line(line("test", "acked", "unknown", "lost", "doubled", "reordered",
                                     "diverged", "other", "stall s", "verdict"))
    for name, r in _REPORTS:
        terminalreporter.write_line(line(
            name, r["acknowledged"], r["unknown"], r["lost"], r["duplicated"], r["reordered"],
            r["diverged"], r["other"], f"{r['stalls']['max']:.2f}", r["verdict"]))
