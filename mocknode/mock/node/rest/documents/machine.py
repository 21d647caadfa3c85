"""Documents of machines and of the server's certificate. Sources: MachineResource, CertificateConfigurationResource and
`RegisterMachineOperation.cs` of OctopusClients."""

from typing import Any, Final

from typing_extensions import TypedDict

from mocknode.mock.data.machine_store import Machine

CERTIFICATES: Final = "/api/configuration/certificates"
GLOBAL: Final = "certificate-global"
PREFIX: Final = "Machines-"
# What a client sends and expects back beside what the server sets.
KEPT: Final = (
    "MachinePolicyId", "EnvironmentIds", "Roles", "TenantIds", "TenantTags", "TenantedDeploymentParticipation", "IsDisabled",
)  # fmt: skip
DEFAULTS: Final[dict[str, Any]] = {
    "MachinePolicyId": "MachinePolicies-1",
    "EnvironmentIds": [],
    "Roles": [],
    "TenantIds": [],
    "TenantTags": [],
    "TenantedDeploymentParticipation": "Untenanted",
    "IsDisabled": False,
}


class EndpointDocument(TypedDict):
    """How a machine is reached."""

    CommunicationStyle: str
    Uri: str
    Thumbprint: str
    ProxyId: str | None


class MachineDocument(TypedDict):
    """A registered Tentacle."""

    Id: str
    SpaceId: str
    Name: str
    Uri: str
    Thumbprint: str
    MachinePolicyId: str
    EnvironmentIds: list[str]
    Roles: list[str]
    TenantIds: list[str]
    TenantTags: list[str]
    TenantedDeploymentParticipation: str
    IsDisabled: bool
    Status: str
    HealthStatus: str
    Endpoint: EndpointDocument
    Links: dict[str, str]


class CertificateDocument(TypedDict):
    """The certificate by which Tentacles know the server."""

    Id: str
    Name: str
    Thumbprint: str
    SignatureAlgorithm: str
    Links: dict[str, str]


def machine_document(machine: Machine) -> MachineDocument:
    """One machine; nobody looks after its health here."""
    base = f"/api/{machine.space}/machines/{machine.id}"
    kept: dict[str, Any] = {**DEFAULTS, **{key: machine.document[key] for key in KEPT if key in machine.document}}
    return {
        "Id": machine.id,
        "SpaceId": machine.space,
        "Name": machine.name,
        "Uri": machine.uri,
        "Thumbprint": machine.thumbprint,
        "MachinePolicyId": kept["MachinePolicyId"],
        "EnvironmentIds": kept["EnvironmentIds"],
        "Roles": kept["Roles"],
        "TenantIds": kept["TenantIds"],
        "TenantTags": kept["TenantTags"],
        "TenantedDeploymentParticipation": kept["TenantedDeploymentParticipation"],
        "IsDisabled": kept["IsDisabled"],
        "Status": "Unknown",
        "HealthStatus": "Unknown",
        "Endpoint": {
            "CommunicationStyle": machine.style,
            "Uri": machine.uri,
            "Thumbprint": machine.thumbprint,
            "ProxyId": None,
        },
        "Links": {"Self": base},
    }


def certificate_document(thumbprint: str) -> CertificateDocument:
    """The server's certificate."""
    return {
        "Id": GLOBAL,
        "Name": "Octopus Server",
        "Thumbprint": thumbprint,
        "SignatureAlgorithm": "sha256RSA",
        "Links": {"Self": f"{CERTIFICATES}/{GLOBAL}"},
    }
