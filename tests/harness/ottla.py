"""How an Ottla node is configured and started."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class OttlaSystem:
    name = "ottla"
    start_timeout = 30.0
    stop_timeout = 30.0
    # How long scenarios wait for what must come true after a fault.
    patience = 60.0
    clean_exit_code = 0
    # Configurations of a topic: each record is on disk before it is acknowledged, or need not be.
    synced = {"ottla.durability": "synced"}
    unsynced = {"ottla.durability": "replicated"}
    # What a node says of the disk of node `{}`.
    foreign_disk = "belongs to node {}"

    def __init__(self, binary=None):
        self.binary = Path(binary or os.environ.get("OTTLA_BIN") or self._built())
        if not self.binary.exists():
            raise FileNotFoundError(f"{self.binary} is missing: cargo build, or set OTTLA_BIN")

    @staticmethod
    def _built():
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return target / "debug" / "ottla"

    def ports_per_node(self):
        return 4

    def properties(self, node, nodes):
        """`node` and each of `nodes` has id, ports (Kafka, controller, gRPC, HTTP), directory."""
        kafka, controller, grpc, http = node.ports
        host = node.host
        voters = ",".join(f"{n.id}@{n.host}:{n.ports[1]}" for n in nodes)
        return {
            "node.id": node.id,
            "process.roles": "broker,controller",
            "listeners": f"PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller},"
            f"GRPC://{host}:{grpc}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "ottla.http.listener": f"{host}:{http}",
            "log.dirs": node.directory / "data",
            "offsets.topic.replication.factor": min(3, len(nodes)),
            "transaction.state.log.replication.factor": min(3, len(nodes)),
        }

    def broker_only(self, node):
        """What a node without a controller has otherwise."""
        kafka, _, grpc, _ = node.ports
        return {"listeners": f"PLAINTEXT://{node.host}:{kafka},GRPC://{node.host}:{grpc}"}

    def prepare(self, node):
        """Nothing: a first start needs no format step."""

    def command(self, node):
        return [str(self.binary), "server", "--config", str(node.config)]

    def environment(self):
        return {}
