import asyncio
import contextlib
import socket
from typing import Any

import pytest

from mocknode.mock.cluster.agent import Agent
from mocknode.mock.cluster.channel import Channel, ChannelClosedError, UnreachableNodeError


@pytest.mark.parametrize(
    "request_",
    [{"do": "send", "messages": [{"do": "reset"}], "wake": True}, {"do": "kill", "cause": "c"}, {"do": "freeze"}],
)
def test_a_node_that_is_dead_is_unreachable_and_no_mistake_of_who_asks(request_: dict[str, Any]) -> None:
    async def asked() -> None:
        ours, theirs = socket.socketpair()
        serving = asyncio.create_task(Agent().run(theirs))
        controller = await Channel.connect(ours, lambda *_: None)
        try:
            with pytest.raises(UnreachableNodeError, match="node-1 is not running"):
                await controller.request({"node": "node-1", **request_}, 5.0)
        finally:
            await controller.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(serving, 5.0)

    asyncio.run(asked())


def test_a_process_that_is_killed_amid_a_line_has_ended_and_no_more() -> None:
    async def asked() -> list[Any]:
        ours, theirs = socket.socketpair()
        heard: list[Any] = []
        channel = await Channel.connect(ours, lambda _, message: heard.append(message))
        asked = asyncio.create_task(channel.request({"do": "status"}, 5.0))
        theirs.sendall(b'{"event":"ready"}\n{"id":1,"ok":tr')
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelClosedError):
            await asked
        await channel.close()
        assert channel._reading.exception() is None
        theirs.close()
        return heard

    assert asyncio.run(asked()) == [{"event": "ready"}]
