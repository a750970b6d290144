"""The image under test: a static binary and nothing else, built here."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def static_binary():
    """OTTLA_STATIC_BIN, or a build of this tree (in the release profile, as benches use it)."""
    given = os.environ.get("OTTLA_STATIC_BIN")
    if given:
        return given
    environment = {"OTTLA_BUILD_PROFILE": "release", **os.environ}
    built = subprocess.run([ROOT / "deploy" / "build-static.sh"], check=True, env=environment,
                           stdout=subprocess.PIPE, text=True)
    return ROOT / built.stdout.strip()


def pack(binary, tag):
    subprocess.run([ROOT / "deploy" / "pack-static.sh", str(binary), tag], check=True,
                   stdout=subprocess.DEVNULL)


def remove(tag):
    subprocess.run(["docker", "image", "rm", "--force", tag], check=False, capture_output=True)
