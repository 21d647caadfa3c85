"""The client of the control API.

It ignores proxies from the environment: a control API is never behind one, and its traffic is not part of a test.
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
from pydantic import BaseModel, ValidationError

from mocknode.mock.cluster import control_models as models
from mocknode.text import json_text

CONTROL_API: Final = 1
"""Version of the control API that this client speaks."""
CALL_FAILED: Final = 502
"""Status of a call to a Tentacle that got no answer."""
_LIMIT_S: Final = 40.0
"""Longer than the slowest operation, which is starting a dead node."""
_CALL_LIMIT_S: Final = 900.0
"""A script on a Tentacle may take minutes; the node limits each call that the script needs."""
_CONNECT_S: Final = 5.0
IDLE_S: Final = 5.0
"""Longest idle time after which a connection is reused. Far shorter than the server's limit, so that no request is sent on a
connection that the server is closing."""
LEASE_HEADER: Final = "x-mocknode-lease"
"""The header of `mocknode.mock.cluster.lease`; importing that module would import the controller's dependencies."""
_RENEWALS: Final = 5
"""Number of renewals in the lifetime of a lease, so that a late one does not lose it."""


class ControlError(Exception):
    """The control API refused a request.

    Attributes:
        status: HTTP status; 0 when the server that answered is not our control API.
        detail: Message of the problem document.
        got, allowed: Values of the problem document, where it has them.
    """

    def __init__(self, status: int, detail: str, *, got: Any = None, allowed: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.got = got
        self.allowed = tuple(allowed)


class ControlUnreachableError(Exception):
    """Nothing answers at the control URL; the message names the URL and the reason."""


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
    """Client for the control API of one cluster; an async context manager.

    Every method raises `ControlError` when the API refuses a request, and `ControlUnreachableError` when nothing answers.

    Args:
        url: `http://HOST:PORT` or `https://HOST:PORT`.
        token: Bearer token, if the cluster demands one.
        ca: PEM file of the certificate authority to trust; None trusts those of the system.
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
        """Return the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def healthz(self) -> dict[str, Any]:
        """Return product and version of the server; refuse anything but a control API of this version."""
        document = await self._json(None, "GET", "/healthz")
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
        """Return API key, run directory, certificate authority and nodes."""
        return await self._json(models.ClusterDocument, "GET", "/cluster")

    async def nodes(self) -> list[dict[str, Any]]:
        """Return every node with its state, faults and counters."""
        return list((await self._json(models.NodesDocument, "GET", "/nodes"))["nodes"])

    async def node(self, name: str) -> dict[str, Any]:
        """Return one node."""
        return await self._json(models.NodeDocument, "GET", f"/nodes/{_part(name)}")

    async def set_state(
        self, name: str, state: str, how: str | None = None, after: str | None = None, *, cancel_tasks: bool = False
    ) -> dict[str, Any]:
        """Change a node's state and return the node.

        Args:
            state: `online`, `draining`, `starting` or `offline`.
            how: For offline: refuse (default), stop, crash, freeze, blackhole, status:NNN, garbage.
            after: `5s`, `3 pings`, `30% of an upload`; None acts now.
            cancel_tasks: With `draining`: cancel the tasks that the node runs.
        """
        body = {"state": state, "how": how, "after": after, **({"cancel_tasks": True} if cancel_tasks else {})}
        return await self._json(models.NodeDocument, "PATCH", f"/nodes/{_part(name)}", json=body)

    async def add_tasks(self, duration: str, count: int = 1, description: str = "A task") -> list[dict[str, Any]]:
        """Queue tasks of this duration, such as `30s`, and return them."""
        body = {"duration": duration, "count": count, "description": description}
        return list((await self._json(models.TasksDocument, "POST", "/tasks", json=body))["tasks"])

    async def tasks(self) -> list[dict[str, Any]]:
        """Return every task, oldest first."""
        return list((await self._json(models.TasksDocument, "GET", "/tasks"))["tasks"])

    async def cancel_task(self, id_: str) -> None:
        """Cancel a queued or running task."""
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
        """Set a fault on a node and return its id."""
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
        return str((await self._json(models.FaultDocument, "POST", f"/nodes/{_part(name)}/faults", json=body))["id"])

    async def faults(self, name: str) -> list[dict[str, Any]]:
        """Return the faults of a node."""
        return list((await self._json(models.FaultsDocument, "GET", f"/nodes/{_part(name)}/faults"))["faults"])

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
        """Return records of the nodes' journals after `cursor`, in the order in which each node wrote them.

        Args:
            cursor: Cursor of an earlier page; None starts at the first record.
            kind, node: Kinds and nodes to return, separated by commas.
            attempt: Return only requests of this attempt, with all their phases.
            wait_for: Wait until this many records exist, at most `timeout_s`.
            limit: Largest number of records on the page.
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
        return JournalPage(
            **await self._json(models.JournalDocument, "GET", "/journal", params=parameters, timeout=patience)
        )

    async def ledger(self, attempt: str | None = None) -> list[dict[str, Any]]:
        """Return every entry of the nodes' side of the ledger."""
        entries: list[dict[str, Any]] = []
        start: int | None = 0
        while start is not None:
            parameters = {"from": start, **({"attempt": attempt} if attempt else {})}
            page = await self._json(models.LedgerDocument, "GET", "/ledger", params=parameters)
            entries += page["attempts"]
            start = page["next"]
        return entries

    async def tentacles(self) -> list[dict[str, Any]]:
        """Return every registered Tentacle with its open connections at each node."""
        return list((await self._json(models.TentaclesDocument, "GET", "/tentacles"))["tentacles"])

    async def register_tentacle(self, name: str, thumbprint: str, uri: str) -> dict[str, Any]:
        """Register a Tentacle; every node trusts it immediately.

        Args:
            uri: The queue that it polls, `poll://abc/`, or the address where it listens, `https://host:10933/`.
        """
        return await self._json(
            models.TentacleDocument, "POST", "/tentacles", json={"name": name, "thumbprint": thumbprint, "uri": uri}
        )

    async def unregister_tentacle(self, name: str) -> None:
        """Unregister a Tentacle; no node trusts it any more."""
        await self._send("DELETE", f"/tentacles/{_part(name)}")

    async def call_tentacle(
        self, node: str, tentacle: str, call: str, *, body: str = "", collect_s: float | None = None
    ) -> dict[str, Any]:
        """Call a registered Tentacle over Halibut through a node and return its answer.

        Args:
            call: `health`, `capabilities` or `script`.
            body: Text of the script.
            collect_s: Longest time for a polling Tentacle to collect the request; None is two minutes.

        Raises:
            ControlError: with status `CALL_FAILED` when the Tentacle did not answer.
        """
        path = f"/nodes/{_part(node)}/tentacles/{_part(tentacle)}/calls"
        asked = {"call": call, "body": body, "collect_s": collect_s}
        return await self._json(models.CallDocument, "POST", path, json=asked, timeout=_CALL_LIMIT_S)

    async def reset(self, keep: str = "data") -> list[dict[str, Any]]:
        """Put every node online, remove faults, triggers and tasks, and return the nodes.

        Args:
            keep: `data` leaves the data unchanged, `fixtures` restores what `--fixtures` loaded, `nothing` leaves the data of a
                fresh server.
        """
        return list((await self._json(models.NodesDocument, "POST", "/reset", params={"keep": keep}))["nodes"])

    async def snapshots(self) -> list[dict[str, Any]]:
        """Return every snapshot of the data, sorted by name."""
        return list((await self._json(models.SnapshotsDocument, "GET", "/snapshots"))["snapshots"])

    async def snapshot(self, name: str) -> dict[str, Any]:
        """Save the data under a name; a snapshot with that name is replaced."""
        return await self._json(models.SnapshotDocument, "POST", "/snapshots", json={"name": name})

    async def restore(self, name: str) -> None:
        """Replace the data with those of a snapshot."""
        await self._send("POST", f"/snapshots/{_part(name)}/restore")

    async def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot."""
        await self._send("DELETE", f"/snapshots/{_part(name)}")

    @contextlib.asynccontextmanager
    async def hold(self, holder: str) -> AsyncIterator[None]:
        """Hold the cluster while the block runs: nobody else can change a node, a fault or the data.

        Args:
            holder: Name of the holder, shown to everybody who is refused meanwhile.

        Raises:
            ControlError: 423 when somebody else holds the cluster.
        """
        given = await self._json(models.LeaseDocument, "PUT", "/lease", json={"holder": holder})
        self._http.headers[LEASE_HEADER] = given["lease"]
        renewing = asyncio.create_task(self._renew(holder, float(given["seconds"]) / _RENEWALS))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            # A cluster that cannot be reached any more lets the lease expire.
            with contextlib.suppress(ControlError, ControlUnreachableError):
                await self._send("DELETE", "/lease")
            del self._http.headers[LEASE_HEADER]

    async def _renew(self, holder: str, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            # If the lease was lost, the next change is refused and says so.
            with contextlib.suppress(ControlError, ControlUnreachableError):
                await self._json(models.LeaseDocument, "PUT", "/lease", json={"holder": holder})

    async def _json(self, model: type[BaseModel] | None, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Return the answer, which may come from any server: one that does not fit the model is refused."""
        response = await self._send(method, path, **options)
        try:
            document = json_text.loads(response.content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ControlError(
                0, f"{self.url} is no control API of mocknode: {method} {path} answers {response.text[:80]!r}"
            )
        try:
            if model is not None:
                model.model_validate(document)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ControlError(
                0,
                f"{self.url} is no control API of mocknode: {method} {path} answers without a valid {place}: {first['msg']}",
            ) from exc
        return document

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise ControlUnreachableError(f"{self.url} does not answer ({str(exc) or type(exc).__name__})") from exc
        if response.is_success:
            return response
        try:
            document = json_text.loads(response.content)
            raise ControlError(
                response.status_code,
                str(document["detail"]),
                got=document.get("got"),
                allowed=[str(one) for one in document.get("allowed") or ()],
            )
        except (ValueError, KeyError, TypeError) as exc:
            raise ControlError(
                0 if response.status_code == 404 else response.status_code,
                f"{self.url} is no control API of mocknode: {method} {path} answers {response.status_code}",
            ) from exc


def _part(text: str) -> str:
    """Return a name as a path segment; an empty name must not address the whole collection."""
    return quote(text, safe="") or "%20"
