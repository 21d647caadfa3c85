"""Calls to Tentacles that a node carries out, until their answers arrive."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

Answer = dict[str, Any]


class PendingCalls:
    """Calls through nodes that have no answer yet."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._pending: dict[int, tuple[str, asyncio.Future[Answer]]] = {}

    @contextlib.contextmanager
    def begin(self, node: str) -> Iterator[tuple[int, asyncio.Future[Answer]]]:
        """Give a call through this node a number and a future for its answer; forget both when the block ends."""
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[number] = node, answer
        try:
            yield number, answer
        finally:
            del self._pending[number]

    def answered(self, message: Mapping[str, Any]) -> None:
        """Hand a node's answer to the caller, if it still waits."""
        _, answer = self._pending.get(message["asked"], (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message["answer"])

    def node_lost(self, node: str) -> None:
        """Fail every call through a node that has died."""
        for name, answer in self._pending.values():
            if name == node and not answer.done():
                answer.set_result({"ok": False, "error": {"detail": f"{node} died during the call"}})
