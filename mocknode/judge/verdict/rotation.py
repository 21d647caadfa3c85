"""Tells from what the nodes saw why a balancer keeps healthy nodes out of rotation: who asks, with what, and what the nodes answer."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mocknode.judge.record.history import Connection, History
from mocknode.judge.verdict.calibration import MONITOR_AGENTS, PING_PATH

# Why the nodes' web server refuses a request, in words, by the journal's field; any other reason is named as it is.
REFUSED: Final = {
    "host-missing": "it names no Host",
    "host-repeated": "it names more than one Host",
    "host-invalid": "its Host is no host",
    "host-differs-from-target": "its Host differs from its target",
}
# A single request at a node may be anybody's; a health check comes again.
ASKED_MIN: Final = 2
_FORWARDED: Final = "X-Forwarded-For"
_PING: Final = re.compile(r"/+".join(["", *PING_PATH.strip("/").split("/")]) + r"/*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One kind of request that somebody sends to the nodes on his own account, neither ours nor a client's.

    Attributes:
        host: Host header, None without one.
        status: What the nodes answered; None where the client left before an answer.
        refused: Why the nodes' web server refused it; None if it did not.
    """

    source: str
    user_agent: str | None
    method: str
    target: str
    http_version: str
    host: str | None
    status: int | None
    refused: str | None = None
    nodes: tuple[str, ...]
    count: int

    @property
    def pings(self) -> bool:
        """Whether it asks the ping."""
        return _PING.fullmatch(self.target.partition("?")[0]) is not None

    def __str__(self) -> str:
        """Return the request in words: `GET /health (HTTP/1.1, Host octopus.test, from 10.0.0.5, Envoy/HC)`."""
        host = "no Host" if self.host is None else f"Host {self.host}"
        agent = f", {self.user_agent}" if self.user_agent else ""
        return f"{self.method} {self.target} (HTTP/{self.http_version}, {host}, from {self.source}{agent})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why nodes are out of rotation: the cause, a sentence, and the facts that it rests on."""

    cause: str
    summary: str
    evidence: dict[str, Any]


def asked(history: History, nodes: Sequence[str], since_ns: int = 0, until_ns: int | None = None) -> list[Asked]:
    """Return what the nodes are asked, what most nodes are asked most often first, and monitors last."""
    found: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for p in history.probes:
        if not p.forwarded and p.node in nodes and since_ns <= p.t_ns and (until_ns is None or p.t_ns < until_ns):
            key = _address(p.peer), p.user_agent, p.method, p.target, p.http_version, p.host, p.status, p.refused
            found[key].append(p.node)
    for r in history.requests:
        ours = r.attempt is not None or r.header(_FORWARDED) is not None or r.node not in nodes
        is_http = bool(r.method)  # what the node could not read as a request is told from its connections
        if not ours and is_http and since_ns <= r.t_ns and (until_ns is None or r.t_ns < until_ns):
            target = r.target.partition("?")[0]
            host = r.header("Host")
            key = _address(r.peer), r.header("User-Agent"), r.method, target, r.http_version, host, r.status, r.refused
            found[key].append(r.node)
    kinds = [
        Asked(
            source=source, user_agent=agent, method=method, target=target, http_version=version, host=host, status=status,
            refused=refused, nodes=tuple(sorted(set(at))), count=len(at),
        )
        for (source, agent, method, target, version, host, status, refused), at in found.items()
    ]  # fmt: skip
    return sorted(kinds, key=lambda a: (_is_monitor(a), -len(a.nodes), -a.count, str(a)))


def is_known(history: History, nodes: Sequence[str]) -> bool:
    """Return whether every node was asked the same thing, or sent something strange, often enough to explain anything."""
    if any(a.count >= ASKED_MIN * len(nodes) and len(a.nodes) == len(nodes) for a in asked(history, nodes)[:1]):
        return True
    counts = Counter(c.node for c in _not_http(history, nodes, 0))
    return all(counts[node] >= ASKED_MIN for node in nodes)


def why(history: History, nodes: Sequence[str], since_ns: int = 0, until_ns: int | None = None) -> Reason | None:
    """Return why these nodes are out of rotation; None if nothing that they saw explains it."""
    for kind in asked(history, nodes, since_ns, until_ns):
        if kind.count >= ASKED_MIN and not _is_monitor(kind):
            return _answered(kind)
    broken = _not_http(history, nodes, since_ns)
    if len(broken) < ASKED_MIN:
        return None
    summary = (
        f"{_address(broken[-1].peer)} connects to the nodes and sends {broken[-1].bytes_in} bytes that are no HTTP/1 request there, such "
        "as TLS to a port of plain HTTP"
    )
    return Reason(cause="probe-wrong-protocol", summary=summary, evidence={"connections": len(broken)})


def _not_http(history: History, nodes: Sequence[str], since_ns: int) -> list[Connection]:
    """Return the connections on which something came that was no request."""
    return [
        c
        for c in history.connections
        if c.node in nodes and c.closed_ns is not None and c.bytes_in and not c.requests and since_ns <= c.opened_ns
    ]


def _answered(kind: Asked) -> Reason:
    answer = "answer nothing before it hangs up" if kind.status is None else f"answer {kind.status}"
    if kind.refused is not None:
        answer = f"refuse it with {kind.status}, because {REFUSED.get(kind.refused, f'of its {kind.refused}')}"
    cause, hint = _cause(kind)
    summary = f"the balancer's check is {kind}, and the nodes {answer}{hint}"
    evidence = {
        "check": f"{kind.method} {kind.target}", "http_version": kind.http_version, "host": kind.host, "source": kind.source,
        "user_agent": kind.user_agent, "answered": kind.status, "refused": kind.refused, "requests": kind.count, "asked_nodes": list(kind.nodes),
    }  # fmt: skip
    return Reason(cause=cause, summary=summary, evidence=evidence)


def _cause(kind: Asked) -> tuple[str, str]:
    """Return the cause for what was asked and answered, and what to add to the sentence."""
    if kind.refused is not None:
        return ("probe-without-host" if kind.refused == "host-missing" else "probe-refused"), ""
    status = kind.status or 0
    if kind.method not in ("GET", "HEAD") or (kind.pings and kind.method == "HEAD" and status >= 400):
        return "probe-method-blind", f"; only GET {PING_PATH} shows whether a node takes requests"
    if not kind.pings:
        return "probe-wrong-path", f"; GET {PING_PATH} is answered 200 without signing in"
    if status == 200:
        return "probe-expects-other", ", which the balancer does not count as healthy"
    if 300 <= status < 400:
        return "probe-redirected", ", a redirect to HTTPS, because the ping does not say that it came by HTTPS"
    return "probe-refused", ""


def _is_monitor(kind: Asked) -> bool:
    words = (kind.user_agent or "").lower()
    return any(words.startswith(name) for name in MONITOR_AGENTS)


def _address(peer: str) -> str:
    return peer.rpartition(":")[0]
