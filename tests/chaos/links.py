"""Faults of the network between nodes that run in namespaces, each checked by datagrams or counters."""

import itertools

from harness import protocol, wait_until
from harness.history import now
from harness.network import CLIENT


class Links:
    """What is done to the links of a scenario's cluster."""

    def __init__(self, scenario):
        self.cluster = scenario.cluster
        self.network = scenario.cluster.network
        self.faults = scenario.faults

    def cut(self, kind, pairs, note=""):
        """Drops what goes from the first of each pair to the second; all else must come through."""
        at = now()
        self.network.cut(*pairs)
        whole = [pair for pair in self._all_pairs() if pair not in pairs]
        self.faults.landed(lambda: not any(self.network.reaches(*pair) for pair in pairs),
                           f"nothing coming through {pairs}")
        self.faults.landed(lambda: all(self.network.reaches(*pair) for pair in whole),
                           f"datagrams coming through {whole}")
        self.faults.count(kind, note, at)

    def isolate(self, id, but=(), kind="cut"):
        """Both ways, from everyone else, the clients included."""
        others = [other for other in self.everyone() if other != id and other not in but]
        self.cut(kind, [pair for other in others for pair in ((id, other), (other, id))],
                 f"node {id}")

    def deafen(self, id):
        """Nothing comes to it; what it sends arrives."""
        self.cut("deaf", [(other, id) for other in self.everyone() if other != id], f"node {id}")

    def mute(self, id):
        """Nothing that it sends arrives; it hears all."""
        self.cut("mute", [(id, other) for other in self.everyone() if other != id], f"node {id}")

    def part(self, one, other):
        """Two nodes do not see each other; everyone else sees both."""
        self.cut("bridge", [(one, other), (other, one)], f"nodes {one} and {other}")

    def cut_port(self, kind, port):
        """Between all nodes, connections to one port only."""
        at, before = now(), self.network.dropped()
        pairs = list(itertools.permutations(self.network.ids, 2))
        self.network.cut(*pairs, port=port)
        self.faults.landed(lambda: self.network.dropped() > before, f"packets to port {port} lost")
        self.faults.landed(lambda: all(self.network.reaches(*pair) for pair in pairs),
                           "the other packets coming through")
        self.faults.count(kind, f"port {port}", at)

    def lose(self, percent):
        """On every link, both ways."""
        at, tries = now(), 600
        self.network.lose(percent, *self._all_pairs())
        one, other = self.network.ids[:2]

        def lost():
            came = self.network.reaches(one, other, tries)
            return 0.4 * percent < 100 * (tries - came) / tries < 2 * percent

        self.faults.landed(lost, f"about {percent} % of datagrams lost")
        self.faults.count(f"lose{percent}", "", at)

    def slow(self, id, kilobits):
        at, before = now(), self.network.held_back(id)
        self.network.slow(id, kilobits)
        self.faults.landed(lambda: self.network.held_back(id) > before, f"packets held back at {id}")
        self.faults.count("slow", f"node {id}, {kilobits} kbit/s", at)

    def heal(self):
        self.network.heal()
        self.faults.landed(lambda: all(self.network.reaches(*pair) for pair in self._all_pairs()),
                           "all links being whole")

    # What the cluster makes of it.

    def leader_moves(self, topic, away_from, of, partition=0):
        """Waits until node `of` names another leader than this one."""
        def moved():
            leader = self.cluster.metadata([topic], of=of).topics[topic][partition].leader
            return leader if leader not in (-1, away_from) else None

        return wait_until(moved, self.cluster.patience,
                          f"node {of} naming another leader than {away_from}")

    def controller_moves(self, away_from, of):
        def moved():
            leader = protocol.quorum_leader(self.cluster.nodes[of].address, timeout=1.0)
            return leader if leader not in (None, away_from) else None

        return wait_until(moved, self.cluster.patience,
                          f"node {of} naming another controller than {away_from}")

    def everyone(self):
        return [*self.network.ids, CLIENT]

    def _all_pairs(self):
        return list(itertools.permutations(self.everyone(), 2))
