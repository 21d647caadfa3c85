"""The Tentacle side of a node: gives the port its journal, trust from the shared store, faults, and a place in the lifecycle."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from mocknode.mock.data.machine_store import LISTENING, Machines
from mocknode.mock.data.store import StoreError
from mocknode.mock.node.active_faults import ActiveFaults
from mocknode.mock.node.config import ConfigError
from mocknode.mock.node.faults.effects import Break, Delay, Hang, Plan
from mocknode.mock.node.faults.selection import Candidate
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.services import Services
from mocknode.mock.tentacle.calling import (
    COLLECT_LIMIT_S,
    Caller,
    DialledCaller,
    Numbers,
    QueueCaller,
    capabilities,
    dialled,
    health,
    script,
)
from mocknode.mock.tentacle.endings import Ending
from mocknode.mock.tentacle.identity import Identity, IdentityError
from mocknode.mock.tentacle.listener import PortConnection, TentaclePort
from mocknode.mock.tentacle.queues import CallFailedError
from mocknode.mock.tentacle.serving import Limits
from mocknode.mock.tentacle.tls import Credential, client_context

CALLS: Final = ("health", "capabilities", "script")
RELOAD_S: Final = 5.0
"""How late a node may learn that a Tentacle was unregistered through another node. Registrations take effect immediately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSpec:
    """A call that was asked for.

    Attributes:
        collect_s: How long a polling Tentacle may take to collect the request; None for the real server's default.
        body: The script, for the call `script`.
    """

    style: str
    uri: str
    thumbprint: str
    call: str
    body: str = ""
    collect_s: float | None = None

    async def run(self, caller: Caller) -> dict[str, Any]:
        """Carry out the call.

        Raises:
            CallFailedError: nobody answered.
        """
        match self.call:
            case "health":
                return await health(caller)
            case "capabilities":
                return {"capabilities": await capabilities(caller)}
            case _:
                return await script(caller, self.body)


def parse_call(request: Mapping[str, Any]) -> CallSpec:
    """Return the call that a command of the agent asks for.

    Raises:
        RefusedError: it is none.
    """
    if request.get("call") not in CALLS:
        got = request.get("call")
        raise RefusedError(f"call: got {got!r}, allowed: {', '.join(CALLS)}", got=got, allowed=CALLS)
    return CallSpec(**{item.name: request[item.name] for item in fields(CallSpec) if item.name in request})


class TentacleSide:
    """The Tentacle side of one node, and the `Site` of its port.

    Attributes:
        port: Queues and connections.
        machines: Registered Tentacles.
        identity: The server's certificate.
    """

    def __init__(self, services: Services, faults: ActiveFaults, identity_file: Path) -> None:
        self._services, self._faults = services, faults
        try:
            self.identity = Identity.read(identity_file.read_bytes(), str(identity_file))
        except IdentityError as exc:
            raise ConfigError(f"config: tentacle_identity: {exc}", got=str(identity_file)) from exc
        self.machines = Machines(services.store)
        self.port = TentaclePort(self, self.identity, Limits(null_s=services.config.null_message_s))
        self._numbers = Numbers()
        self._trusted: frozenset[str] = frozenset()
        self._reloading: asyncio.Task[frozenset[str]] | None = None

    def next_connection(self) -> int:
        """Return the number of a new connection; all ports count together."""
        return self._services.next_connection()

    def note(self, kind: str, t_ns: int, **facts: Any) -> None:
        """Write a journal record."""
        self._services.journal.add(kind, t_ns, **facts)

    def trusts(self, thumbprint: str) -> bool | Awaitable[bool]:
        """Return whether a certificate is registered; the store is asked about one that is not known yet."""
        return True if thumbprint in self._trusted else self._ask(thumbprint)

    async def _ask(self, thumbprint: str) -> bool:
        # A read that is under way may have begun before this certificate was registered, so read once more.
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
            if thumbprint in self._trusted:
                return True
        return thumbprint in await self.reload()

    async def reload(self) -> frozenset[str]:
        """Read who is trusted, and reset the connections of those who no longer are."""
        if self._reloading is None:
            self._reloading = asyncio.create_task(self._read())
            self._reloading.add_done_callback(self._reloaded)
        return await asyncio.shield(self._reloading)

    async def read_again(self) -> None:
        """Like `reload`, but never answer with a read that began before this call."""
        if self._reloading is not None:
            await asyncio.wait([self._reloading])
        await self.reload()

    async def _read(self) -> frozenset[str]:
        try:
            now = await self._services.stored(self.machines.thumbprints)
        except StoreError:
            return self._trusted  # A brief failure of the store is no reason to cut anybody off.
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

    def met(self, connection: PortConnection) -> None:
        """Let the faults on `tentacle` act on a new connection, in their order."""
        if self._services.silent:
            connection.fall_silent()
        elif plan := self._faults.plan(Candidate(ping=False, tentacle=True)):
            self._services.spawn(self._carry_out(connection, plan))

    async def _carry_out(self, connection: PortConnection, plan: Plan) -> None:
        connection.hold()
        for fault, effect in plan:
            if fault is not None:
                self._faults.note_hit(fault, conn=connection.conn)
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

    async def _wait(self, connection: PortConnection, fault: str | None, seconds: float | None) -> None:
        with self._faults.hold(fault) as released:
            await asyncio.wait((released, connection.losing()), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def call(self, wanted: CallSpec) -> dict[str, Any]:
        """Call a Tentacle, and return the result or the error that a real server has for it."""
        numbers, note = self._numbers, self._note_call
        try:
            if wanted.style == LISTENING:
                context, credential = client_context(), Credential.of(self.identity)

                def make() -> DialledCaller:
                    return DialledCaller(credential, context, wanted.uri, wanted.thumbprint, numbers, note)

                async with dialled(make, wanted.uri) as caller:
                    return {"ok": True, "result": await wanted.run(caller)}
            limit_s = COLLECT_LIMIT_S if wanted.collect_s is None else wanted.collect_s
            queued = QueueCaller(self.port.queues, wanted.uri, wanted.thumbprint, numbers, note, limit_s)
            return {"ok": True, "result": await wanted.run(queued)}
        except (CallFailedError, ValueError) as exc:
            explanation = exc.explanation if isinstance(exc, CallFailedError) else ""
            return {"ok": False, "error": {"detail": f"{exc}; {explanation}" if explanation else str(exc)}}

    def _note_call(self, kind: str, **facts: Any) -> None:
        self.note(kind, time.monotonic_ns(), **facts)

    def protocol(self) -> PortConnection:
        """Return the protocol of a new connection."""
        return self.port.protocol()

    def refuse(self) -> None:
        """Close what is idle; let calls under way finish."""
        self.port.refuse()

    def fall_silent(self) -> None:
        """Answer nothing any more."""
        self.port.fall_silent()

    def end_silence(self) -> None:
        """Reset what was held: the node answers again."""
        self.port.end_all(Ending(cause="eof"))

    async def stop(self, _grace_s: float) -> None:
        """Reset every connection: the process ends."""
        self.port.end_all(Ending(cause="node-stopped"))

    def status(self) -> dict[str, Any]:
        """Return counters for the agent."""
        return self.port.summary()
