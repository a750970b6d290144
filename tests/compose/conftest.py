"""Fixtures: the engine, the image, and what a failure shows."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "compat"), str(HERE.parent / "chaos"), str(HERE)]

import image as images  # noqa: E402
from report import table  # noqa: E402

_REPORTS = []


def pytest_configure(config):
    # A run that is told to stop cleans up like one that ends.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("told to stop", returncode=143))


@pytest.fixture(scope="session")
def engine():
    """A container engine that answers; without one the tests fail and say why."""
    script = HERE / "engine.sh"
    with tempfile.TemporaryDirectory(prefix="ottla-engine-") as directory:
        started = subprocess.run([script, "start", directory], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        try:
            if started.returncode != 0:
                pytest.fail(started.stdout, pytrace=False)
            yield
        finally:
            subprocess.run([script, "stop", directory], check=False)


@pytest.fixture(scope="session")
def image(engine):
    """The image to run: OTTLA_IMAGE as it is, or one that is built and removed here."""
    given = os.environ.get("OTTLA_IMAGE")
    if given:
        yield given
        return
    tag = f"ottla-test:{uuid.uuid4().hex[:8]}"
    binary = images.static_binary()
    # It judges histories, too.
    os.environ.setdefault("OTTLA_BIN", str(binary))
    images.pack(binary, tag)
    yield tag
    images.remove(tag)


@pytest.fixture
def reported():
    """Takes a scenario's report, shows it at the end, and judges it."""

    def take(report):
        _REPORTS.append(report)
        assert report.faults == 0, "\n".join([report.json(), *report.examples])

    return take


def pytest_terminal_summary(terminalreporter):
    if _REPORTS:
        terminalreporter.section("chaos")
        for line in table(_REPORTS):
            terminalreporter.write_line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the brokers' last words beside a failure."""
    report = (yield).get_result()
    project = item.funcargs.get("project")
    if report.failed and project is not None:
        report.sections.append(("brokers", project.log_tail()))
