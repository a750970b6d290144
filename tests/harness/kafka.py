"""Apache Kafka from its Maven jars, as a node and as a source of tools."""

import os
import subprocess
from pathlib import Path

VERSION = "4.4.0"
CACHE = Path(__file__).resolve().parents[1] / ".cache" / f"kafka-{VERSION}"
# The tools' classes, loaded and checked: halves the time that a tool takes to start.
CLASSES = CACHE / "tools.jsa"
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
# Starts a tool in about a second; none of them does heavy work. The JVM's own log would go to
# standard output.
TOOL_FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256M", "-Xlog:disable"]

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>ottla</groupId><artifactId>test-kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{VERSION}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId>
<version>{VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
<version>2.24.3</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>
<version>2.24.3</version></dependency>
</dependencies></project>
"""


def classpath():
    """The jars, fetched by Maven on first use."""
    jars = CACHE / "jars"
    done = CACHE / "complete"
    if not done.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "pom.xml").write_text(POM)
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
            cwd=CACHE,
            check=True,
        )
        done.touch()
    return f"{jars}/*"


def tool(class_name, *args):
    """The command line of one of Kafka's own tools."""
    classes = [f"-XX:SharedArchiveFile={CLASSES}"] if CLASSES.exists() else []
    return ["java", *TOOL_FLAGS, *classes, "-cp", classpath(), class_name, *args]


def warm_tools(bootstrap, topic):
    """Writes the archive of classes, once for this machine, by a run of a tool that is an admin
    client, a producer and a consumer. `topic` gets a record."""
    if CLASSES.exists():
        return
    new = CLASSES.with_suffix(f".{os.getpid()}")
    args = ["--bootstrap-server", bootstrap, "--topic", topic, "--num-records", "1",
            "--producer-acks", "all", "--record-size", "10"]
    command = ["java", *TOOL_FLAGS, f"-XX:ArchiveClassesAtExit={new}", "-cp", classpath()]
    # Without the archive all works too, only slower.
    subprocess.run([*command, "org.apache.kafka.tools.EndToEndLatency", *args],
                   capture_output=True, timeout=120)
    if new.exists():
        new.replace(CLASSES)


class KafkaSystem:
    name = "kafka"
    start_timeout = 90.0
    stop_timeout = 180.0
    patience = 300.0
    # The JVM's own for SIGTERM.
    clean_exit_code = 143
    synced = {"flush.messages": 1}
    unsynced = {}
    foreign_disk = "Stored node id {} doesn't match"

    def ports_per_node(self):
        return 2

    def properties(self, node, nodes):
        kafka, controller = node.ports
        host = node.host
        voters = ",".join(f"{n.id}@{n.host}:{n.ports[1]}" for n in nodes)
        internal = min(3, len(nodes))
        return {
            "node.id": node.id,
            "process.roles": "broker,controller",
            "listeners": f"PLAINTEXT://{host}:{kafka},CONTROLLER://{host}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.quorum.voters": voters,
            "log.dirs": node.directory / "data",
            "offsets.topic.replication.factor": internal,
            "transaction.state.log.replication.factor": internal,
            "transaction.state.log.min.isr": min(2, internal),
            # As quick to notice a dead broker as Ottla is by default, or nearly.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
        }

    def broker_only(self, node):
        """What a node without a controller has otherwise."""
        return {"listeners": f"PLAINTEXT://{node.host}:{node.ports[0]}"}

    def prepare(self, node):
        if (node.directory / "data" / "meta.properties").exists():
            return
        command = ["java", *TOOL_FLAGS, "-cp", classpath(), "kafka.tools.StorageTool"]
        command += ["format", "-t", CLUSTER_ID, "-c", str(node.config)]
        subprocess.run(command, check=True, capture_output=True)

    def command(self, node):
        return ["java", "-Xmx512M", "-cp", classpath(), "kafka.Kafka", str(node.config)]

    def environment(self):
        return {}
