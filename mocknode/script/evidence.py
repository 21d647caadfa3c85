"""What both sides have shown so far, in bounded memory: nodes' journals, clients' records, and the nodes' own counters. No I/O."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ARRIVALS_MAX: Final = 4000
"""Requests that are remembered one by one: 100 s at 40 a second."""
ENDS_MAX: Final = 2000
"""Ended attempts of a stream that are remembered one by one."""
NOTED_MAX: Final = 1000
"""Notable events that are remembered; a wait that runs out shows the nearest five."""
STATES_MAX: Final = 10_000
"""Changes of state that are remembered, for the report."""
AWAY: Final = ("draining", "offline", "starting")
UPLOAD_METHODS: Final = ("POST", "PUT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt of a stream that has ended, by the clock of this machine."""

    at_ns: int
    took_s: float
    told: str
    status: int | None
    node: str | None


@dataclass(slots=True)
class StreamView:
    """A stream, as its clients have shown it so far.

    Attributes:
        open: Start times of the attempts under way, by id.
    """

    started: int = 0
    ended: int = 0
    failed: int = 0
    open: dict[str, int] = field(default_factory=dict)
    recent: deque[Ended] = field(default_factory=lambda: deque(maxlen=ENDS_MAX))

    def since(self, since_ns: int) -> list[Ended]:
        """Return the remembered attempts that ended at this time or later."""
        return [ended for ended in self.recent if ended.at_ns >= since_ns]


@dataclass(slots=True)
class NodeView:
    """A node, as its journal and its counters have shown it so far.

    Attributes:
        state_ns: When it entered its state.
        returned_ns: When a step brought it back the last time; 0 before.
        last_ns: When its last request (never a probe) arrived; 0 before the first.
        open: Its requests under way, by process and number; the value says whether it is an upload.
        progress: The share that its furthest upload has reached, 0 to 1; None without an upload of known length.
        tasks: Tasks that it runs; None while it does not tell.
    """

    state: str = "online"
    how: str | None = None
    state_ns: int = 0
    returned_ns: int = 0
    last_ns: int = 0
    requests: int = 0
    probes: int = 0
    last_probe_ns: int = 0
    open: dict[tuple[int, int], bool] = field(default_factory=dict)
    progress: float | None = None
    tasks: int | None = 0

    @property
    def away(self) -> bool:
        """Whether the balancer should send it nothing new."""
        return self.state in AWAY


class Evidence:
    """The evidence of a run under way.

    Args:
        nodes: Names of the nodes.
        streams: Names of the streams.
        offset_ns: Added to the nodes' times, to map their clock onto ours.

    Attributes:
        now_ns: The time that conditions look at.
        since_ns: Start of the time that a condition must hold for; 0 where it need hold only now.
    """

    def __init__(self, nodes: Sequence[str], streams: Sequence[str], offset_ns: int = 0) -> None:
        self.nodes = {name: NodeView() for name in nodes}
        self.streams = {name: StreamView() for name in streams}
        self.arrivals: deque[tuple[int, str]] = deque(maxlen=ARRIVALS_MAX)
        self.states: deque[tuple[int, str, str, str | None]] = deque(maxlen=STATES_MAX)
        self.noted: deque[tuple[int, str]] = deque(maxlen=NOTED_MAX)
        self.answers: Counter[int] = Counter()
        self.now_ns = 0
        self.since_ns = 0
        self._offset = offset_ns

    def note(self, at_ns: int, text: str) -> None:
        """Remember a notable event."""
        self.noted.append((at_ns, text))

    def nearest(self, at_ns: int, count: int) -> list[tuple[int, str]]:
        """Return the notable events that are nearest to a time, in their order."""
        close = sorted(self.noted, key=lambda event: abs(event[0] - at_ns))[:count]
        return sorted(close)

    def client(self, stream: str, line: Mapping[str, Any]) -> None:
        """Take a `start` or `end` line of the generator."""
        view = self.streams[stream]
        if line["t"] == "start":
            view.started += 1
            view.open[line["id"]] = line["due"]
            return
        began_ns = view.open.pop(line["id"], line["at"])
        view.ended += 1
        ended = Ended(
            at_ns=line["at"], took_s=(line["at"] - began_ns) / 1e9, told=line["told"], status=line["status"], node=line["node"]
        )  # fmt: skip
        view.recent.append(ended)
        if ended.told != "acknowledged":
            view.failed += 1
            what = f"status {ended.status}" if ended.status else str(line["end"])
            self.note(ended.at_ns, f"{stream}: {what}{f' from {ended.node}' if ended.node else ''}")
        if ended.node is None and ended.status is not None:
            self.answers[ended.status] += 1

    def journal(self, record: Mapping[str, Any]) -> None:
        """Take a line of a node's journal."""
        node = self.nodes.get(record["node"])
        if node is None:
            return
        at_ns = record["t_ns"] + self._offset
        match record["kind"]:
            case "request":
                self._request(record["node"], node, record, at_ns)
            case "probe":
                node.probes += 1
                node.last_probe_ns = at_ns
            case "state":
                self._state(record["node"], node, record["state"], record.get("how"), at_ns)
            case "boot":
                node.open.clear()
                self.note(at_ns, f"{record['node']} was started")

    def _request(self, name: str, node: NodeView, record: Mapping[str, Any], at_ns: int) -> None:
        key = (record["boot"], record["req"])
        if record["phase"] in ("head", "whole"):
            node.requests += 1
            node.last_ns = max(node.last_ns, at_ns)
            self.arrivals.append((at_ns, name))
        if record["phase"] == "head":
            node.open[key] = record["method"] in UPLOAD_METHODS
        elif record["phase"] in ("end", "whole"):
            node.open.pop(key, None)

    def _state(self, name: str, node: NodeView, state: str, how: str | None, at_ns: int) -> None:
        # What happened before the return is known already; only the timeline still wants it.
        if at_ns >= node.returned_ns:
            node.state, node.how, node.state_ns = state, how, at_ns
        self.states.append((at_ns, name, state, how))
        self.note(at_ns, f"{name} {state}{f' ({how})' if how else ''}")

    def returned(self, name: str, at_ns: int) -> None:
        """Take a node for online as soon as it has been told to be; its journal is read a moment later."""
        node = self.nodes[name]
        node.state, node.how, node.state_ns, node.returned_ns = "online", None, at_ns, at_ns

    def counters(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Take the nodes as the control API shows them."""
        for document in documents:
            node = self.nodes.get(document["name"])
            if node is None:
                continue
            counters = document["counters"]
            node.tasks = None if counters is None else counters["tasks_running"]
            node.progress = None if counters is None else counters.get("upload_progress")
            if document["state"] != node.state or document["how"] != node.how:
                # A node that was killed writes nothing about it.
                self._state(document["name"], node, document["state"], document["how"], self.now_ns)
                if not document["alive"]:
                    node.open.clear()

    @property
    def serving(self) -> list[str]:
        """Names of the nodes that are online."""
        return [name for name, node in self.nodes.items() if not node.away]
