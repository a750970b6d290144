"""Volumes for nodes whose disks fill up and fail."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "compat"), str(TESTS / "chaos")]

from harness import volume  # noqa: E402


@pytest.fixture
def volumes(tmp_path):
    """Makes volumes: `volumes(name, megabytes)`."""
    if not volume.available():
        pytest.skip("needs root, mount and mkfs.ext4")
    made = []

    def make(name, megabytes):
        made.append(volume.Volume(tmp_path, name, megabytes))
        return made[-1]

    yield make
    for one in made:
        one.close()
