"""Times in which nodes were down on purpose, and in which no node was left for the balancer. No I/O."""

from dataclasses import dataclass
from typing import Final

NEVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a node was down on purpose, by the client's clock."""

    node: str
    since_ns: int
    until_ns: int


class Outages:
    """The outages of a run, recorded as they begin and end.

    With no node left, a balancer serves nothing until it has seen one again. An outage of all nodes at once therefore lasts until the
    first good answer after it. If no such answer comes, it ends when the nodes return, and it excuses no failure after that.

    Args:
        nodes: Number of nodes in the cluster.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._since: dict[str, int] = {}
        self._back: dict[str, tuple[int, int]] = {}
        self._over: list[Outage] = []
        self._dark = False

    def begin(self, node: str, now_ns: int) -> None:
        """Record that a node goes down."""
        self._since[node] = now_ns
        self._dark = self._dark or len(self._since) == self._nodes

    def end(self, node: str, now_ns: int) -> None:
        """Record that the node is online again."""
        since_ns = self._since.pop(node)
        if self._dark:
            self._back[node] = since_ns, now_ns
        else:
            self._over.append(Outage(node=node, since_ns=since_ns, until_ns=now_ns))

    def answered(self, at_ns: int) -> None:
        """Record that a client got a good answer."""
        if self._back and at_ns > min(back_ns for _, back_ns in self._back.values()):
            for node, (since_ns, back_ns) in self._back.items():
                self._over.append(Outage(node=node, since_ns=since_ns, until_ns=max(back_ns, at_ns)))
            self._back.clear()
            self._dark = False

    def spans(self, *, closed: bool = False) -> list[Outage]:
        """Return all outages; one that has not ended lasts forever.

        Args:
            closed: The run is over, so no answer will come any more.
        """
        waiting = [
            Outage(node=node, since_ns=since_ns, until_ns=back_ns if closed else NEVER_NS)
            for node, (since_ns, back_ns) in self._back.items()
        ]
        away = [Outage(node=node, since_ns=since_ns, until_ns=NEVER_NS) for node, since_ns in self._since.items()]
        return [*self._over, *waiting, *away]
