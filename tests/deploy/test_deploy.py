"""What is in deploy/ agrees with itself, with the program's defaults, and with the program."""

import re
import shutil
import subprocess

import pytest
import yaml
from harness.ottla import ROOT, OttlaSystem

# Kafka clients; gRPC of controllers; gRPC of replicas and administration; HTTP.
PORTS = {"kafka": 9092, "controller": 9093, "grpc": 9094, "http": 9095}
# `ottla.shutdown.timeout.ms`.
STOP_SECONDS = 5
IMAGE_USER = 65532


@pytest.fixture(scope="module")
def manifest():
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/ottla.yml").read_text())
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


@pytest.fixture(scope="module")
def pod(manifest):
    return manifest["StatefulSet", "ottla"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    one, = pod["containers"]
    return one


def properties(manifest):
    lines = manifest["ConfigMap", "ottla"]["data"]["server.properties"].splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_ports_are_the_programs_defaults_everywhere(manifest, container):
    assert {p["name"]: p["containerPort"] for p in container["ports"]} == PORTS
    service = manifest["Service", "ottla"]["spec"]
    assert {p["name"]: p["port"] for p in service["ports"]} == PORTS
    listeners = properties(manifest)["listeners"]
    assert [int(port) for port in re.findall(r":(\d+)", listeners)] == [9092, 9093, 9094]
    assert properties(manifest)["ottla.http.listener"] == ":9095"


def test_probes_ask_the_programs_own_checks(container):
    paths = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert paths == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }


def test_everything_belongs_together(manifest, pod, container):
    stateful = manifest["StatefulSet", "ottla"]["spec"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == labels
    assert manifest["PodDisruptionBudget", "ottla"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest["PodDisruptionBudget", "ottla"]["spec"]["maxUnavailable"] == 1
    for name in ("ottla", "ottla-bootstrap"):
        assert manifest["Service", name]["spec"]["selector"] == labels
    service = manifest["Service", stateful["serviceName"]]["spec"]
    assert service["clusterIP"] == "None" and service["publishNotReadyAddresses"]
    voters = properties(manifest)["controller.quorum.voters"].split(",")
    assert voters == [f"{id}@ottla-{id}.ottla:9093" for id in range(stateful["replicas"])]
    volumes = {v["name"] for v in pod["volumes"] + [c["metadata"] for c in
                                                   stateful["volumeClaimTemplates"]]}
    assert {m["name"] for m in container["volumeMounts"]} == volumes
    data = next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "data")
    assert properties(manifest)["log.dirs"].startswith(data)


def test_pods_run_without_privileges_and_have_time_to_stop(pod, container):
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == IMAGE_USER
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["terminationGracePeriodSeconds"] > 2 * STOP_SECONDS


def test_the_program_takes_the_configuration_as_a_pod_gets_it(manifest, container, tmp_path):
    file = tmp_path / "server.properties"
    file.write_text(manifest["ConfigMap", "ottla"]["data"]["server.properties"])
    values = {"POD_NAME": "ottla-1", "POD_NAMESPACE": "ottla", "OTTLA_NODE_ID": "1"}
    for variable in container["env"]:
        text = variable.get("value", values.get(variable["name"]))
        values[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda m: values[m[1]], text)
    assert container["args"][:2] == ["server", "--config"]
    done = subprocess.run([OttlaSystem().binary, "server", "--config", file, "--check"], env=values,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def unit():
    """section -> key -> values"""
    sections, current = {}, None
    for line in (ROOT / "deploy/systemd/ottla.service").read_text().splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            current.setdefault(key, []).append(value)
    return sections


def test_the_unit_gives_time_to_stop_and_files_enough(unit):
    service = unit["Service"]
    assert int(service["TimeoutStopSec"][0]) > 2 * STOP_SECONDS
    assert int(service["LimitNOFILE"][0]) >= 100_000
    # The program does not tell systemd when it is ready.
    assert service["Type"] == ["exec"]
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"):
        assert service[key] == ["yes"], key
    assert service["ProtectSystem"] == ["strict"]


def test_systemd_takes_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not there")
    text = (ROOT / "deploy/systemd/ottla.service").read_text()
    # The program is installed where this machine has it.
    file = tmp_path / "ottla.service"
    file.write_text(text.replace("/usr/local/bin/ottla", str(OttlaSystem().binary.resolve())))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True,
                          text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "ottla.service" in line]
    assert done.returncode == 0 and complaints == [], done.stderr
