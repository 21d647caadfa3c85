"""What a connection leaves in memory when it is gone: nothing, however it ended."""

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from mocknode.mock.node.http.messages import KnownHeads
from mocknode.mock.node.http.protocol import NodeProtocol
from mocknode.mock.node.web_server import KESTREL


async def _app(_scope: Any, _receive: Any, _send: Any) -> None: ...


@pytest.mark.parametrize("how", [None, ConnectionResetError()])
def test_nothing_holds_a_connection_that_has_ended_while_it_was_idle(how: Exception | None) -> None:
    site: Any = SimpleNamespace(next_connection=lambda: 1, note=Mock(), silent=False)
    shared: Any = SimpleNamespace(site=site, config=SimpleNamespace(limits=KESTREL), heads=KnownHeads(KESTREL))

    async def once() -> None:
        config = Config(_app, lifespan="off", interface="asgi3")
        config.load()
        protocol = NodeProtocol(config, ServerState(), shared)
        protocol.connection_made(Mock(**{"get_extra_info.return_value": None, "is_closing.return_value": False}))
        protocol.on_response_complete()  # From here on it is idle, and its time runs.
        protocol.connection_lost(how)
        found = weakref.ref(protocol)
        del protocol
        gc.collect()
        assert found() is None

    asyncio.run(once())
