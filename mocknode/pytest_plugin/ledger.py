"""What the nodes received in one test, asked by file."""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mocknode.pytest_plugin.requests import Request, requests_of

_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_WAIT_S: Final = 5.0
"""Longest wait for records that a test says must come: a node writes its last line just after the client has its answer."""


class Ledger:
    """All nodes of the cluster, from the test's beginning.

    Args:
        seen: The journal records so far; given seconds, it waits so long for another one.
    """

    def __init__(self, seen: Callable[[float], list[dict[str, Any]]]) -> None:
        self._seen = seen

    def requests(self, *, at_least: int = 0) -> list[Request]:
        """Every request but plain pings, in order of arrival; waits up to five seconds until there are `at_least` so many."""
        return self._wait(lambda request: not _ping(request), at_least)

    def pings(self, *, at_least: int = 0) -> list[Request]:
        """The pings, a balancer's probes above all."""
        return self._wait(_ping, at_least)

    def deliveries(self, file: Path | bytes | str, *, at_least: int = 0) -> list[Request]:
        """The requests in which this file arrived whole at a node.

        Args:
            file: The file or its bytes; or its SHA-1 in hexadecimal, or the name of a package that was stored.
            at_least: Wait up to five seconds until there are so many.
        """
        if isinstance(file, str) and not _SHA1.fullmatch(file):
            return self._wait(lambda request: request.sha1 is not None and request.file_name == file, at_least)
        wanted = file if isinstance(file, str) else _digest(file)
        return self._wait(lambda request: request.sha1 == wanted, at_least)

    def _wait(self, wanted: Callable[[Request], bool], at_least: int) -> list[Request]:
        deadline = time.monotonic() + _WAIT_S
        found = [request for request in requests_of(self._seen(0.0)) if wanted(request)]
        while len(found) < at_least and (left := deadline - time.monotonic()) > 0:
            found = [request for request in requests_of(self._seen(left)) if wanted(request)]
        return found


def _digest(file: Path | bytes) -> str:
    data = file if isinstance(file, bytes) else file.read_bytes()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _ping(request: Request) -> bool:
    return request.target.partition("?")[0].lower().rstrip("/") == "/api/octopusservernodes/ping"
