"""A real balancer in front of the cluster of a test run."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from mocknode.judge import balancers
from mocknode.judge.balancers import BalancerNotFoundError as NotInstalledError
from mocknode.judge.balancers import UnknownBalancerError as UnknownKindError
from mocknode.mock.cluster import ports
from mocknode.pytest_plugin.cluster import MockCluster

__all__ = ["Balancer", "Fronts", "NotInServiceError", "NotInstalledError", "UnknownKindError"]

_HOST: Final = "127.0.0.1"
_LIMIT_S: Final = 30.0
"""Time for the balancer to see every node healthy: the slowest one probes every two seconds and needs three good answers."""
_PAUSE_S: Final = 0.02


class NotInServiceError(Exception):
    """The balancer does not send requests to all nodes; the message lists the nodes that it uses."""


class Balancer:
    """A running balancer.

    Attributes:
        kind, version: Kind and version of the program.
        mode: Name of its configuration.
        url: URL of its front door.
        log: File with its output.
    """

    def __init__(self, running: balancers.Running, mode: str, cluster: MockCluster) -> None:
        self.kind, self.version = running.kind, running.version
        self.mode, self.url = mode, running.url
        self.log = running.log
        self._cluster = cluster

    def wait_in_service(self, *names: str) -> None:
        """Return when exactly these nodes, or all nodes without names, have answered at least twenty requests in a row.

        Raises:
            NotInServiceError: that did not happen within thirty seconds.
        """
        wanted = set(names) or {node.name for node in self._cluster.nodes}
        enough = 20 + 4 * len(wanted)
        deadline, answered_by = time.monotonic() + _LIMIT_S, list[str]()
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(trust_env=False, limits=limits, timeout=5.0) as client:
            while len(answered_by) < enough or set(answered_by[-enough:]) != wanted:
                if time.monotonic() > deadline:
                    raise NotInServiceError(
                        f"{self.kind}: answers came from {answered_by[-enough:]}, wanted {sorted(wanted)}"
                    )
                try:
                    answer = client.get(f"{self.url}/api")
                    answered_by.append(answer.headers.get("octopus-node", f"none, {answer.status_code}"))
                except httpx.TransportError as exc:
                    answered_by.append(type(exc).__name__)
                if answered_by[-1] not in wanted:
                    time.sleep(_PAUSE_S)


class Fronts:
    """The balancer in front of a cluster, replaced when a test asks for another. Only one runs, as its probes use up faults and triggers
    of the nodes.

    Args:
        directory_of: Makes a directory from a name that need not be unique.
    """

    def __init__(self, cluster: MockCluster, directory_of: Callable[[str], Path]) -> None:
        self._cluster, self._directory_of = cluster, directory_of
        self._wanted: tuple[str, str] | None = None
        self._running = contextlib.ExitStack()
        self._front: Balancer

    def get(self, wanted: object) -> Balancer:
        """Return the running balancer that is wanted: a kind, or a kind and a mode.

        Raises:
            UnknownKindError, NotInstalledError: the message lists the known kinds or modes, or says how to install the program.
            balancers.BalancerStartError: the balancer did not start.
        """
        kind, mode = _parsed(wanted)
        if (kind, mode) != self._wanted:
            self.stop()
            directory = self._directory_of(f"balancer-{kind}-{mode}")
            self._front = self._running.enter_context(_running_balancer(kind, mode, self._cluster, directory))
            self._wanted = kind, mode
        return self._front

    def stop(self) -> None:
        """Stop the balancer, if one runs."""
        self._wanted = None
        self._running.close()


def _parsed(wanted: object) -> tuple[str, str]:
    words = (wanted, balancers.MODES(wanted)[0]) if isinstance(wanted, str) else wanted
    if not (isinstance(words, tuple | list) and len(words) == 2 and all(isinstance(word, str) for word in words)):
        raise UnknownKindError(
            f"got {wanted!r}, allowed: a kind such as 'nginx', or a kind and a mode, ('nginx', 'stock')"
        )
    kind, mode = words
    balancers.probes(kind, mode)  # refuses an unknown kind or mode
    return kind, mode


@contextlib.contextmanager
def _running_balancer(kind: str, mode: str, cluster: MockCluster, directory: Path) -> Iterator[Balancer]:
    binary = balancers.find(kind)
    (port,) = ports.free("--mocknode-balancer", _HOST, ["HTTP front"])
    front = balancers.Front(host=_HOST, http_port=port)
    nodes = [balancers.Node(name=node.name, host=_HOST, port=urlsplit(node.url).port or 0) for node in cluster.nodes]
    files = balancers.render(kind, mode, front, nodes, directory, version=binary.version)
    running = cluster.call(
        balancers.start(
            binary, files, front, directory, nodes=nodes, mode=mode,
            health_probes_expected=balancers.probes(kind, mode),
        )
    )  # fmt: skip
    try:
        yield Balancer(running, mode, cluster)
    finally:
        cluster.call(running.stop())
