"""What a scenario found: a row of the table, and a line of JSON."""

import json
from dataclasses import asdict, dataclass, field


@dataclass
class Report:
    scenario: str
    system: str = "ottla"
    acknowledged: int = 0
    unknown: int = 0
    read: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    diverged: int = 0  # readers', and replicas that differ below the high watermark
    other: int = 0  # violations of other invariants
    leader_epochs: int = 0  # all partitions' together
    segments: int = 0  # the most of a partition
    compared_mb: float = 0.0
    stalls: dict = field(default_factory=dict)  # seconds: p50, p99, max, and what of
    fired: dict = field(default_factory=dict)
    told: dict = field(default_factory=dict)  # what else the scenario measured
    void: list = field(default_factory=list)
    examples: list = field(default_factory=list)

    @property
    def faults(self):
        return self.lost + self.doubled + self.reordered + self.diverged + self.other

    def take(self, judged):
        """Takes the checker's report."""
        for name in ("acknowledged", "unknown", "read", "lost", "reordered", "other", "void"):
            setattr(self, name, judged[name])
        self.doubled = judged["duplicated"]
        self.diverged += judged["diverged"]
        self.stalls = judged["stalls"]
        for of in judged["invariants"]:
            self.examples += [f"{of['name']}: {example}" for example in of["examples"]]

    def take_comparison(self, found):
        """Takes the comparison of one partition's replicas."""
        self.diverged += len(found.differences)
        self.examples += found.differences
        self.compared_mb = round(self.compared_mb + found.bytes / 1e6, 1)
        self.segments = max(self.segments, *found.segments)
        self.leader_epochs += len(found.leader_epochs)

    def json(self):
        return json.dumps(asdict(self))


_LINE = "{:34} {:>8} {:>5} {:>8} {:>10} {:>9} {:>6} {:>7} {:>6} {:>6} {:>6}  {}".format


def table(reports):
    """The table's lines."""
    yield _LINE("scenario", "acked", "lost", "doubled", "reordered", "diverged", "other", "epochs",
                "p50 s", "p99 s", "max s", "fired")
    for r in reports:
        fired = " ".join(f"{kind}:{count}" for kind, count in r.fired.items()) or "-"
        told = " ".join(f"{what}={value}" for what, value in r.told.items())
        stalls = [f"{r.stalls.get(share, 0):.2f}" for share in ("p50", "p99", "max")]
        yield _LINE(r.scenario, r.acknowledged, r.lost, r.doubled, r.reordered, r.diverged, r.other,
                    r.leader_epochs, *stalls, f"{fired} {told}".strip())
