"""The requests that the nodes received in one test, by file."""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mocknode.pytest_plugin.requests import Request, requests_of

_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_WAIT_S: Final = 5.0
"""Longest wait for the records that a test demands: a node writes its last line just after the client has its answer."""


class TooFewError(AssertionError):
    """Fewer requests arrived than a test waited for."""


class Ledger:
    """The requests at all nodes since the test began.

    Args:
        seen: Returns the journal records so far; with a number of seconds, it waits that long for another one.
    """

    def __init__(self, seen: Callable[[float], list[dict[str, Any]]]) -> None:
        self._seen = seen

    def requests(self, *, at_least: int = 0) -> list[Request]:
        """Return every request except pings, in order of arrival; wait up to five seconds for `at_least` of them."""
        return self._wait(lambda request: not _ping(request), at_least)

    def pings(self, *, at_least: int = 0) -> list[Request]:
        """Return the pings, which are mostly a balancer's probes."""
        return self._wait(_ping, at_least)

    def deliveries(self, file: Path | bytes | str, *, at_least: int = 0) -> list[Request]:
        """Return the requests in which this file arrived complete at a node.

        Args:
            file: The file, its bytes, its SHA-1 in hexadecimal, or the name of a stored package.
            at_least: Wait up to five seconds for this many.
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
        if len(found) < at_least:
            raise TooFewError(f"at_least: the nodes received {len(found)} of {at_least} within {_WAIT_S:g} s: {found}")
        return found


def _digest(file: Path | bytes) -> str:
    data = file if isinstance(file, bytes) else file.read_bytes()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _ping(request: Request) -> bool:
    return request.target.partition("?")[0].lower().rstrip("/") == "/api/octopusservernodes/ping"
