"""Registers Tentacles over a node's REST API, as `Tentacle register-with` does: the server's thumbprint, then a machine each.

A machine of that name that exists is changed, not doubled. Source: `RegisterMachineOperation.cs` of OctopusClients.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

SIDE_BY_SIDE: Final = 8
"""Requests at a time: more would only wait for the store."""
TOLD_EVERY: Final = 100
"""Registrations between two reports of how far it is."""
_LIMIT_S: Final = 30.0


class RegistrationError(Exception):
    """The REST API did not register them; the message says what it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A Tentacle to be registered.

    Attributes:
        uri: Its queue, or where it listens.
    """

    name: str
    uri: str
    thumbprint: str

    def document(self) -> dict[str, Any]:
        """The machine that the API is sent."""
        style = "TentacleActive" if self.uri.startswith("poll:") else "TentaclePassive"
        return {
            "Name": self.name,
            "MachinePolicyId": "MachinePolicies-1",
            "EnvironmentIds": ["Environments-1"],
            "Roles": ["mocknode"],
            "Endpoint": {"CommunicationStyle": style, "Uri": self.uri, "Thumbprint": self.thumbprint},
        }


async def register(
    api: str, key: str, wanted: Sequence[Registration], done: Callable[[int], None] = lambda _: None
) -> str:
    """Register them all; the thumbprint of the server, which Tentacles pin.

    Args:
        api: Base URL of the REST API, such as `http://127.0.0.1:8081`.
        done: Told how many are registered, now and then and at the end.

    Raises:
        RegistrationError: the API is not reached, or says no.
    """
    limits = httpx.Limits(max_connections=SIDE_BY_SIDE)
    headers = {"X-Octopus-ApiKey": key}
    async with httpx.AsyncClient(
        base_url=api, headers=headers, timeout=_LIMIT_S, limits=limits, trust_env=False
    ) as http:
        try:
            certificate = _json(await http.get("/api/configuration/certificates/certificate-global"))
            there = {
                machine["Name"].lower(): machine for machine in _json(await http.get("/api/Spaces-1/machines/all"))
            }
            left = iter(wanted)
            count = 0

            async def work() -> None:
                nonlocal count
                for item in left:
                    await _one(http, item, there.get(item.name.lower()))
                    count += 1
                    if count % TOLD_EVERY == 0 and count < len(wanted):
                        done(count)

            await asyncio.gather(*(work() for _ in range(SIDE_BY_SIDE)))
        except httpx.HTTPError as exc:
            raise RegistrationError(f"{api} does not answer ({str(exc) or type(exc).__name__})") from exc
    done(len(wanted))
    return str(certificate["Thumbprint"])


async def _one(http: httpx.AsyncClient, item: Registration, there: dict[str, Any] | None) -> None:
    if there is None:
        _json(await http.post("/api/Spaces-1/machines", json=item.document()))
    elif (there["Endpoint"]["Uri"], there["Endpoint"]["Thumbprint"]) != (item.uri, item.thumbprint):
        _json(await http.put(f"/api/Spaces-1/machines/{there['Id']}", json=item.document()))


def _json(response: httpx.Response) -> Any:
    if not response.is_success:
        raise RegistrationError(
            f"{response.request.method} {response.url} answered {response.status_code}: {response.text[:200]}"
        )
    return response.json()
