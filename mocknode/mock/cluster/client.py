"""The control API's client.

Proxies of the environment are ignored: a control API is never behind one, and its traffic is no test traffic.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import httpx

from mocknode.text import json_text

CONTROL_API: Final = 1
"""Version of the control API that this client speaks."""
CALL_FAILED: Final = 502
"""Status of a call to a Tentacle that nobody answered."""
_LIMIT_S: Final = 40.0
"""Longer than the slowest operation, which starts a dead node again."""
_CALL_LIMIT_S: Final = 900.0
"""A script at a Tentacle may take minutes; the node has limits for each of its calls."""
_CONNECT_S: Final = 5.0
IDLE_S: Final = 5.0
"""How long a connection may be idle and is used again; far less than the server keeps it, or a request meets its end."""
LEASE_HEADER: Final = "x-mocknode-lease"
"""As `mocknode.mock.cluster.lease` has it; imported from there it would bring the controller along."""
_RENEWALS: Final = 5
"""Renewals in the time after which a lease runs out: some may come late."""


class ControlError(Exception):
    """The control API said no.

    Attributes:
        status: HTTP status; 0 when what answered is no control API of ours.
        detail: Its words.
        got, allowed: Of the problem document, where it names them.
    """

    def __init__(self, status: int, detail: str, *, got: Any = None, allowed: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.got = got
        self.allowed = tuple(allowed)


class ControlUnreachableError(Exception):
    """Nothing answers at the control URL; the message names it and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPage:
    """A page of the journal; see `ControlClient.journal`."""

    records: list[dict[str, Any]]
    cursor: str
    monotonic_ns: int
    more: bool


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ControlUnreachableError(f"{url!r} is no address of a control API; it is written http://HOST:PORT")


class ControlClient:
    """Talks to the control API of one cluster; an async context manager.

    Every method raises `ControlError` when the API says no, and `ControlUnreachableError` when nothing answers.

    Args:
        url: `http://HOST:PORT` or `https://HOST:PORT`.
        token: Bearer token, where the cluster demands one.
        ca: PEM file of the authority to trust; None trusts the system's.
    """

    def __init__(self, url: str, token: str | None = None, ca: str | None = None) -> None:
        self.url = url.rstrip("/")
        _require_url(self.url)
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else self.url.startswith("https")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(_LIMIT_S, connect=_CONNECT_S),
            limits=httpx.Limits(keepalive_expiry=IDLE_S),
            trust_env=False,
            verify=verify,
        )

    async def __aenter__(self) -> Self:
        """Use it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def healthz(self) -> dict[str, Any]:
        """Who answers here; refuses what is no control API of this version."""
        document = await self._json("GET", "/healthz")
        if document.get("product") != "mocknode":
            raise ControlError(0, f"{self.url} is no control API of mocknode: it answers {str(document)[:80]}")
        if document.get("control_api") != CONTROL_API:
            raise ControlError(
                0,
                f"{self.url} speaks control API {document.get('control_api')} (mocknode {document.get('version')}); "
                f"allowed: {CONTROL_API}",
                got=document.get("control_api"),
                allowed=[str(CONTROL_API)],
            )
        return document

    async def cluster(self) -> dict[str, Any]:
        """API key, run directory, certificate authority and nodes."""
        return await self._json("GET", "/cluster")

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node with state, faults and counters."""
        return list((await self._json("GET", "/nodes"))["nodes"])

    async def node(self, name: str) -> dict[str, Any]:
        """One node."""
        return await self._json("GET", f"/nodes/{_part(name)}")

    async def set_state(
        self, name: str, state: str, how: str | None = None, after: str | None = None, *, cancel_tasks: bool = False
    ) -> dict[str, Any]:
        """Change a node's state; the node after that.

        Args:
            state: `online`, `draining`, `starting` or `offline`.
            how: For offline: refuse (default), crash, freeze, blackhole, status:NNN, garbage.
            after: `5s`, `3 pings`, `30% of an upload`; None is now.
            cancel_tasks: With `draining`: cancel what the node runs.
        """
        body = {"state": state, "how": how, "after": after, **({"cancel_tasks": True} if cancel_tasks else {})}
        return await self._json("PATCH", f"/nodes/{_part(name)}", json=body)

    async def add_tasks(self, duration: str, count: int = 1, description: str = "A task") -> list[dict[str, Any]]:
        """Queue tasks of this duration, such as `30s`; the new ones."""
        body = {"duration": duration, "count": count, "description": description}
        return list((await self._json("POST", "/tasks", json=body))["tasks"])

    async def tasks(self) -> list[dict[str, Any]]:
        """Every task, oldest first."""
        return list((await self._json("GET", "/tasks"))["tasks"])

    async def cancel_task(self, id_: str) -> None:
        """Cancel a task that waits or runs."""
        await self._send("DELETE", f"/tasks/{_part(id_)}")

    async def add_fault(
        self,
        name: str,
        kind: str,
        *,
        options: Mapping[str, Any] | None = None,
        on: str = "all",
        first: int | None = None,
        every: int | None = None,
        after: str | None = None,
        ttl: str | None = None,
        attempt: str | None = None,
    ) -> str:
        """Set a fault on a node; its id."""
        body = {
            "kind": kind,
            "options": dict(options or {}),
            "on": on,
            "first": first,
            "every": every,
            "after": after,
            "ttl": ttl,
            "attempt": attempt,
        }
        return str((await self._json("POST", f"/nodes/{_part(name)}/faults", json=body))["id"])

    async def faults(self, name: str) -> list[dict[str, Any]]:
        """The faults of a node."""
        return list((await self._json("GET", f"/nodes/{_part(name)}/faults"))["faults"])

    async def remove_fault(self, name: str, fault_id: str) -> None:
        """Remove one fault."""
        await self._send("DELETE", f"/nodes/{_part(name)}/faults/{_part(fault_id)}")

    async def clear_faults(self, name: str) -> None:
        """Remove every fault of a node."""
        await self._send("DELETE", f"/nodes/{_part(name)}/faults")

    async def journal(
        self,
        cursor: str | None = None,
        *,
        kind: str | None = None,
        node: str | None = None,
        attempt: str | None = None,
        wait_for: int | None = None,
        timeout_s: float | None = None,
        limit: int | None = None,
    ) -> JournalPage:
        """Records of the nodes' journals after `cursor`, in the order each node wrote them.

        Args:
            cursor: Of an earlier page; None begins at the first record.
            kind, node: Only these, separated by commas.
            attempt: Only requests of this attempt, all their phases.
            wait_for: Answer when so many records are there, or after `timeout_s`.
            limit: Largest page.
        """
        asked = {
            "cursor": cursor,
            "kind": kind,
            "node": node,
            "attempt": attempt,
            "wait_for": wait_for,
            "timeout_s": timeout_s,
            "limit": limit,
        }
        parameters = {name: value for name, value in asked.items() if value is not None}
        patience = _LIMIT_S + (timeout_s or 0.0)
        return JournalPage(**await self._json("GET", "/journal", params=parameters, timeout=patience))

    async def ledger(self, attempt: str | None = None) -> list[dict[str, Any]]:
        """The nodes' side of the ledger, whole."""
        entries: list[dict[str, Any]] = []
        start: int | None = 0
        while start is not None:
            parameters = {"from": start, **({"attempt": attempt} if attempt else {})}
            page = await self._json("GET", "/ledger", params=parameters)
            entries += page["attempts"]
            start = page["next"]
        return entries

    async def tentacles(self) -> list[dict[str, Any]]:
        """Every registered Tentacle, with its open connections at each node."""
        return list((await self._json("GET", "/tentacles"))["tentacles"])

    async def register_tentacle(self, name: str, thumbprint: str, uri: str) -> dict[str, Any]:
        """Have every node trust a Tentacle, at once.

        Args:
            uri: The queue that it polls, `poll://abc/`, or where it listens, `https://host:10933/`.
        """
        return await self._json("POST", "/tentacles", json={"name": name, "thumbprint": thumbprint, "uri": uri})

    async def unregister_tentacle(self, name: str) -> None:
        """Have no node trust it any more."""
        await self._send("DELETE", f"/tentacles/{_part(name)}")

    async def call_tentacle(
        self, node: str, tentacle: str, call: str, *, body: str = "", collect_s: float | None = None
    ) -> dict[str, Any]:
        """Call a registered Tentacle over Halibut, through a node; what it answered.

        Args:
            call: `health`, `capabilities` or `script`.
            body: Of the script.
            collect_s: How long a polling Tentacle may take to collect the request; None is two minutes.

        Raises:
            ControlError: also, with status `CALL_FAILED`, when nobody answered.
        """
        path = f"/nodes/{_part(node)}/tentacles/{_part(tentacle)}/calls"
        asked = {"call": call, "body": body, "collect_s": collect_s}
        return await self._json("POST", path, json=asked, timeout=_CALL_LIMIT_S)

    async def reset(self, keep: str = "data") -> list[dict[str, Any]]:
        """Every node online, no faults, triggers and tasks; the nodes after that.

        Args:
            keep: Of the data: `data` all as they are, `fixtures` as `--fixtures` loaded them, `nothing` as in a fresh server.
        """
        return list((await self._json("POST", "/reset", params={"keep": keep}))["nodes"])

    async def snapshots(self) -> list[dict[str, Any]]:
        """Every snapshot of the data, by name."""
        return list((await self._json("GET", "/snapshots"))["snapshots"])

    async def snapshot(self, name: str) -> dict[str, Any]:
        """Put the data aside under a name; one of that name is replaced."""
        return await self._json("POST", "/snapshots", json={"name": name})

    async def restore(self, name: str) -> None:
        """Have the data as they were."""
        await self._send("POST", f"/snapshots/{_part(name)}/restore")

    async def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot."""
        await self._send("DELETE", f"/snapshots/{_part(name)}")

    @contextlib.asynccontextmanager
    async def hold(self, holder: str) -> AsyncIterator[None]:
        """Have the cluster to oneself while the block runs: nobody else can change a node, a fault or a state.

        Args:
            holder: Who, for those who are refused meanwhile.

        Raises:
            ControlError: 423, somebody else holds it.
        """
        given = await self._json("PUT", "/lease", json={"holder": holder})
        self._http.headers[LEASE_HEADER] = given["lease"]
        renewing = asyncio.create_task(self._renew(holder, float(given["seconds"]) / _RENEWALS))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            # Whoever does not reach it any more need not give it back: it runs out.
            with contextlib.suppress(ControlError, ControlUnreachableError):
                await self._send("DELETE", "/lease")
            del self._http.headers[LEASE_HEADER]

    async def _renew(self, holder: str, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            # Lost or not: the next change that is refused says so.
            with contextlib.suppress(ControlError, ControlUnreachableError):
                await self._json("PUT", "/lease", json={"holder": holder})

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = await self._send(method, path, **options)
        try:
            document = json_text.loads(response.content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ControlError(
                0, f"{self.url} is no control API of mocknode: {method} {path} answers {response.text[:80]!r}"
            )
        return document

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise ControlUnreachableError(f"{self.url} does not answer ({str(exc) or type(exc).__name__})") from exc
        if response.is_success:
            return response
        try:
            document = response.json()
            raise ControlError(
                response.status_code,
                document["detail"],
                got=document.get("got"),
                allowed=document.get("allowed") or (),
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise ControlError(
                0 if response.status_code == 404 else response.status_code,
                f"{self.url} is no control API of mocknode: {method} {path} answers {response.status_code}",
            ) from exc


def _part(text: str) -> str:
    """A path segment; names come from people, and an empty one must not name the collection."""
    return quote(text, safe="") or "%20"
