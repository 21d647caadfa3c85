"""`/api/serverstatus`: the server's status, the cluster's health, and whether this node is ready.

Health is the whole cluster's: a balancer that asks it of each node cannot see one draining node, and loses all of them when the
last one drains.
"""

import time
from typing import Final

from mocknode.mock.node.rest.call import MAINTENANCE, Call
from mocknode.mock.node.rest.documents.status import (
    BASE,
    HostedStatus,
    ServerHealth,
    ServerStatus,
    health_document,
    status_document,
)
from mocknode.mock.node.rest.routing import Operation


async def status(call: Call) -> None:
    """The server's status."""
    maintenance = await call.stored(call.context.directory.setting, MAINTENANCE) == "true"
    await call.answer(200, status_document(maintenance=maintenance, version=call.context.config.version))


async def health(call: Call) -> None:
    """Health of the whole cluster: 200, or 418 when it does not operate normally."""
    config = call.context.config
    maintenance = await call.stored(call.context.directory.setting, MAINTENANCE) == "true"
    rows = await call.stored(call.context.store.nodes)
    document = health_document(
        rows, maintenance=maintenance, now_s=time.time(), offline_after_s=config.web.offline_after_s
    )
    await call.answer(200 if document["IsOperatingNormally"] else 418, document)


async def hosted(call: Call) -> None:
    """Whether this node serves requests; a draining one does."""
    await call.answer(200, HostedStatus(IsReady=True))


operations: Final = [
    Operation(method="GET", path=BASE, handler=status, answer=ServerStatus),
    Operation(
        method="GET", path=f"{BASE}/health", handler=health, anonymous=True, answer=ServerHealth, statuses=(200, 418)
    ),
    Operation(method="GET", path=f"{BASE}/hosted/internal", handler=hosted, anonymous=True, answer=HostedStatus),
]
