"""Journal records of one test as requests; no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Request:
    """A request at a node.

    Attributes:
        t_ns: Time at which its first byte arrived.
        ended_ns: Time at which it ended; None while it is open, or if the node was killed meanwhile.
        received: Bytes of its body.
        sha1: Digest of the file in its body, once that arrived complete.
        file_name: File name of the stored package.
        status: Status of its answer; None without one.
        end: How it ended: `complete`, or the reason why not.
        faults: Ids of the faults that acted on it.
    """

    node: str
    t_ns: int
    method: str
    target: str
    received: int = 0
    sha1: str | None = None
    file_name: str | None = None
    status: int | None = None
    end: str | None = None
    ended_ns: int | None = None
    faults: tuple[Any, ...] = ()


def requests_of(records: Iterable[dict[str, Any]]) -> list[Request]:
    """Return every request that began among these records, pings included, in order of arrival."""
    found: dict[tuple[str, int, int], Request] = {}
    for record in records:
        if record["kind"] not in ("request", "probe"):
            continue
        key = (record["node"], record["boot"], record["req"])
        if "method" in record:
            found[key] = Request(record["node"], record["t_ns"], record["method"], record["target"])
        if key in found:
            _take(found[key], record)
    return sorted(found.values(), key=lambda request: request.t_ns)


def _take(request: Request, record: dict[str, Any]) -> None:
    request.received = record.get("received") or request.received
    request.sha1 = record.get("sha1") or request.sha1
    request.status = record.get("status", request.status)
    request.end = record.get("end", request.end)
    request.ended_ns = record.get("ended_ns", request.ended_ns)
    request.faults = tuple(record.get("faults", request.faults))
    if package := record.get("package"):
        request.file_name = package["file_name"]
