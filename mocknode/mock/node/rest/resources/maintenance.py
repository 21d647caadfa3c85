"""`/api/maintenanceconfiguration`: the cluster's maintenance mode, on all nodes at once and visible in no ping.

Administrators keep working; everybody else can read and change nothing. Source: the vendor's page on maintenance mode.
"""

from typing import Final

from typing_extensions import TypedDict

from mocknode.mock.data.directory import ADMINISTER
from mocknode.mock.node.rest.call import MAINTENANCE, Call
from mocknode.mock.node.rest.documents.status import MaintenanceConfiguration, maintenance_document
from mocknode.mock.node.rest.problems import invalid
from mocknode.mock.node.rest.routing import Operation

BASE: Final = "/api/maintenanceconfiguration"


class Wanted(TypedDict):
    """What it shall be."""

    IsInMaintenanceMode: bool


async def read(call: Call) -> None:
    """Whether the cluster is in maintenance mode."""
    await call.answer(
        200, maintenance_document(await call.stored(call.context.directory.setting, MAINTENANCE) == "true")
    )


async def change(call: Call) -> None:
    """Switch maintenance mode on or off."""
    document = await call.document()
    call.require(ADMINISTER)
    wanted = document.get("IsInMaintenanceMode")
    if not isinstance(wanted, bool):
        raise invalid(f"IsInMaintenanceMode: got {wanted!r}, allowed: true, false")
    await call.stored(call.context.directory.set_setting, MAINTENANCE, str(wanted).lower())
    await call.answer(200, maintenance_document(wanted))


operations: Final = [
    Operation(method="GET", path=BASE, handler=read, answer=MaintenanceConfiguration),
    Operation(
        method="PUT", path=BASE, handler=change, answer=MaintenanceConfiguration, errors=(400, 403, 413),
        body=("application/json", Wanted),
    ),
]  # fmt: skip
