"""What a compose cluster goes through, judged as tests/chaos judges: nothing acknowledged is lost,
doubled or reordered, and the brokers' files are equal."""

import time

from composed import Composed, ContainerFaults
from harness import wait_until
from scenario import Scenario

RATE = 1000
# So that segments fill in a few seconds.
VALUE_BYTES = 2000


class ComposeScenario(Scenario):
    def __init__(self, name, project):
        super().__init__(name, Composed(project), rate=RATE, size=VALUE_BYTES)
        self.faults = ContainerFaults(self.cluster, self.history)

    def moved(self, away_from):
        """Waits until another than this broker leads partition 0, as a third one tells."""
        of = next(id for id in self.cluster.nodes if id != away_from)

        def led():
            leader = self.cluster.metadata([self.topic], of=of).topics[self.topic][0].leader
            return leader not in (-1, away_from)

        wait_until(led, 30, f"another leader than {away_from}")


def killed(name, project, victim_of):
    """`victim_of` names a broker of a scenario."""
    with ComposeScenario(f"{name} killed", project) as s:
        victim = victim_of(s)
        s.faults.kill(victim)
        s.moved(victim)
        s.flow()
        s.faults.start(victim)
        s.heal()
    return s.finish()


def paused(name, project, victim_of):
    with ComposeScenario(f"{name} paused 3 s", project) as s:
        victim = victim_of(s)
        s.faults.pause(victim)
        woken = time.monotonic() + 3
        s.moved(victim)
        s.flow()
        time.sleep(max(0.0, woken - time.monotonic()))
        s.faults.resume(victim)
        s.heal()
    return s.finish()


def disconnected(name, project, victim_of):
    with ComposeScenario(f"{name} disconnected", project) as s:
        victim = victim_of(s)
        network = s.faults.disconnect(victim)
        s.moved(victim)
        s.flow()
        s.faults.connect(victim, network)
        s.heal()
    return s.finish()
