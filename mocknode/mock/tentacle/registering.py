"""Registration of Tentacles over a node's REST API, as `Tentacle register-with` does it.

It asks for the server's thumbprint, then creates one machine for each Tentacle, or changes the machine that has its name.
Source: `RegisterMachineOperation.cs` of OctopusClients.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

SIDE_BY_SIDE: Final = 8
"""Requests at a time; more would only wait for the store."""
REPORT_EVERY: Final = 100
"""Registrations between two calls that report progress."""
_LIMIT_S: Final = 30.0


class RegistrationError(Exception):
    """The REST API did not register a Tentacle; the message holds its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A Tentacle to be registered.

    Attributes:
        uri: The queue that it polls, or the address where it listens.
    """

    name: str
    uri: str
    thumbprint: str

    def document(self) -> dict[str, Any]:
        """Return the machine as the API takes it."""
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
    """Register all Tentacles and return the server's thumbprint, which they pin.

    Args:
        api: Base URL of the REST API, such as `http://127.0.0.1:8081`.
        done: Called now and then, and at the end, with the number of registered Tentacles.

    Raises:
        RegistrationError: the API cannot be reached, or refuses.
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
                    if count % REPORT_EVERY == 0 and count < len(wanted):
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
