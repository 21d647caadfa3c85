"""Tentacles as the control API has them: registered for all nodes at once, and called through one of them.

Registrations go into the shared store, as those over a node's REST API do; every node that hears is told to look.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mocknode.mock.cluster.channel import ChannelClosedError
from mocknode.mock.node.refusals import RefusedError
from mocknode.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from mocknode.mock.cluster.controller import Controller
    from mocknode.mock.data.machines import Machine, Machines

CALL_LIMIT_S: Final = 900.0
"""A script in several calls; each call has limits of its own, so that this only ends what a dead node left."""

SHOWN: Final = 10
"""Names of registered Tentacles that an error repeats; `tentacle list` has them all."""


class UnknownTentacleError(RefusedError):
    """No Tentacle of that name is registered."""


class CallFailedError(RefusedError):
    """A Tentacle was called, and nobody answered, or not that."""


class Tentacles:
    """The cluster's Tentacles.

    Args:
        controller: Reaches the nodes.
    """

    def __init__(self, controller: "Controller") -> None:
        self._controller = controller
        self._machines: Machines | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[str, asyncio.Future[dict[str, Any]]]] = {}

    async def list(self) -> "list[dict[str, Any]]":
        """Every registered Tentacle, with its open connections at each node; None where that is not known."""
        machines = await asyncio.to_thread(lambda: self._store().all())
        names = self._controller.names
        polling = dict(zip(names, await asyncio.gather(*(self._polling(name) for name in names)), strict=True))
        return [_document(machine, polling) for machine in machines]

    async def register(self, name: str, thumbprint: str, uri: str) -> dict[str, Any]:
        """Have every node trust a Tentacle.

        Raises:
            RefusedError: a name that is taken, a thumbprint or an address that is none.
        """
        from mocknode.mock.data.machines import Machine, NameTakenError
        from mocknode.mock.tentacle.addresses import style_of
        from mocknode.mock.tentacle.identity import IdentityError, parse_thumbprint

        try:
            machine = Machine(name=name, style=style_of(uri), uri=uri, thumbprint=parse_thumbprint(thumbprint))
            machine = await asyncio.to_thread(lambda: self._store().add(machine))
        except (IdentityError, ValueError) as exc:
            raise RefusedError(str(exc), got=thumbprint if isinstance(exc, IdentityError) else uri) from exc
        except NameTakenError as exc:
            raise RefusedError(
                f"name: got {name!r}, which is registered; allowed: a name that is not", got=name
            ) from exc
        await self._look()
        return _document(machine, {})

    async def unregister(self, name: str) -> None:
        """Have no node trust it any more; its connections are reset.

        Raises:
            UnknownTentacleError: nothing was changed.
        """
        machine = await self._named(name)
        await asyncio.to_thread(lambda: self._store().remove(machine.number))
        await self._look()

    async def call(self, node: str, name: str, call: str, body: str, collect_s: float | None) -> dict[str, Any]:
        """Call a Tentacle through a node: what it answered.

        Raises:
            UnknownNodeError, UnknownTentacleError, RefusedError: nobody was called.
            CallFailedError: nobody answered.
        """
        self._controller.member(node)
        machine = await self._named(name)
        asked = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[asked] = node, future
        line = {
            "style": machine.style,
            "uri": machine.uri,
            "thumbprint": machine.thumbprint,
            "call": call,
            "body": body,
        }
        try:
            await self._controller.tell(node, {"do": "tentacle-call", "asked": asked, **line, "collect_s": collect_s})
            answer = await asyncio.wait_for(future, CALL_LIMIT_S)
        finally:
            del self._asked[asked]
        if not answer["ok"]:
            raise CallFailedError(answer["error"]["detail"])
        return dict(answer["result"])

    def called(self, message: Mapping[str, Any]) -> None:
        """A node says how a call went."""
        _, future = self._asked.get(message["asked"], (None, None))
        if future is not None and not future.done():
            future.set_result(message["answer"])

    def lost(self, node: str) -> None:
        """A node is gone, and the calls through it."""
        for name, future in self._asked.values():
            if name == node and not future.done():
                future.set_result({"ok": False, "error": {"detail": f"{node} died while it called"}})

    async def _named(self, name: str) -> "Machine":
        machine = await asyncio.to_thread(lambda: self._store().named(name))
        if machine is None:
            names = sorted(item.name for item in await asyncio.to_thread(lambda: self._store().all()))
            shown = ", ".join(names[:SHOWN]) or "none is registered"
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            hint = did_you_mean(name, names)
            raise UnknownTentacleError(
                f"Tentacle: got {name!r}, allowed: {shown}{more}{hint}", got=name, allowed=names[:SHOWN]
            )
        return machine

    def _store(self) -> "Machines":
        if self._machines is None:
            from mocknode.mock.data.machines import Machines
            from mocknode.mock.data.store import Store

            self._machines = Machines(Store(self._controller.shared.store))
        return self._machines

    async def _look(self) -> None:
        await asyncio.gather(*(self._polling(name) for name in self._controller.names))

    async def _polling(self, node: str) -> dict[str, int] | None:
        with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
            answer = await self._controller.tell(node, {"do": "tentacles"})
            polling: dict[str, int] | None = answer["polling"]
            return polling
        return None


def _document(machine: "Machine", polling: Mapping[str, Mapping[str, int] | None]) -> dict[str, Any]:
    return {
        "name": machine.name,
        "thumbprint": machine.thumbprint,
        "uri": machine.uri,
        "style": machine.style,
        "nodes": {node: None if found is None else found.get(machine.uri, 0) for node, found in polling.items()},
    }
