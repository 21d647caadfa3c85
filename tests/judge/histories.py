"""Small histories for the tests of pure judges."""

from dataclasses import replace
from typing import Any

from mocknode.judge.record.history import Attempt, History, Probe, Request, Step
from mocknode.judge.verdict.calibration import Calibration, Prober
from mocknode.judge.verdict.case import Case

SECOND = 1_000_000_000
NODES = ("node-1", "node-2", "node-3")
DIGEST = "a" * 40


def attempt(id_: str = "a1", **facts: Any) -> Attempt:
    """An upload that went well, unless told otherwise; times in nanoseconds."""
    usual: dict[str, Any] = {
        "check": "X", "method": "POST", "url": "http://lb:80", "target": "/api/packages/raw", "http_version": "1.1",
        "connection": "c1", "source": "127.0.0.2:5000", "started_ns": 0, "head_sent_ns": 1000, "body_sent_ns": 2000, "body_bytes": 10,
        "file_bytes": 10, "sha1": DIGEST, "response_ns": 3000, "ended_ns": 4000, "told": "acknowledged", "end": "complete",
        "status": 201, "node": "node-1",
    }  # fmt: skip
    return Attempt(id=id_, **{**usual, **facts})


def request(id_: str | None = "a1", **facts: Any) -> Request:
    """A whole delivery, unless told otherwise."""
    usual: dict[str, Any] = {
        "node": "node-1", "boot": 1, "req": 1, "conn": 1, "peer": "127.0.0.1:6000", "method": "POST",
        "target": "/api/packages/raw", "http_version": "1.1", "t_ns": 1500, "received": 10, "complete": True, "file_bytes": 10,
        "sha1": DIGEST, "status": 201, "ended_ns": 3500, "end": "complete",
    }  # fmt: skip
    return Request(attempt=id_, **{**usual, **facts})


def probe(node: str, t_ns: int, **facts: Any) -> Probe:
    """A ping of a balancer that was answered with 200."""
    usual: dict[str, Any] = {
        "boot": 1, "req": 1, "conn": 1, "peer": "127.0.0.1:7000", "method": "GET", "target": "/api/octopusservernodes/ping",
        "http_version": "1.1", "host": "lb", "user_agent": None, "answered_ns": t_ns + 1000, "status": 200,
    }  # fmt: skip
    return Probe(node=node, t_ns=t_ns, **{**usual, **facts})


def step(check: str, what: str, t_ns: int, **detail: Any) -> Step:
    """A step at an instant."""
    return Step(check=check, what=what, t_ns=t_ns, detail=detail)


PROBER = Prober(
    source="127.0.0.1", user_agent=None, method="GET", http_version="1.1", host="lb", path="/api/octopusservernodes/ping",
    interval_s=1.0, nodes=NODES, role="balancer",
)  # fmt: skip
SEEING = Calibration(probers=(PROBER,), out_after_s=1.0, in_after_s=1.0, drained=True)
BLIND = Calibration(probers=(), out_after_s=None, in_after_s=0.1, drained=True)
DEAF = replace(BLIND, probers=(PROBER,))
"""It asks, and takes a 418 for good."""


def case(history: History, calibration: Calibration = SEEING, **facts: Any) -> Case:
    """What a judge gets."""
    usual: dict[str, Any] = {
        "nodes": NODES, "tier": "full", "patience_s": 75.0, "max_upload": 1 << 62, "public_name": "octopus.example.test",
    }  # fmt: skip
    return Case(history=history, calibration=calibration, **{**usual, **facts})
