"""When nodes were away on purpose, and with all of them away the balancer too. Pure."""

from dataclasses import dataclass
from typing import Final

NEVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A node was taken away on purpose; times of the client's clock."""

    node: str
    since_ns: int
    until_ns: int


class Outages:
    """The outages of a run, as they come and go.

    With no node left a balancer serves nothing until it has seen one again. So an outage of all nodes at once is over with the first
    good answer after it, or, when none came, with itself: nothing after it is excused then.

    Args:
        nodes: How many there are.
    """

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._since: dict[str, int] = {}
        self._back: dict[str, tuple[int, int]] = {}
        self._over: list[Outage] = []
        self._dark = False

    def begin(self, node: str, now_ns: int) -> None:
        """A node goes away."""
        self._since[node] = now_ns
        self._dark = self._dark or len(self._since) == self._nodes

    def end(self, node: str, now_ns: int) -> None:
        """It is online again."""
        since_ns = self._since.pop(node)
        if self._dark:
            self._back[node] = since_ns, now_ns
        else:
            self._over.append(Outage(node=node, since_ns=since_ns, until_ns=now_ns))

    def answered(self, at_ns: int) -> None:
        """A client had a good answer."""
        if self._back and at_ns > min(back_ns for _, back_ns in self._back.values()):
            for node, (since_ns, back_ns) in self._back.items():
                self._over.append(Outage(node=node, since_ns=since_ns, until_ns=max(back_ns, at_ns)))
            self._back.clear()
            self._dark = False

    def spans(self, *, closed: bool = False) -> list[Outage]:
        """All of them; those that are not over last for ever.

        Args:
            closed: The run is over, so that no answer will come any more.
        """
        waiting = [
            Outage(node=node, since_ns=since_ns, until_ns=back_ns if closed else NEVER_NS)
            for node, (since_ns, back_ns) in self._back.items()
        ]
        away = [Outage(node=node, since_ns=since_ns, until_ns=NEVER_NS) for node, since_ns in self._since.items()]
        return [*self._over, *waiting, *away]
