"""A Tentacle port on a real socket in this process, and what it wrote into its journal."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from mocknode.mock.tentacle.identity import SERVER_NAME, Identity
from mocknode.mock.tentacle.listener import PortConnection, TentaclePort
from mocknode.mock.tentacle.polling_tentacle import PollingTentacle
from mocknode.mock.tentacle.serving import Limits

WAIT_S = 10.0
SUBSCRIPTION = "poll://abc/"


@functools.cache
def server_identity() -> Identity:
    return Identity.generate(SERVER_NAME)


@functools.cache
def tentacle_identity(number: int = 1) -> Identity:
    return Identity.generate()


class Stage:
    """The port with a `Site` that trusts `tentacle_identity()` only."""

    def __init__(self, **limits: float) -> None:
        self.records: list[dict[str, Any]] = []
        self.trusted = {tentacle_identity().thumbprint}
        self.slow_trust = False
        self._more = asyncio.Event()
        self._connections = 0
        self.port = TentaclePort(self, server_identity(), Limits(**limits))
        self._server: asyncio.Server | None = None
        self.number = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self.port.protocol, "127.0.0.1", 0)
        self.number = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.port.connections):
            connection._transport.abort()
        await asyncio.sleep(0)

    def next_connection(self) -> int:
        self._connections += 1
        return self._connections

    def note(self, kind: str, t_ns: int, **facts: Any) -> None:
        self.records.append({"kind": kind, **facts})
        self._more.set()

    def trusts(self, thumbprint: str) -> bool | Awaitable[bool]:
        if not self.slow_trust:
            return thumbprint in self.trusted

        async def later() -> bool:
            await asyncio.sleep(0.02)
            return thumbprint in self.trusted

        return later()

    def met(self, connection: PortConnection) -> None:
        return

    async def record(self, phase: str, found: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first record of a phase, or of a kind, as soon as it is there."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for record in self.records:
                    if phase in (record.get("phase"), record["kind"]) and found(record):
                        return record
                self._more.clear()
                await self._more.wait()

    def tentacle(self, **options: Any) -> PollingTentacle:
        identity = options.pop("identity", tentacle_identity())
        options = {"pinned": server_identity().thumbprint, **options}
        return PollingTentacle(identity, SUBSCRIPTION, "127.0.0.1", self.number, **options)

    async def raw(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(data)
        return reader, writer
