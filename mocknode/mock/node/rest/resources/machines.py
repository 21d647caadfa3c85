"""`/api/{space}/machines` and `/api/configuration/certificates`: how Tentacles are registered, and whom they then trust.

Source: `RegisterMachineOperation.cs` and `CertificateConfigurationRepository.cs` of OctopusClients. What is registered here is
in the shared store: every node trusts its thumbprint from then on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from mocknode.mock.data.directory import ADMINISTER
from mocknode.mock.data.machine_store import Machine, Machines, NameTakenError
from mocknode.mock.node.rest.call import Call, text_of
from mocknode.mock.node.rest.documents.collections import Collection, paged
from mocknode.mock.node.rest.documents.machine import (
    CERTIFICATES,
    DEFAULTS,
    GLOBAL,
    KEPT,
    PREFIX,
    CertificateDocument,
    EndpointDocument,
    MachineDocument,
    certificate_document,
    machine_document,
)
from mocknode.mock.node.rest.problems import ProblemError, invalid, not_found
from mocknode.mock.node.rest.routing import IDS, PAGING, PARTIAL_NAME, Operation, Query

STYLES: Final = ("TentacleActive", "TentaclePassive")
# Fewer than a 64-bit column holds.
_DIGITS_MAX: Final = 18


class MachineChange(TypedDict):
    """A machine as clients send it."""

    Name: str
    Endpoint: EndpointDocument
    MachinePolicyId: NotRequired[str]
    EnvironmentIds: NotRequired[list[str]]
    Roles: NotRequired[list[str]]
    TenantIds: NotRequired[list[str]]
    TenantTags: NotRequired[list[str]]
    TenantedDeploymentParticipation: NotRequired[str]
    IsDisabled: NotRequired[bool]


async def certificates(call: Call) -> None:
    """The server's certificate, as a page of one; of none at a node without a Tentacle port."""
    found = [] if call.context.tentacles is None else [_thumbprint(call)]
    await call.answer(200, paged(call, "CertificateConfiguration", found, certificate_document))


async def certificate(call: Call) -> None:
    """The certificate by which Tentacles know the server."""
    if call.params["id"].lower() != GLOBAL:
        raise not_found(call.params["id"])
    await call.answer(200, certificate_document(_thumbprint(call)))


def _thumbprint(call: Call) -> str:
    tentacles = call.context.tentacles
    if tentacles is None:
        raise ProblemError(404, "this node has no Tentacle port, and so no certificate for it")
    return tentacles.identity.thumbprint


async def list_machines(call: Call) -> None:
    """A page of machines."""
    machines: Sequence[Machine] = await call.stored(_machines(call).all, call.space)
    if ids := call.listed("ids"):
        machines = [machine for machine in machines if machine.id in ids]
    if name := call.query("name"):
        machines = [machine for machine in machines if machine.name.lower() == name.lower()]
    if part := call.query("partialName"):
        machines = [machine for machine in machines if part.lower() in machine.name.lower()]
    if thumbprint := call.query("thumbprint"):
        machines = [machine for machine in machines if machine.thumbprint == thumbprint.upper()]
    await call.answer(200, paged(call, "Machine", machines, machine_document))


async def all_machines(call: Call) -> None:
    """Every machine of the space, as a bare array."""
    machines = await call.stored(_machines(call).all, call.space)
    await call.answer(200, [machine_document(machine) for machine in machines])


async def one_machine(call: Call) -> None:
    """One machine."""
    await call.answer(200, machine_document(await _find(call)))


async def add_machine(call: Call) -> None:
    """Register a Tentacle: its thumbprint is trusted by every node."""
    document = await call.document()
    call.require(ADMINISTER)
    machine = _parsed(document, call.space)
    await call.answer(201, machine_document(await _stored(call, machine, _machines(call).add)))


async def change_machine(call: Call) -> None:
    """Change a machine, as a Tentacle does that registers anew."""
    document = await call.document()
    call.require(ADMINISTER)
    number = (await _find(call)).number
    machine = replace(_parsed(document, call.space), number=number)
    await _stored(call, machine, _machines(call).change)
    await call.answer(200, machine_document(machine))


async def delete_machine(call: Call) -> None:
    """Forget a machine: its thumbprint is trusted no more, and its connections are reset."""
    await call.no_body()
    call.require(ADMINISTER)
    await call.stored(_machines(call).remove, (await _find(call)).number)
    if call.context.tentacles is not None:
        await call.context.tentacles.reload()
    await call.answer(200, {})


async def _stored(call: Call, machine: Machine, action: Any) -> Any:
    try:
        return await call.stored(action, machine)
    except NameTakenError as exc:
        raise invalid(f"There is already a machine with the name {machine.name!r}; allowed: a name of its own") from exc


def _machines(call: Call) -> Machines:
    tentacles = call.context.tentacles
    return Machines(call.context.store) if tentacles is None else tentacles.machines


async def _find(call: Call) -> Machine:
    id_ = call.params["machineId"]
    number = id_.lower().removeprefix(PREFIX.lower())
    written = number.isascii() and number.isdecimal() and len(number) <= _DIGITS_MAX
    machine = await call.stored(_machines(call).numbered, int(number), call.space) if written else None
    if machine is None:
        raise not_found(id_)
    return machine


def _parsed(document: Mapping[str, Any], space: str) -> Machine:
    """The machine that a document describes.

    Raises:
        ProblemError: 400, naming what was got and what is allowed.
    """
    # A node without a Tentacle port starts sooner without these imports.
    from mocknode.mock.tentacle.addresses import style_of
    from mocknode.mock.tentacle.identity import IdentityError, parse_thumbprint

    name = text_of(dict(document), "Name").strip()
    if not 0 < len(name) <= 200:
        raise invalid(f"Name: got {name[:80]!r}, allowed: 1 to 200 characters")
    endpoint = document.get("Endpoint")
    if not isinstance(endpoint, dict):
        raise invalid(f"Endpoint: got {endpoint!r}, allowed: an object")
    style, uri = text_of(endpoint, "CommunicationStyle"), text_of(endpoint, "Uri")
    try:
        if style not in STYLES or style_of(uri) != style:
            raise invalid(
                f"Endpoint: got {style!r} at {uri!r}, allowed: TentacleActive at poll://NAME/, TentaclePassive at https://HOST:PORT/"
            )
        thumbprint = parse_thumbprint(text_of(endpoint, "Thumbprint"))
    except (IdentityError, ValueError) as exc:
        raise invalid(f"Endpoint: {exc}") from exc
    kept = {key: document[key] for key in KEPT if key in document}
    for key, value in kept.items():
        if not isinstance(value, type(DEFAULTS[key])):
            raise invalid(
                f"{key}: got {value!r}, allowed: {'a list' if isinstance(DEFAULTS[key], list) else 'as documented'}"
            )
    return Machine(space=space, name=name, style=style_of(uri), uri=uri, thumbprint=thumbprint, document=kept)


_NAME: Final = Query(name="name", description="Only the one of this name.")
_THUMBPRINT: Final = Query(name="thumbprint", description="Only those with this thumbprint.")
_BODY: Final = ("application/json", MachineChange)

operations: Final = [
    Operation(
        method="GET", path=CERTIFICATES, handler=certificates, answer=Collection[CertificateDocument], query=PAGING,
        errors=(400,),
    ),
    Operation(method="GET", path=f"{CERTIFICATES}/{{id}}", handler=certificate, answer=CertificateDocument),
    Operation(
        method="GET", path="/machines", handler=list_machines, scoped=True, answer=Collection[MachineDocument],
        query=(*PAGING, IDS, PARTIAL_NAME, _NAME, _THUMBPRINT), errors=(400,),
    ),
    Operation(
        method="POST", path="/machines", handler=add_machine, scoped=True, answer=MachineDocument, statuses=(201,), body=_BODY,
        errors=(400, 403, 413),
    ),
    Operation(method="GET", path="/machines/all", handler=all_machines, scoped=True, answer=list[MachineDocument]),
    Operation(method="GET", path="/machines/{machineId}", handler=one_machine, scoped=True, answer=MachineDocument),
    Operation(
        method="PUT", path="/machines/{machineId}", handler=change_machine, scoped=True, answer=MachineDocument, body=_BODY,
        errors=(400, 403, 413),
    ),
    Operation(
        method="DELETE", path="/machines/{machineId}", handler=delete_machine, scoped=True, answer=dict[str, str],
        errors=(403, 413),
    ),
]  # fmt: skip
