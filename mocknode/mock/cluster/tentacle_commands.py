"""The control API's commands for Tentacles: register one for all nodes, and call one through a node.

Registrations are rows of the shared store, as those over a node's REST API are. Every reachable node then reads the store.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from mocknode.mock.cluster.channel import ChannelClosedError
from mocknode.mock.cluster.controller import Controller
from mocknode.mock.cluster.lazy_view import LazyView
from mocknode.mock.data.machine_store import Machine, Machines, NameTakenError
from mocknode.mock.data.store import Store
from mocknode.mock.node.refusals import RefusedError
from mocknode.text.suggestions import did_you_mean

CALL_LIMIT_S: Final = 900.0
"""A script takes several calls, each with a limit of its own; this one only ends a call that a dead node left behind."""

SHOWN: Final = 10
"""Names of registered Tentacles that an error message lists; `tentacle list` shows all of them."""


class UnknownTentacleError(RefusedError):
    """No Tentacle with that name is registered."""


class CallFailedError(RefusedError):
    """A call to a Tentacle got no answer, or not the expected one."""


class TentacleCommands:
    """Registers, lists, calls and unregisters Tentacles."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._machines = LazyView(lambda: Machines(Store(controller.shared.store)))

    async def all(self) -> list[dict[str, Any]]:
        """Return every registered Tentacle with its open connections at each node; None where a node does not answer."""
        machines = await self._machines.use(lambda view: view.all())
        names = self._controller.names
        connections = dict(zip(names, await asyncio.gather(*(self._connections(name) for name in names)), strict=True))
        return [_document(machine, connections) for machine in machines]

    async def register(self, name: str, thumbprint: str, uri: str) -> dict[str, Any]:
        """Have every node trust a Tentacle; return it as it is now stored.

        Raises:
            RefusedError: the name is taken, or the thumbprint or the address is not valid.
        """
        # A cluster without Tentacle ports starts sooner without these imports.
        from mocknode.mock.tentacle.addresses import style_of
        from mocknode.mock.tentacle.identity import IdentityError, parse_thumbprint

        try:
            machine = Machine(name=name, style=style_of(uri), uri=uri, thumbprint=parse_thumbprint(thumbprint))
            machine = await self._machines.use(lambda view: view.add(machine))
        except (IdentityError, ValueError) as exc:
            raise RefusedError(str(exc), got=thumbprint if isinstance(exc, IdentityError) else uri) from exc
        except NameTakenError as exc:
            raise RefusedError(
                f"name: got {name!r}, which is registered; allowed: a name that is not", got=name
            ) from exc
        await self._read_registrations()
        return _document(machine, {})

    async def unregister(self, name: str) -> None:
        """Have no node trust a Tentacle any more; its connections are reset.

        Raises:
            UnknownTentacleError: nothing was changed.
        """
        machine = await self._named(name)
        await self._machines.use(lambda view: view.remove(machine.number))
        await self._read_registrations()

    async def call(self, node: str, name: str, call: str, body: str, collect_s: float | None) -> dict[str, Any]:
        """Call a Tentacle through a node and return its answer.

        Raises:
            UnknownNodeError, UnknownTentacleError, RefusedError: no call was made.
            CallFailedError: no answer came.
        """
        self._controller.member(node)
        machine = await self._named(name)
        line = {
            "do": "tentacle-call",
            "style": machine.style,
            "uri": machine.uri,
            "thumbprint": machine.thumbprint,
            "call": call,
            "body": body,
            "collect_s": collect_s,
        }
        with self._controller.tentacle_calls.begin(node) as (number, future):
            await self._controller.send(node, {**line, "asked": number})
            answer = await asyncio.wait_for(future, CALL_LIMIT_S)
        if not answer["ok"]:
            raise CallFailedError(answer["error"]["detail"])
        return dict(answer["result"])

    async def _named(self, name: str) -> Machine:
        machine = await self._machines.use(lambda view: view.named(name))
        if machine is None:
            names = sorted(item.name for item in await self._machines.use(lambda view: view.all()))
            shown = ", ".join(names[:SHOWN]) or "none is registered"
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            hint = did_you_mean(name, names)
            raise UnknownTentacleError(
                f"Tentacle: got {name!r}, allowed: {shown}{more}{hint}", got=name, allowed=names[:SHOWN]
            )
        return machine

    async def _read_registrations(self) -> None:
        await asyncio.gather(*(self._connections(name) for name in self._controller.names))

    async def _connections(self, node: str) -> dict[str, int] | None:
        with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
            answer = await self._controller.send(node, {"do": "tentacles"})
            connections: dict[str, int] | None = answer["polling"]
            return connections
        return None


def _document(machine: Machine, connections: Mapping[str, Mapping[str, int] | None]) -> dict[str, Any]:
    return {
        "name": machine.name,
        "thumbprint": machine.thumbprint,
        "uri": machine.uri,
        "style": machine.style,
        "nodes": {node: None if found is None else found.get(machine.uri, 0) for node, found in connections.items()},
    }
