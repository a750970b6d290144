"""A cluster of real processes, for tests/compat and tests/chaos.

`Cluster("ottla")` starts `ottla server` processes; `Cluster("kafka")` starts Apache Kafka from its
Maven jars, so that the same tests can be run against both: what Kafka fails is a wrong test.

Promises: no fixed ports, no sleeping (everything polls with a deadline), and every process is
killed by its own pid when the cluster stops, when Python exits, and when Python is killed.
"""

from .cluster import Cluster
from .process import NodeProcess
from .wait import wait_until

__all__ = ["Cluster", "NodeProcess", "wait_until"]
