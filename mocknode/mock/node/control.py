"""The control channel: JSON lines between a node and its agent, over a descriptor the node was started with.

The first line from the agent is the configuration. Requests carry an id and are answered by it; the node sends events of its
own. The end of the channel means that the controller is gone: the node ends at once, leaving nothing behind.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mocknode.mock.node.faults.spec import parse_fault
from mocknode.mock.node.lifecycle import parse_condition, step
from mocknode.mock.node.node import Node
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.task_runner import DRAINED
from mocknode.mock.node.triggers import parse_trigger

# A configuration with many faults stays far below; a peer that never ends its line is stopped.
LINE_BYTES_MAX: Final = 4 * 1024 * 1024
# How long the controller may take to bring another node into the state that a PUT asked for.
REPLY_TIMEOUT_S: Final = 10.0

Command = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any] | None]]


class ControlChannel:
    """The node's end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked = 0
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    async def open(cls, fd: int) -> "ControlChannel":
        """Return the channel on an inherited descriptor."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return cls(*await asyncio.open_connection(sock=sock, limit=LINE_BYTES_MAX))

    async def read(self) -> dict[str, Any] | None:
        """Return the next object, None at the end of the channel.

        Raises:
            RefusedError: a line that is no JSON object.
        """
        try:
            line = await self._reader.readline()
        except ConnectionError:  # an agent that ended with something of ours unread
            return None
        if not line:
            return None
        try:
            document = json.loads(line)
        except ValueError as exc:
            raise RefusedError(f"control line is not JSON: {line[:80]!r}", got=repr(line[:80])) from exc
        if not isinstance(document, dict):
            raise RefusedError(f"control line is not an object: {line[:80]!r}", got=repr(line[:80]))
        return document

    def send(self, document: Mapping[str, Any]) -> None:
        """Send one object; objects are too small and rare to wait for the peer."""
        self._writer.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")

    async def close(self) -> None:
        """Return when everything that was sent has left."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, event: str, **facts: Any) -> dict[str, Any]:
        """Send an event that the agent answers.

        Raises:
            TimeoutError: no answer within `REPLY_TIMEOUT_S`.
        """
        self._asked += 1
        id_ = self._asked
        reply = self._replies[id_] = asyncio.get_running_loop().create_future()
        self.send({"event": event, "id": id_, **facts})
        try:
            return await asyncio.wait_for(reply, REPLY_TIMEOUT_S)
        finally:
            del self._replies[id_]

    async def serve(self, node: Node) -> None:
        """Carry out the agent's commands, until it sends `stop`."""
        commands = Commands(node)
        while True:
            try:
                request = await self.read()
            except RefusedError as exc:
                self.send({"id": None, "ok": False, "error": exc.document()})
                continue
            if request is None:
                os._exit(0)
            if "reply" in request:
                reply = self._replies.get(request["reply"])
                if reply is not None and not reply.done():
                    reply.set_result(request)
                continue
            self.send({"id": request.get("id"), **await commands.run(request)})
            if request.get("do") == "stop":
                return


class Commands:
    """What an agent can tell a node to do."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._commands: dict[str, Command] = {
            "state": self._state,
            "fault-add": self._fault_add,
            "fault-remove": self._fault_remove,
            "fault-clear": self._fault_clear,
            "faults": self._faults,
            "reset": self._reset,
            "data-changed": self._data_changed,
            "status": self._status,
            "tentacles": self._tentacles,
            "tentacle-call": self._tentacle_call,
            "stop": self._stop,
        }

    async def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request, without its id."""
        try:
            name = request.get("do")
            command = self._commands.get(name) if isinstance(name, str) else None
            if command is None:
                names = list(self._commands)
                raise RefusedError(f"do: got {name!r}, allowed: {', '.join(names)}", got=name, allowed=names)
            return {"ok": True, "result": await command(request) or {}}
        except RefusedError as exc:
            return {"ok": False, "error": exc.document()}
        except OSError as exc:
            return {"ok": False, "error": {"detail": f"the node could not do that: {exc}", "got": None, "allowed": []}}

    async def _state(self, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = parse_condition(str(request.get("state")), request.get("how"))
        after = request.get("after")
        if after is None:
            await self._node.become(wanted, str(request.get("cause") or "command"))
            if request.get("cancel_tasks"):
                await self._node.tasks.abandon(DRAINED)
        else:
            step(self._node.services.condition, wanted)
            self._node.admission.schedule(wanted, parse_trigger(str(after)))
        return self._node.services.condition.document()

    async def _fault_add(self, request: Mapping[str, Any]) -> dict[str, Any]:
        document = request.get("fault")
        if not isinstance(document, Mapping) or not document.get("id"):
            raise RefusedError("fault: an object with an id is needed", got=document, allowed=["fault object"])
        spec = parse_fault(document)
        self._node.admission.add_fault(spec)
        return spec.document()

    async def _fault_remove(self, request: Mapping[str, Any]) -> None:
        id_ = str(request.get("fault_id"))
        if not self._node.faults.remove(id_):
            ids = self._node.faults.ids
            raise RefusedError(
                f"fault_id: got {id_!r}, allowed: {', '.join(ids) or 'no fault is set'}", got=id_, allowed=ids
            )

    async def _fault_clear(self, _request: Mapping[str, Any]) -> None:
        self._node.admission.clear_faults()

    async def _faults(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"faults": self._node.faults.documents()}

    async def _reset(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        await self._node.reset()
        return self._node.services.condition.document()

    async def _data_changed(self, request: Mapping[str, Any]) -> None:
        await self._node.data_changed(int(request["restores"]))

    async def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return self._node.status()

    async def _tentacles(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Read again who is registered, and return the open connections of each subscription."""
        tentacles = self._node.tentacles
        if tentacles is None:
            return {"polling": None}
        await tentacles.reload()
        return {"polling": tentacles.port.polling()}

    async def _tentacle_call(self, request: Mapping[str, Any]) -> None:
        """Begin a call, which may last for minutes; the event `tentacle-called` says how it went."""
        from mocknode.mock.node.tentacle_side import parse_call

        tentacles = self._node.tentacles
        if tentacles is None:
            raise RefusedError("this node has no Tentacle port; allowed: a node with --tentacle-port or tentacle=")
        wanted = parse_call(request)

        async def call() -> None:
            self._node.services.emit(
                {"event": "tentacle-called", "asked": request["asked"], "answer": await tentacles.call(wanted)}
            )

        self._node.services.spawn(call())

    async def _stop(self, _request: Mapping[str, Any]) -> None:
        return None
