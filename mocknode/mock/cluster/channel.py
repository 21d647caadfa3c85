"""JSON lines between controller, agents and nodes: one object a line, requests with ids, answers, and events.

A request is `{"id": n, "do": verb, ...}`; its answer is `{"id": n, "ok": true, "result": ...}` or `{"id": n, "ok": false,
"error": {"detail", "got", "allowed"}}`. Every other line is a message for the owner of the channel. The same lines go
from controller to agent and from agent to node.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Callable
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError

Message = dict[str, Any]

LINE_LIMIT: Final = 1 << 20
"""Longest line; a node's configuration with a thousand faults is a quarter of it."""


class UnreachableNodeError(RefusedError):
    """A node's process did not answer, died during the command, or is dead."""


class ChannelClosedError(ConnectionError):
    """The other end of the channel is gone."""


class Channel:
    """One end of a connection; made by `connect`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_message: Callable[["Channel", Message], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_message = on_message
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._closed = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, sock: socket.socket, on_message: Callable[["Channel", Message], None]) -> "Channel":
        """Return a channel over a connected stream socket, which it owns from now on."""
        reader, writer = await asyncio.open_connection(sock=sock, limit=LINE_LIMIT)
        return cls(reader, writer, on_message)

    async def request(self, message: Message, limit_s: float) -> Any:
        """Send a request, wait for its answer and return it.

        Raises:
            RefusedError: the other end refused; the message is its own.
            ChannelClosedError: the other end is gone.
            TimeoutError: no answer within `limit_s`.
        """
        if self._closed:
            raise ChannelClosedError("the other end is gone")
        number = next(self._ids)
        answer = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            self.send({"id": number, **message})
            return await asyncio.wait_for(answer, limit_s)
        finally:
            del self._pending[number]

    def send(self, message: Message) -> None:
        """Send a line; it is lost when the other end is gone, which the reader notices."""
        if not self._closed:
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def closed(self) -> None:
        """Wait until the other end is gone."""
        await asyncio.wait([self._reading])

    async def close(self) -> None:
        """Close this end."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self.closed()

    async def _read(self) -> None:
        try:
            with contextlib.suppress(OSError):
                # A line without its end is the last one of a killed process.
                while (line := await self._reader.readline()).endswith(b"\n"):
                    self._dispatch(json.loads(line))
        finally:
            self._closed = True
            for answer in self._pending.values():
                if not answer.done():
                    answer.set_exception(ChannelClosedError("the other end is gone"))

    def _dispatch(self, message: Message) -> None:
        if "ok" not in message:
            self._on_message(self, message)
            return
        answer = self._pending.get(message["id"])
        # The caller may have given up on a node that was frozen meanwhile.
        if answer is None or answer.done():
            return
        if message["ok"]:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(refusal(message["error"]))


def refusal(error: Message) -> RefusedError:
    """Return the error of a refusal."""
    kind = UnreachableNodeError if error.get("unreachable") else RefusedError
    return kind(error["detail"], got=error.get("got"), allowed=error.get("allowed") or ())
