"""A realistic run: HAProxy with its stock time limits and `option httpchk` that takes a redirect for health."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mocknode.judge.record.history import Attempt, FaultEvent, History, Probe, Request, StateChange, Step
from mocknode.judge.report import BalancerFacts, RunFacts, build, timeline
from mocknode.judge.verdict.outcome import CheckResult, Fix, Outcome, Variant, failed, merge
from tests.judge.report.uploads import UPLOADS

NODES = ("node-1", "node-2", "node-3")
T0_NS = 5_000_000_000_000
UPLOAD = "/api/Spaces-1/packages/raw"
CONFIGURATION = """\
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s

backend octopus
    option httpchk
    http-check send meth GET uri /api/octopusservernodes/ping
    server node-1 127.0.0.1:8081 check
    server node-2 127.0.0.1:8082 check
    server node-3 127.0.0.1:8083 check
"""
CALIBRATION = {
    "probers": [
        {
            "source": "127.0.0.1",
            "user_agent": None,
            "method": "GET",
            "http_version": "1.0",
            "host": None,
            "path": "/api/octopusservernodes/ping",
            "interval_s": 2.0,
            "nodes": list(NODES),
            "role": "balancer",
        }
    ],
    "out_after_s": 5.1,
    "in_after_s": 3.9,
}
CLAIMS = {
    "HC-02": "Only a clean 200 on the ping path keeps a node in or lets it in again.",
    "UP-04": "A node may think long after the last byte, and the client still gets its answer.",
}


def at(seconds: float) -> int:
    return T0_NS + round(seconds * 1e9)


def variant(name: str, outcome: Outcome, level: str = "core", summary: str = "holds", **more: Any) -> Variant:
    return Variant(name=name, level=level, tier="full", outcome=outcome, summary=summary, **more)


def ok(id_: str, name: str, profile: str = "web", duration_s: float = 3.2) -> CheckResult:
    return merge(id_, name, profile, [variant("all", Outcome.PASS, evidence={"requests": 60})], duration_s=duration_s)


def only_200_is_in() -> CheckResult:
    wrong = variant(
        "302",
        Outcome.FAIL,
        summary="a node that redirects to a login page (302) is put back into rotation",
        cause="accepts-redirect",
        hurts="Users and CI jobs that the balancer sends to a node which is down for maintenance.",
        evidence={"requests_at_node": 14, "first_after_s": 2.1, "attempts": ["a-1", "a-2"]},
        ruled_out=("a late reaction: 302 was held for 9.2 s, this balancer needs 3.9 s to let a node in",),
    )
    fine = [variant(str(code), Outcome.PASS) for code in (418, 503, 500, 404, 401)]
    result = merge("HC-02", "only-200-is-in", "web", [*fine[:1], wrong, *fine[1:]], duration_s=61.4)
    fix = Fix(
        balancer="haproxy",
        file="haproxy.cfg, backend of the nodes",
        snippet="+ http-check expect status 200\n",
        costs="Nothing: nodes never answer a probe with another good status.",
    )
    return replace(result, fixes=(fix,))


def forwarded_headers() -> CheckResult:
    wrong = variant(
        "proto",
        Outcome.FAIL,
        summary="nodes are not told the client's scheme: X-Forwarded-Proto is missing",
        cause="forwarded-proto-missing",
        hurts="Every user behind TLS: links and redirects of the portal go to http.",
        evidence={"requests": 3, "got": "", "expected": "http"},
    )
    fine = variant("host", Outcome.PASS, evidence={"host": "octopus.corp.test"})
    spoof = variant("spoofed", Outcome.ADVICE, "extended", "a spoofed X-Forwarded-For is passed on unmarked")
    fix = Fix(
        balancer="haproxy",
        file="haproxy.cfg, frontend",
        snippet="+ http-request set-header X-Forwarded-Proto https if { ssl_fc }\n+ option forwardfor\n",
        costs="Nothing.",
    )
    return replace(merge("PR-01", "forwarded-headers", "web", [fine, wrong, spoof], duration_s=0.8), fixes=(fix,))


def node_think_time() -> CheckResult:
    cut = "uploads whose node thinks longer than 50 s end in 504 although the package is stored"
    variants = [variant(f"{s}s", Outcome.PASS, evidence={"asked_s": s}) for s in (10, 18, 25, 45)]
    variants += [
        variant(
            f"{s}s",
            failed("extended"),
            "extended",
            cut,
            cause="response-timeout",
            hurts="CI jobs: the package is stored, they are told it failed, and their retry gets 409.",
            evidence={"asked_s": s, "cut_after_s": 50.02, "spread_s": 0.04, "status": 504, "answered_by": "balancer"},
            ruled_out=("size: 1 KiB and 8 MiB are cut in the same second", "the client: its own limit was 300 s"),
        )
        for s in (65, 130)
    ]
    fix = Fix(
        balancer="haproxy",
        file="haproxy.cfg, defaults",
        snippet="- timeout server 50s\n+ timeout server 15m\n",
        costs="A hung node holds its connection for 15 minutes. Check first: haproxy -c -f haproxy.cfg",
    )
    return replace(merge("UP-04", "node-think-time", "upload", variants, duration_s=131.0, tries=3), fixes=(fix,))


def long_slow_and_stalled() -> CheckResult:
    variants = [variant(name, Outcome.PASS) for name in ("steady-95s", "stall-20s", "stall-45s")]
    variants.append(
        variant(
            "stall-70s",
            Outcome.ADVICE,
            "extended",
            "an upload that stalls for 70 s is cut after 50 s of silence",
            cause="upload-idle-limit",
            hurts="CI jobs on a line that drops out for a minute.",
            evidence={"cut_after_s": 50.01, "sent_bytes": 4 << 20},
        )
    )
    fix = Fix(
        balancer="haproxy", file="haproxy.cfg, defaults", snippet="+ timeout client 5m", costs="Idle clients stay."
    )
    return replace(merge("UP-03", "long-slow-and-stalled", "upload", variants, duration_s=136.2), fixes=(fix,))


def results() -> list[CheckResult]:
    policy = variant(
        "all-drained",
        Outcome.OBSERVED,
        "policy",
        "with every node drained clients get 503 in 40 ms; users are locked out until a node is back",
        cause="all-drained-policy-differs",
        evidence={"status": 503, "answered_after_s": 0.04},
    )
    late = variant(
        "idle-90s",
        Outcome.LIMITATION,
        "extended",
        "for its first 0.16 s this version sends requests to nodes it has not probed; HAProxy 3.1 has init-state down",
        cause="traffic-before-first-verdict",
    )
    skipped = variant("trailers", Outcome.SKIP, "extended", "needs HTTP/2 at the front door")
    return [
        ok("HC-01", "probe-contract"),
        only_200_is_in(),
        ok("HC-03", "hung-probe-isolated", duration_s=14.0),
        merge("HC-06", "no-traffic-before-verdict", "web", [late], duration_s=91.0),
        ok("DR-01", "upload-survives-418", "web", 33.0),
        ok("DR-02", "kept-alive-client-moves"),
        ok("DR-04", "majority-drained"),
        merge("DR-05", "all-drained-policy", "web", [policy], duration_s=12.0),
        ok("UP-01", "size-ladder", "upload", 9.7),
        ok("UP-02", "request-streaming", "upload"),
        long_slow_and_stalled(),
        node_think_time(),
        merge("UP-08", "chunked-integrity", "upload", [variant("sizes", Outcome.PASS), skipped], duration_s=2.0),
        ok("RT-01", "post-exactly-once"),
        forwarded_headers(),
        ok("PR-05", "fairness"),
    ]


def attempt(id_: str, check: str, start: float, until: float, *, body_s: float = 0.01, **more: Any) -> Attempt:
    fields: dict[str, Any] = {
        "method": "GET",
        "url": "http://127.0.0.1:10080",
        "target": "/api/serverstatus",
        "http_version": "1.1",
        "connection": id_,
        "source": "127.0.0.2:40000",
        "body_bytes": 0,
        "told": "acknowledged",
        "end": "complete",
        "status": 200,
        "node": "node-1",
        "response_ns": at(until),
    }
    times = {"started_ns": at(start), "head_sent_ns": at(start + 0.001), "body_sent_ns": at(start + body_s)}
    return Attempt(id=id_, check=check, **times, ended_ns=at(until), **(fields | more))


def request(id_: str, node: str, start: float, until: float | None, *, req: int = 1, **more: Any) -> Request:
    fields: dict[str, Any] = {"method": "GET", "target": "/api/serverstatus", "status": 200, "end": "complete"}
    return Request(
        node=node,
        boot=1,
        req=req,
        conn=req,
        peer="127.0.0.1:50000",
        attempt=id_,
        http_version="1.1",
        t_ns=at(start),
        ended_ns=None if until is None else at(until),
        **(fields | more),
    )


def think_history() -> History:
    """UP-04: six waits side by side; the balancer gives up 50 s after the last byte."""
    history = History()
    upload = {"method": "POST", "target": UPLOAD}
    for number, think_s in enumerate((10, 18, 25, 45, 65, 130)):
        id_, node, start = f"up04-{think_s}", NODES[number % 3], 0.2 + number * 0.1
        got, cut = 1.5 + start, think_s > 50
        end = got + min(think_s, 50.02)
        refused: dict[str, Any] = {"told": "error", "status": 504, "node": None, "body": "<html>504"}
        more = refused if cut else {"status": 201, "node": node}
        size = {"body_bytes": 8 << 20, "file_bytes": 8 << 20, "sha1": "ab" * 20}
        history.attempts.append(
            attempt(id_, "UP-04", start, end, body_s=1.4, variant=f"{think_s}s", **upload, **size, **more)
        )
        history.requests.append(
            request(
                id_,
                node,
                start + 0.02,
                end if cut else got + think_s,
                req=number,
                first_body_ns=at(start + 0.03),
                last_body_ns=at(got),
                received=8 << 20,
                complete=True,
                **upload,
                **({"status": None, "end": "rst"} if cut else {"status": 201}),
            )
        )
    history.steps.append(Step(t_ns=at(0), check="UP-04", what="think", detail={"waits_s": [10, 18, 25, 45, 65, 130]}))
    return history


def status_history() -> History:
    """HC-02: node-2 drained, then answering probes with 302, and let in again."""
    history = History()
    history.states += [
        StateChange(node="node-2", t_ns=at(2), state="draining"),
        StateChange(node="node-2", t_ns=at(10), state="online"),
    ]
    fault = {"id": "f1", "kind": "status", "options": {"code": 302}, "on": "ping"}
    history.faults += [
        FaultEvent(node="node-2", t_ns=at(10), phase="set", fault="f1", detail=fault),
        FaultEvent(node="node-2", t_ns=at(19.2), phase="removed", fault="f1", detail=fault),
    ]
    out = {"node-2": [(7.1, 14.0)]}
    for number in range(200):
        t = number * 0.1
        nodes = [n for n in NODES if not any(a <= t < b for a, b in out.get(n, []))]
        node = nodes[number % len(nodes)]
        history.attempts.append(attempt(f"hc02-{number}", "HC-02", t, t + 0.01, node=node, variant="302"))
        history.requests.append(request(f"hc02-{number}", node, t + 0.002, t + 0.008, req=number))
    for node in NODES:
        for number in range(10):
            t = number * 2.0 + 0.3
            status = 418 if node == "node-2" and 2 <= t < 10 else 302 if node == "node-2" and 10 <= t < 19.2 else 200
            history.probes.append(
                Probe(
                    node=node,
                    boot=1,
                    req=1000 + number,
                    conn=1000 + number,
                    peer="127.0.0.1:50000",
                    method="GET",
                    target="/api/octopusservernodes/ping",
                    http_version="1.0",
                    host=None,
                    user_agent=None,
                    t_ns=at(t),
                    answered_ns=at(t + 0.001),
                    status=status,
                )
            )
    history.steps += [
        Step(t_ns=at(2), check="HC-02", what="drain", detail={"node": "node-2"}),
        Step(t_ns=at(10), check="HC-02", what="switch", detail={"node": "node-2", "status": 302}),
        Step(t_ns=at(19.2), check="HC-02", what="restore", detail={"node": "node-2"}),
    ]
    return history


def run_facts(**more: Any) -> RunFacts:
    fields: dict[str, Any] = {
        "result": "nonconformant",
        "seed": 42,
        "started": datetime(2026, 3, 1, 9, 30, 0, 250_000, tzinfo=UTC),
        "duration_s": 251.4,
        "versions": {"mocknode": "0.1.0", "python": "3.11.9", "haproxy": "2.8.25"},
        "balancer": BalancerFacts(
            kind="haproxy",
            detected=True,
            version="2.8.25",
            mode="stock",
            url="http://127.0.0.1:10080",
            binary="/usr/sbin/haproxy",
            configuration={"haproxy.cfg": CONFIGURATION},
        ),
        "nodes": NODES,
        "calibration": CALIBRATION,
        "reproduce": "mocknode check --with haproxy --mode stock --seed 42",
        "run_dir": "/tmp/mocknode-run",
        "tier": "full",
    }
    return RunFacts(**(fields | more))


@pytest.fixture(scope="session")
def facts() -> Callable[..., RunFacts]:
    return run_facts


@pytest.fixture
def document() -> dict[str, Any]:
    timelines = {
        "UP-04": timeline(think_history(), "UP-04"),
        "HC-02": timeline(status_history(), "HC-02"),
    }
    return build(run_facts(), results(), UPLOADS, timelines, claims=CLAIMS)
