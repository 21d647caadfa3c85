"""What the Tentacle port has of its node: journal, trust from the shared store, faults, and its place in the lifecycle."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mocknode.machines import Machines
from mocknode.node.config import ConfigError
from mocknode.node.faults.effects import Break, Delay, Effect, Hang
from mocknode.store import StoreError
from mocknode.tentacle.endings import Ending
from mocknode.tentacle.identity import Identity, IdentityError
from mocknode.tentacle.listener import PortConnection, TentaclePort
from mocknode.tentacle.serving import Limits

if TYPE_CHECKING:
    from mocknode.node.node import Node

RELOAD_S: Final = 5.0
"""How late a node learns that a Tentacle was unregistered through another node. Registrations are found at once."""


class Tentacles:
    """The Tentacle side of one node; also the `Site` of its port.

    Attributes:
        port: Queues and connections.
        machines: Who is registered.
        identity: The server's certificate.
    """

    def __init__(self, node: "Node", identity_file: Path, null_s: float) -> None:
        self._node = node
        try:
            self.identity = Identity.read(identity_file.read_bytes(), str(identity_file))
        except IdentityError as exc:
            raise ConfigError(f"config: tentacle_identity: {exc}", got=str(identity_file)) from exc
        self.machines = Machines(node.store)
        self.port = TentaclePort(self, self.identity, Limits(null_s=null_s))
        self._trusted: frozenset[str] = frozenset()
        self._reloading: asyncio.Task[frozenset[str]] | None = None

    # Site

    def next_connection(self) -> int:
        """Number of a new connection, from the same count as the HTTP ports'."""
        return self._node.next_connection()

    def note(self, kind: str, t_ns: int, **facts: Any) -> None:
        """Write a journal record."""
        self._node.journal.add(kind, t_ns, **facts)

    def trusts(self, thumbprint: str) -> bool | Awaitable[bool]:
        """Whether a certificate is registered; the store is asked about one that is not known yet."""
        return True if thumbprint in self._trusted else self._ask(thumbprint)

    async def _ask(self, thumbprint: str) -> bool:
        # Whoever asks while the store is being read asks once more, as the answer may be older than the question.
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
            if thumbprint in self._trusted:
                return True
        return thumbprint in await self.reload()

    async def reload(self) -> frozenset[str]:
        """Read who is trusted; those who are no more are cut off."""
        if self._reloading is None:
            self._reloading = asyncio.create_task(self._read())
            self._reloading.add_done_callback(self._reloaded)
        return await asyncio.shield(self._reloading)

    async def _read(self) -> frozenset[str]:
        loop = asyncio.get_running_loop()
        try:
            now = await loop.run_in_executor(self._node.store_thread, self.machines.thumbprints)
        except StoreError:
            return self._trusted  # A store that hiccups is no reason to cut off anybody.
        if self._trusted - now:
            self.port.distrust(now.__contains__)
        self._trusted = now
        return now

    def _reloaded(self, _: asyncio.Task[frozenset[str]]) -> None:
        self._reloading = None

    async def watch(self) -> None:
        """Follow the store for ever."""
        while True:
            await asyncio.sleep(RELOAD_S)
            await self.reload()

    # Faults

    def met(self, connection: PortConnection) -> None:
        """A connection is new: let the faults on `tentacle` act, in their order."""
        if self._node.silent:
            connection.fall_silent()
        elif plan := self._node.faults.plan_connection():
            self._node.spawn(self._interfere(connection, plan))

    async def _interfere(self, connection: PortConnection, plan: list[tuple[str, Effect]]) -> None:
        connection.hold()
        for fault, effect in plan:
            self._node.faults.note_connection(fault, connection.conn)
            match effect:
                case Delay():
                    await self._wait(connection, fault, effect.seconds)
                case Hang():
                    connection.release()
                    connection.fall_silent()
                    await self._wait(connection, fault, None)
                    connection.break_off("reset", Ending(cause="fault", detail=f"fault {fault}"))
                    return
                case Break():
                    connection.release()
                    connection.break_off(effect.how, Ending(cause="fault", detail=f"fault {fault}"))
                    return
        connection.release()

    async def _wait(self, connection: PortConnection, fault: str, seconds: float | None) -> None:
        with self._node.faults.hold(fault) as released:
            await asyncio.wait((released, connection.losing()), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    # Lifecycle

    def end_silence(self) -> None:
        """The node answers again; what was held is reset."""
        self.port.end_all(Ending(cause="eof"))

    def stop(self) -> None:
        """The process ends."""
        self.port.end_all(Ending(cause="node-stopped"))

    def status(self) -> dict[str, Any]:
        """Counters for the agent."""
        return self.port.summary()
