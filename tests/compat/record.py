"""What each client asked for and was told in a run of the suite, as the nodes' request logs have it.

`pytest tests/compat --record` writes docs/compatibility.md. Only what happened stands there.
"""

import re
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
# What the nodes must be told so that they write the request log.
LOG_FILTER = "info,openraft=error,broker::requests=debug"
LINE = re.compile(
    r"broker::requests: peer=\S+ software=(\S+) client_id=\"(.*?)\" api=(\w+) version=(\d+) "
    r"errors=\"(\S*)\""
)
# Client in the suite: what its connections call themselves, as "software/version client-id".
CLIENTS = {
    "confluent-kafka": r"confluent-kafka-python/",
    "kcat": r"librdkafka/",
    "kafka-python": r"kafka-python/|unknown kafka-python",
    "aiokafka": r"aiokafka|unknown aiokafka",
    "Java tools": r"apache-kafka-java/",
    "ottla tools": r"ottla",
}

HEAD = """# What real clients were seen to use

Written by `pytest tests/compat --record` from the request logs of three nodes (`broker::requests`
at level debug) while the whole suite ran: measured, not promised. The same tests pass on Apache
Kafka {kafka} (`--system kafka`), but for the few about what only Ottla does, which are skipped there.

| client | calls itself |
|---|---|
"""


class Seen:
    """The sums over all requests."""

    def __init__(self):
        self.names = defaultdict(set)  # client -> software and version
        self.versions = defaultdict(lambda: defaultdict(set))  # api -> client -> versions
        self.errors = defaultdict(lambda: defaultdict(set))  # error -> client -> apis

    def add_log(self, path):
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                found = LINE.search(line)
                if found:
                    self.add(*found.groups())

    def add(self, software, client_id, api, version, errors):
        of = next((name for name, pattern in CLIENTS.items()
                   if re.match(pattern, software) or re.match(pattern, f"{software} {client_id}")),
                  None)
        if of is None:
            return  # the harness's own requests, and those made by hand
        if software != "unknown":
            self.names[of].add(software)
        self.versions[api][of].add(int(version))
        for error in filter(None, errors.split(",")):
            self.errors[error][of].add(api)

    def page(self, kafka):
        text = HEAD.format(kafka=kafka)
        for client in CLIENTS:
            names = ", ".join(f"`{name}`" for name in sorted(self.names[client])) or "nothing"
            text += f"| {client} | {names} |\n"
        text += "\n## Versions used of each API\n\n"
        text += self._table("API", self.versions, _ranges)
        text += "\n## Error codes seen, and in the answer to what\n\n"
        text += self._table("error", self.errors, lambda apis: ", ".join(sorted(apis)))
        return text

    @staticmethod
    def _table(corner, rows, cell):
        text = "| " + " | ".join([corner, *CLIENTS]) + " |\n"
        text += "|---" * (len(CLIENTS) + 1) + "|\n"
        for row in sorted(rows):
            cells = [cell(rows[row][client]) if client in rows[row] else "" for client in CLIENTS]
            text += "| " + " | ".join([row, *cells]) + " |\n"
        return text


def _ranges(numbers):
    """1, 3-5"""
    pieces = []
    for number in sorted(numbers):
        if pieces and number == pieces[-1][1] + 1:
            pieces[-1][1] = number
        else:
            pieces.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in pieces)
