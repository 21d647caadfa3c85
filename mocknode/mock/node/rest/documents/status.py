"""Documents of the server's status. Sources: swagger, generated reference and `message-contracts.ts` of the server."""

from collections.abc import Sequence
from typing import Final

from typing_extensions import TypedDict

from mocknode.mock.data.store import NodeRow
from mocknode.mock.node.heartbeat import is_offline

BASE: Final = "/api/serverstatus"


class ServerStatus(TypedDict):
    """The server's status; `IsInMaintenanceMode` is the cluster's switch here."""

    Id: str
    IsDatabaseEncrypted: bool
    IsUpgradeAvailable: bool
    IsInMaintenanceMode: bool
    IsMajorMinorUpgrade: bool
    IsPotentialClone: bool
    MaximumAvailableVersion: str | None
    MaximumAvailableVersionCoveredByLicense: str | None
    MaintenanceExpires: str | None
    Links: dict[str, str]


class ServerHealth(TypedDict):
    """Health of the whole cluster, whichever node answers."""

    Id: str
    Description: str
    IsOperatingNormally: bool
    IsEntireClusterReadOnly: bool
    IsEntireClusterDrainingTasks: bool
    IsCompliantWithLicense: bool
    Links: dict[str, str]


class HostedStatus(TypedDict):
    """What the readiness probe of the vendor's Kubernetes manifests reads; it looks at the status code alone."""

    IsReady: bool


class MaintenanceConfiguration(TypedDict):
    """The cluster's maintenance mode; no ping shows it (OctopusDeploy/Issues 7964)."""

    Id: str
    IsInMaintenanceMode: bool
    Links: dict[str, str]


def status_document(*, maintenance: bool, version: str) -> ServerStatus:
    """The status."""
    return {
        "Id": "serverstatus",
        "IsDatabaseEncrypted": True,
        "IsUpgradeAvailable": False,
        "IsInMaintenanceMode": maintenance,
        "IsMajorMinorUpgrade": False,
        "IsPotentialClone": False,
        "MaximumAvailableVersion": version,
        "MaximumAvailableVersionCoveredByLicense": version,
        "MaintenanceExpires": None,
        "Links": {"Self": BASE, "Health": f"{BASE}/health"},
    }


def health_document(
    rows: Sequence[NodeRow], *, maintenance: bool, now_s: float, offline_after_s: float
) -> ServerHealth:
    """The cluster's health from its node table.

    Args:
        maintenance: The cluster is in maintenance mode.
    """
    alive = [row for row in rows if not is_offline(row, now_s=now_s, after_s=offline_after_s)]
    draining = bool(alive) and all(row.draining for row in alive)
    if draining:
        description = "Every node of the cluster is draining its tasks."
    elif maintenance:
        description = "The cluster is in maintenance mode."
    else:
        description = "Octopus Server is operating normally."
    return {
        "Id": "serverstatus-health",
        "Description": description,
        "IsOperatingNormally": not draining and not maintenance,
        "IsEntireClusterReadOnly": maintenance,
        "IsEntireClusterDrainingTasks": draining,
        "IsCompliantWithLicense": True,
        "Links": {"Self": f"{BASE}/health", "Index": BASE},
    }


def maintenance_document(maintenance: bool) -> MaintenanceConfiguration:
    """The switch."""
    return {
        "Id": "maintenance",
        "IsInMaintenanceMode": maintenance,
        "Links": {"Self": "/api/maintenanceconfiguration"},
    }
