"""Every cause that a check may name, earned by a history, and a history that passes; with the root it is blamed on."""

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mocknode.judge
from mocknode.judge.catalogue.pr_01 import SPOOFED
from mocknode.judge.catalogue.registry import CAUSES, CHECKS, cause_of
from mocknode.judge.record.history import Connection, History
from mocknode.judge.verdict.calibration import Calibration
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.outcome import Variant
from tests.judge import polling_histories
from tests.judge.histories import BLIND, DEAF, NODES, PROBER, SECOND, SEEING, attempt, case, probe, request, step

S = SECOND
Row = tuple[str, Callable[[], Case], str, str, str | None, str | None]


def gets(check: str, variant: str, nodes: Sequence[str | None], since_ns: int = 0, **facts: Any) -> History:
    """A GET for each node named, one a millisecond, as client and node saw it; None is the balancer's own 503."""
    usual: dict[str, Any] = {"method": "GET", "target": "/api", "sha1": None, "file_bytes": None}
    history = History()
    for n, node in enumerate(nodes):
        at = since_ns + n * 1_000_000
        times = {"started_ns": at, "response_ns": at + 10, "ended_ns": at + 20}
        told = {"status": 200, "node": node} if node else {"status": 503, "node": None, "told": "error"}
        id_ = f"{check}-{variant}-{n}"
        history.attempts.append(attempt(id_, **{**usual, "check": check, "variant": variant, **times, **told, **facts}))
        if node:
            history.requests.append(request(id_, node=node, req=n, method="GET", t_ns=at + 5, sha1=None))
    return history


def join(*histories: History, steps: tuple[Any, ...] = ()) -> History:
    found = History(steps=list(steps))
    for history in histories:
        for into, items in zip(found.lists(), history.lists(), strict=True):
            into += items
    return found


def hc_01(**facts: Any) -> Case:
    calibration = {"probers": (), "out_after_s": None, "in_after_s": None, "drained": True}
    return case(History(), Calibration(**{**calibration, **facts}))


def blocked(*, asked: bool = True, wrong_protocol: bool = False, **ping: Any) -> Case:
    """No node is in rotation, and these are the balancer's pings, or what else it sends."""
    facts = {"sent": 24, "status": 503, "server": None}
    history = History(steps=[step("preflight", "no-rotation", 9 * S, **facts)])
    if wrong_protocol:
        usual: dict[str, Any] = {
            "boot": 1,
            "peer": "10.0.0.5:1",
            "tls": False,
            "opened_ns": 1,
            "closed_ns": 2,
            "bytes_in": 517,
        }
        history.connections += [Connection(node=node, conn=n, **usual) for node in NODES for n in range(3)]
    elif asked:
        history.probes += [probe(node, t * S, **ping) for node in NODES for t in range(3)]
    return case(history)


def refused(status: int) -> Case:
    """The balancer probes every node, and node-2 answers otherwise than the others, before the calibration drains one."""
    answers = {"node-1": 200, "node-2": status, "node-3": 200}
    probes = [probe(node, t * S, status=answer) for node, answer in answers.items() for t in range(5)]
    serving = gets("traffic", "calibration", ["node-1", "node-3"] * 30, 2 * S)
    return case(join(History(probes=probes), serving, steps=(step("calibration", "drain", 6 * S, node="node-1"),)))


def hc_02(status: str | None, node: str = "node-2", *, let_in: bool = False) -> Case:
    steps = [step("HC-02", "418", S, node=node, out_ns=None if status is None else 2 * S)]
    history = gets("traffic", "HC-02", ["node-1", "node-3"] * 30, 10 * S)
    if status is not None:
        steps += [
            step("HC-02", "tried", 14 * S, node=node, status=status, since_ns=9 * S, watched_s=5.0),
            step("HC-02", "control-200", 20 * S, node=node, in_ns=19 * S, resumed_ns=18 * S),
        ]
        history.probes.append(probe(node, 11 * S, status=500))
    if let_in:
        history = join(history, gets("traffic", "HC-02", [node] * 3, 12 * S))
    return case(join(history, steps=tuple(steps)))


def hc_02_left_out(*, probed: bool = False, calibration: Calibration = SEEING) -> Case:
    """B answered 503, was healthy from 18 s on and got no request until 40 s; if `probed`, it is asked all the time."""
    found = hc_02("503").history
    found.steps[-1] = step("HC-02", "control-200", 25 * S, node="node-2", in_ns=None, resumed_ns=18 * S)
    found.steps.append(step("HC-02", "not-restored", 40 * S, nodes=["node-2"], since_ns=26 * S, waited_s=14.0))
    asked = ("node-1", "node-2", "node-3") if probed else ("node-1", "node-3")
    found.probes += [probe(node, t * S) for node in asked for t in range(15, 40)]
    return case(found, calibration)


def blind(check: str, calibration: Calibration = BLIND) -> Case:
    return case(History(steps=[step(check, "blind", 1, node="node-2")]), calibration)


def hc_03(how: str, out_ns: int | None = 3 * S, *, others_every_s: int = 1) -> Case:
    probes = [probe("node-2", n * S, status=None, answered_ns=None, ended_ns=n * S + S) for n in range(1, 9)]
    probes += [probe(n, t * S) for n in ("node-1", "node-3") for t in range(1, 10, others_every_s)]
    tried = step("HC-03", "tried", 10 * S, node="node-2", how=how, since_ns=0, out_ns=out_ns, bound_s=30.0)
    return case(History(probes=probes, steps=[tried]))


def hc_06(nodes: Sequence[str | None], calibration: Calibration = SEEING) -> Case:
    steps = (
        step("HC-06", "drained", 90 * S, node="node-2", idle_s=90.0),
        step("HC-06", "burst-done", 101 * S, node="node-2", since_ns=100 * S, waited_s=10.0),
    )
    return case(join(gets("HC-06", "idle", nodes, 100 * S), steps=steps), calibration)


def hc_06_start(late_node: str, calibration: Calibration = SEEING) -> Case:
    history = gets("HC-06", "start", ["node-1"] * 40)
    late = gets("HC-06", "start", [late_node], S // 2)
    return case(
        join(history, late, steps=(step("HC-06", "start-done", 2 * S, node="node-2", since_ns=0),)), calibration
    )


def dr_01(calibration: Calibration = SEEING, deliveries: int = 1, late_node: str = "node-2", **client: Any) -> Case:
    facts: dict[str, Any] = {"check": "DR-01", "variant": "418", "body_sent_ns": 29 * S, "ended_ns": 30 * S, **client}
    upload = attempt("up", **facts)
    seen = [request("up", node=f"node-{n + 1}", req=900 + n) for n in range(deliveries)]
    steps = (
        step("DR-01", "turned", 5 * S, variant="418", node="node-1", at_ns=5 * S),
        step("DR-01", "ended", 31 * S, variant="418"),
    )
    after = join(gets("traffic", "DR-01", ["node-2", "node-3"] * 30, 20 * S), gets("traffic", "x", [late_node], 21 * S))
    return case(join(History(attempts=[upload], requests=seen), after, steps=steps), calibration)


def dr_01_413() -> Case:
    told: dict[str, Any] = {"status": 413, "told": "error", "node": None}
    return case(History(attempts=[attempt(check="DR-01", variant="418", **told)]))


def dr_02(after: Sequence[str | None], *, out: bool = True, calibration: Calibration = SEEING, **facts: Any) -> Case:
    drained = step("drain-walk", "first-drained", S, node="node-1", since_ns=1, out_ns=2 if out else None)
    before = gets("DR-02", "http1-before", ["node-3", "node-1"])
    return case(join(before, gets("DR-02", "http1-after", after, 2 * S), steps=(drained,)), calibration, **facts)


def dr_04(nodes: Sequence[str | None], *, out: bool = True, calibration: Calibration = SEEING) -> Case:
    steps = (
        step("drain-walk", "first-drained", 1, node="node-1", since_ns=0, out_ns=1 if out else None),
        step("drain-walk", "one-left-done", 5 * S, node="node-3", since_ns=2 * S),
    )
    return case(join(gets("traffic", "drain-walk", nodes, 3 * S), steps=steps), calibration)


def dr_05(
    asked: Sequence[str | None],
    calibration: Calibration = SEEING,
    *,
    back: bool = True,
    failing_s: int = 0,
    **facts: Any,
) -> Case:
    declared = facts.pop("all_drained", None)
    done = step("drain-walk", "all-out-done", 90 * S, variant="418", node="node-3", since_ns=1, back_ns=50 * S)
    history = gets("DR-05", "418", asked, 10 * S, **facts)
    if back:
        # One worker serves at once; another still answers 502 by itself.
        failing = gets("traffic", "drain-walk", [None] * failing_s, 52 * S, status=502)
        history = join(history, gets("traffic", "drain-walk", ["node-3"], 51 * S), failing)
        history = join(history, gets("traffic", "drain-walk", ["node-3"], (52 + failing_s) * S))
    return case(join(history, steps=(done,)), calibration, all_drained=declared)


def sorry(found: Case, status: int = 200) -> Case:
    """The same with a page of the balancer's own, with this status, for everything that no node answered."""
    told = {"status": status, "told": "acknowledged" if status < 300 else "error", "body": "<h1>Sorry</h1>"}
    found.history.attempts[:] = [a if a.node else replace(a, **told) for a in found.history.attempts]
    return found


def waited(found: Case) -> Case:
    """The same after the balancer answered 503 until it knew its nodes."""
    return replace(found, history=join(gets("ready", "", [None] * 9), found.history))


def strange(found: Case, status: int = 200, *, preflight: bool = True) -> Case:
    """The same with a foreign server that answered whatever no node did; the preflight may have met it."""
    if preflight:
        met = {"answered": 6, "sent": 24, "status": status, "server": None, "body": "It works!"}
        found.history.steps.append(step("preflight", "foreign", 0, **met))
    return sorry(found, status)


def dr_05_panicking() -> Case:
    panicking, found = dr_04(["node-3"] * 59 + ["node-1"]), dr_05([None], failing_s=30)
    return replace(found, history=join(found.history, panicking.history))


def uploaded(check: str, variant: str, deliveries: int = 1, seen: dict[str, Any] | None = None, **client: Any) -> Case:
    told = attempt(check=check, variant=variant, **client)
    nodes = [request(node=f"node-{n + 1}", req=n, **(seen or {})) for n in range(deliveries)]
    return case(History(attempts=[told], requests=nodes))


CUT: dict[str, Any] = {"status": 504, "told": "error", "node": None, "response_ns": 60 * S, "ended_ns": 60 * S}


PART: dict[str, Any] = {"complete": False, "sha1": None, "status": None}
"""What a node sees of an upload that broke off."""


def up_03_idle() -> Case:
    steady = attempt("steady", check="UP-03", variant="steady-95s")
    stall = attempt("stall", check="UP-03", variant="stall-45s", marks={"pause": S}, **CUT)
    return case(History(attempts=[steady, stall], requests=[request("steady")]))


def pr_01(*headers: tuple[str, str], variant: str = "http") -> Case:
    told = attempt(check="PR-01", variant=variant, method="GET", url="http://lb:80", source="127.0.0.2:5000", sha1=None)
    return case(History(attempts=[told], requests=[request(headers=headers, method="GET")]))


TRUE = (("Host", "octopus.example.test"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "127.0.0.2"))


KEY, TYPE = ("X-Octopus-ApiKey", ""), ("Content-Type", "multipart/form-data; boundary=b")


def changed(status: int, sent: tuple[str, str], *arrived: tuple[str, str], **seen: Any) -> Case:
    """An upload that a node refuses, with a header as it was sent and as the node saw it."""
    told = attempt("up", check="UP-01", variant="1024", status=status, told="error", sent_headers=(sent,))
    found = request("up", status=status, headers=arrived, **seen)
    return case(join(pr_01(*TRUE).history, History(attempts=[told], requests=[found])))


MISSING, FORGED = ("fail", "forwarded-for-missing"), ("advice", "spoofed-forwarded-passed")
FORWARDED: list[tuple[str, str, str | None]] = [
    ("127.0.0.2, 10.0.0.9", "pass", None),
    ("127.0.0.2:5000, 10.0.0.9:443, 10.0.0.8", "pass", None),
    ("[::ffff:127.0.0.2]:5000, 2001:db8::1", "pass", None),
    ("127.0.0.2, 127.0.0.2", "pass", None),
    ("10.0.0.9", *MISSING),
    ("unknown", *MISSING),
]
"""X-Forwarded-For of an honest client at 127.0.0.2; 10.0.0.9 is a proxy in front of the balancer."""
SPOOFED_FOR: list[tuple[str, str, str | None]] = [
    ("192.0.2.66, 127.0.0.2, 10.0.0.9", "pass", None),
    ("192.0.2.66, 10.0.0.9", *FORGED),
    ("127.0.0.2, 192.0.2.66", *FORGED),
]
"""The same, of a client that invents 192.0.2.66."""
PAIRED = (
    ("X-Forwarded-For", "127.0.0.2, 10.0.0.9"),
    ("X-Forwarded-Proto", "http, https"),
)


SOME = replace(PROBER, nodes=NODES[:2])


def pr_05(nodes: Sequence[str | None]) -> Case:
    return case(gets("PR-05", "fresh", nodes))


AWAY = tuple(f"standby-{node}" for node in NODES)
"""The standby's nodes."""


def rg_01(
    walk: Sequence[str | None] = NODES * 20,
    drained: Sequence[str | None] = AWAY * 20,
    back: Sequence[str | None] = NODES * 20,
    *,
    late_node: str | None = None,
    calibration: Calibration = SEEING,
    **facts: Any,
) -> Case:
    """A walk of drains, everything drained at 4 s, the primary region back at 20 s, as requests at the nodes show it."""
    history = join(
        gets("traffic", "RG-01", walk, 2 * S),
        gets("traffic", "RG-01", drained, 11 * S),
        gets("traffic", "late", [late_node] if late_node else [], 12 * S),
        gets("traffic", "RG-01", back, 22 * S),
        steps=(
            step("RG-01", "pools", 0, primary=NODES, standby=AWAY, thumbprints=dict.fromkeys(AWAY, "D" * 40)),
            step("RG-01", "watch", S, healthy=3),
            step("RG-01", "watched", 3 * S, healthy=3, since_ns=S),
            step("RG-01", "all-drained", 4 * S, since_ns=4 * S),
            step("RG-01", "failed-over", 14 * S, since_ns=4 * S, watch_ns=10 * S),
            step("RG-01", "returned", 40 * S, back_ns=20 * S, waited_s=16.0),
        ),
    )
    return case(history, calibration, **facts)


def rg_01_upload(deliveries: int = 1, *, drained: Sequence[str | None] = AWAY * 20, **client: Any) -> Case:
    found = rg_01(drained=drained)
    told = attempt("up", check="RG-01", variant="at-standby", started_ns=15 * S, **client)
    seen = [request("up", node=AWAY[n], req=900 + n) for n in range(deliveries)]
    return replace(found, history=join(found.history, History(attempts=[told], requests=seen)))


def rg_01_tentacles(
    node: str | None,
    *,
    before: str | None = "node-1",
    drained: str | None = "node-1",
    seen_there: Any = None,
    **facts: Any,
) -> Case:
    """One address: `before` the failover it leads to its node, while that is `drained` too, and afterwards to `node`, where `seen_there`."""
    own = {"node-1": polling_histories.ADDRESSES["node-1"]}
    then = polling_histories.one(
        "RG-01", "repointed", node, id="then", **{"server": "D" * 40 if node else None, **facts}
    )
    if seen_there is not None:
        then = then[0], polling_histories.seen(then[0], AWAY[0], **seen_there)
    polled = polling_histories.history(
        polling_histories.one("RG-01", "dedicated", before, id="before"),
        polling_histories.one("RG-01", "drained", drained, id="drained"),
        then,
        own=own,
    )
    found = rg_01()
    return replace(found, history=join(found.history, polled.history))


def without_http2(found: Case, check: str) -> Case:
    found.history.steps.append(step(check, "no-http2", S, why="did not agree on h2"))
    return found


SHUFFLED: list[str | None] = [NODES[n * n % 7 % 3] for n in range(600)]
OUT: list[str | None] = ["node-1", "node-3"] * 30

ROWS: list[Row] = [
    ("HC-01", lambda: hc_01(probers=(PROBER,), out_after_s=1.0), "probe", "pass", None, None),
    ("HC-01", hc_01, "probe", "fail", "no-active-probe", None),
    ("HC-01", lambda: hc_01(probers=(SOME,), out_after_s=1.0), "probe", "fail", "no-active-probe", None),
    ("HC-01", lambda: hc_01(other=(("GET /", 30),)), "probe", "fail", "probe-wrong-path", None),
    ("HC-01", lambda: hc_01(other=(("OPTIONS /", 30),)), "probe", "fail", "probe-method-blind", None),
    ("HC-01", lambda: hc_01(probers=(replace(PROBER, method="OPTIONS"),)), "probe", "fail", "probe-method-blind", None),
    ("HC-01", lambda: hc_01(bare_connections=9), "probe", "fail", "probe-tcp-only", None),
    ("HC-01", lambda: hc_01(drained=False, bare_connections=9), "probe", "unknown", None, None),
    ("HC-01", lambda: hc_01(probers=(replace(PROBER, role="unknown"),)), "probe", "unknown", None, None),
    ("HC-01", lambda: blocked(status=303), "rotation", "fail", "probe-redirected", None),
    ("HC-01", lambda: blocked(status=200), "rotation", "fail", "probe-expects-other", None),
    ("HC-01", lambda: blocked(status=400, host=None), "rotation", "fail", "probe-refused", None),
    ("HC-01", lambda: blocked(status=400, host=None, refused="host-missing"), "rotation", "fail", "probe-without-host", None),
    ("HC-01", lambda: blocked(wrong_protocol=True), "rotation", "fail", "probe-wrong-protocol", None),
    ("HC-01", lambda: blocked(asked=False), "rotation", "unknown", None, None),
    ("HC-01", lambda: refused(303), "node-2-rotation", "fail", "probe-redirected", None),
    ("HC-01", lambda: refused(303), "probe", "pass", None, None),
    ("HC-02", lambda: hc_02("503"), "503", "pass", None, None),
    ("HC-02", lambda: hc_02("503"), "418", "pass", None, None),
    ("HC-02", lambda: hc_02("302", let_in=True), "302", "fail", "accepts-redirect", None),
    ("HC-02", lambda: hc_02("404", let_in=True), "404", "fail", "accepts-4xx", None),
    ("HC-02", lambda: hc_02("500", let_in=True), "500", "fail", "accepts-5xx", None),
    ("HC-02", lambda: hc_02("204", let_in=True), "204", "advice", "accepts-other-2xx", None),
    ("HC-02", lambda: hc_02("200-truncated", let_in=True), "200-truncated", "pass", None, None),
    ("HC-02", lambda: hc_02("200-truncated"), "200-truncated", "observed", None, None),
    ("HC-02", lambda: hc_02(None), "418", "fail", "drained-node-stays", None),
    ("HC-02", lambda: blind("HC-02"), "418", "fail", "drained-node-stays", "HC-01"),
    ("HC-02", lambda: blind("HC-02", DEAF), "418", "fail", "drained-node-stays", None),
    ("HC-02", lambda: hc_02_left_out(), "node-2-returns", "fail", "node-stays-out", None),
    ("HC-02", lambda: hc_02_left_out(), "503", "pass", None, None),
    ("HC-02", lambda: hc_02_left_out(probed=True), "node-2-returns", "fail", "node-stays-out", None),
    ("HC-02", lambda: hc_02_left_out(probed=True), "503", "unknown", None, None),
    ("HC-02", lambda: hc_02_left_out(calibration=replace(SEEING, in_after_s=None)), "503", "unknown", None, None),
    ("HC-03", lambda: hc_03("hang"), "hang", "pass", None, None),
    ("HC-03", lambda: hc_03("hang"), "parallel-probing", "pass", None, None),
    ("HC-03", lambda: hc_03("freeze", None), "freeze", "fail", "hung-probe-stays", None),
    ("HC-03", lambda: blind("HC-03"), "hang", "fail", "hung-probe-stays", "HC-01"),
    ("HC-03", lambda: hc_03("hang", others_every_s=5), "parallel-probing", "advice", "serial-probing", None),
    ("HC-06", lambda: hc_06(OUT), "idle", "pass", None, None),
    ("HC-06", lambda: hc_06([*OUT[:-1], "node-2"]), "idle", "fail", "slow-probes-while-idle", None),
    ("HC-06", lambda: hc_06([*OUT[:-1], "node-2"], BLIND), "idle", "fail", "drained-node-stays", "HC-01"),
    ("HC-06", lambda: hc_06([None] * 80), "idle", "unknown", None, None),
    ("HC-06", lambda: hc_06_start("node-3"), "start", "pass", None, None),
    ("HC-06", lambda: hc_06_start("node-2"), "start", "advice", "traffic-before-first-verdict", None),
    ("HC-06", lambda: hc_06_start("node-2", BLIND), "start", "advice", "traffic-before-first-verdict", "HC-01"),
    ("DR-01", dr_01, "418", "pass", None, None),
    ("DR-01", dr_01, "418-no-new-requests", "pass", None, None),
    ("DR-01", lambda: dr_01(deliveries=2), "418", "fail", "upload-redelivered", None),
    ("DR-01", lambda: dr_01(deliveries=0, status=None, end="reset"), "418", "fail", "drain-cuts-upload", None),
    ("DR-01", lambda: dr_01(late_node="node-1"), "418-no-new-requests", "fail", "drained-node-gets-requests", None),
    ("DR-01", lambda: dr_01(BLIND), "418-no-new-requests", "fail", "drained-node-gets-requests", "HC-01"),
    ("DR-01", lambda: dr_01(DEAF), "418-no-new-requests", "fail", "drained-node-gets-requests", "HC-02"),
    ("DR-01", lambda: dr_01(body_sent_ns=1000), "418", "skip", None, None),
    ("DR-01", dr_01_413, "418", "fail", "body-size-limit", "UP-01"),
    ("DR-02", lambda: dr_02(["node-2", "node-3"]), "http1", "pass", None, None),
    ("DR-02", lambda: without_http2(dr_02(["node-2"]), "drain-walk"), "http2", "skip", None, None),
    ("DR-02", lambda: dr_02(["node-1"]), "http1", "fail", "kept-alive-pinned", None),
    ("DR-02", lambda: dr_02(["node-1"], layer="l4"), "http1", "limitation", "kept-alive-pinned", None),
    ("DR-02", lambda: dr_02([None]), "http1", "fail", "kept-alive-closed", None),
    ("DR-02", lambda: dr_02(["node-1"], out=False), "http1", "fail", "drained-node-stays", "HC-02"),
    ("DR-02", lambda: dr_02(["node-1"], out=False, calibration=BLIND), "http1", "fail", "drained-node-stays", "HC-01"),
    ("DR-04", lambda: dr_04(["node-3"] * 60), "one-left", "pass", None, None),
    ("DR-04", lambda: dr_04(["node-3"] * 59 + ["node-1"]), "one-left", "fail", "panic-mode", None),
    ("DR-04", lambda: dr_04(["node-1"] * 60, out=False), "one-left", "fail", "drained-node-stays", "HC-02"),
    ("DR-04", lambda: dr_04(["node-1"] * 60, calibration=BLIND), "one-left", "fail", "drained-node-stays", "HC-01"),
    ("DR-04", lambda: dr_04(["node-3"] * 59 + [None]), "one-left", "fail", "survivor-errors", None),
    ("DR-04", lambda: dr_04(["node-3"] * 9), "one-left", "unknown", None, None),
    ("DR-04", lambda: sorry(dr_04(["node-3"] * 59 + [None])), "one-left", "fail", "own-answer-is-success", None),
    ("DR-05", lambda: dr_05([None] * 6), "418-answer", "pass", None, None),
    ("DR-05", lambda: dr_05([None] * 6), "418-recovery", "pass", None, None),
    ("DR-05", lambda: dr_05([None] * 6), "policy", "observed", None, None),
    ("DR-05", lambda: dr_05(["node-1"] * 6, all_drained="open"), "policy", "pass", None, None),
    ("DR-05", lambda: dr_05([None] * 6, all_drained="open"), "policy", "fail", "all-drained-policy-differs", None),
    ("DR-05", lambda: dr_05(["node-1"], BLIND, all_drained="closed"), "policy", "fail", "all-drained-policy-differs", "HC-01"),
    ("DR-05", lambda: dr_05([None], end="timeout", ended_ns=30 * S), "418-answer", "fail", "all-drained-no-answer", None),
    ("DR-05", lambda: sorry(dr_05([None] * 6)), "418-answer", "fail", "own-answer-is-success", None),
    ("DR-05", lambda: sorry(dr_05([None] * 6), 302), "418-answer", "fail", "own-answer-is-success", None),
    ("DR-05", lambda: sorry(dr_05([None] * 6), 307), "418-answer", "pass", None, None),
    ("DR-05", lambda: dr_05(["node-1"] * 6), "418-answer", "pass", None, None),
    ("DR-05", lambda: dr_05([None], back=False), "418-recovery", "fail", "all-drained-no-recovery", None),
    ("DR-05", lambda: dr_05([None], failing_s=30), "418-recovery", "fail", "all-drained-no-recovery", None),
    ("DR-05", dr_05_panicking, "418-recovery", "fail", "all-drained-no-recovery", "DR-04"),
    ("DR-05", lambda: dr_05([None], BLIND, failing_s=30), "418-recovery", "observed", None, None),
    ("DR-05", lambda: dr_05([None], BLIND, back=False), "418-recovery", "fail", "all-drained-no-recovery", "HC-01"),
    ("UP-01", lambda: uploaded("UP-01", "1024"), "1,024 B", "pass", None, None),
    ("UP-01", lambda: uploaded("UP-01", "1048577", 0, **CUT), "1,048,577 B", "fail", "body-size-limit", None),
    ("UP-01", lambda: uploaded("UP-01", "1048577", 0, **{**CUT, "status": 500}), "1,048,577 B", "fail", "no-room-for-bodies", None),
    ("UP-01", lambda: uploaded("UP-01", "2147483649", 0, **CUT), "2,147,483,649 B", "advice", "body-size-limit", None),
    ("UP-01", lambda: uploaded("UP-01", "1024", status=500, told="error"), "1,024 B", "unknown", None, None),
    ("UP-01", lambda: uploaded("UP-01", "empty", status=502, node=None), "empty", "advice", "answer-rewritten", None),
    ("UP-02", lambda: uploaded("UP-02", "pause", 1, {"first_body_ns": S}, marks={"pause": 9}), "pause", "pass", None, None),
    ("UP-02", lambda: uploaded("UP-02", "pause", 1, {"first_body_ns": 3 * S}, marks={"pause": 9}), "pause", "advice", "request-buffering", None),
    ("UP-02", lambda: uploaded("UP-02", "pause", 0, **CUT), "pause", "unknown", None, None),
    ("UP-03", lambda: uploaded("UP-03", "steady-95s"), "steady-95s", "pass", None, None),
    ("UP-03", lambda: uploaded("UP-03", "steady-95s", 0, **CUT), "steady-95s", "fail", "upload-total-limit", None),
    ("UP-03", up_03_idle, "stall-45s", "fail", "upload-idle-limit", None),
    ("UP-04", lambda: uploaded("UP-04", "18s-1"), "18s-1", "pass", None, None),
    ("UP-04", lambda: uploaded("UP-04", "18s-1", **CUT), "18s-1", "fail", "response-timeout", None),
    ("UP-04", lambda: uploaded("UP-04", "65s-1", **CUT), "65s-1", "advice", "response-timeout", None),
    ("UP-04", lambda: uploaded("UP-04", "18s-1", 2), "18s-1", "fail", "post-replayed", "RT-01"),
    ("UP-04", lambda: uploaded("UP-04", "18s-1", 0, **CUT), "18s-1", "unknown", None, None),
    ("UP-08", lambda: uploaded("UP-08", "plain"), "plain", "pass", None, None),
    ("UP-08", lambda: uploaded("UP-08", "plain", 0, **CUT), "plain", "fail", "chunked-not-forwarded", None),
    ("UP-08", lambda: uploaded("UP-08", "truncated", **CUT), "truncated", "fail", "truncated-body-completed", None),
    ("UP-08", lambda: uploaded("UP-08", "truncated", 0, **CUT), "truncated", "pass", None, None),
    ("UP-08", lambda: uploaded("UP-08", "truncated", 0, status=200, node=None), "truncated", "fail", "broken-upload-acknowledged", None),
    ("UP-08", lambda: uploaded("UP-08", "truncated", 1, PART, status=200, node=None), "truncated", "fail", "broken-upload-acknowledged", None),
    ("RT-01", lambda: uploaded("RT-01", "close", 1, {"faults": ("f",)}, **CUT), "close", "pass", None, None),
    ("RT-01", lambda: uploaded("RT-01", "close", 2, {"faults": ("f",)}, **CUT), "close", "fail", "post-replayed", None),
    ("RT-01", lambda: uploaded("RT-01", "503", 1, {"faults": ("f",)}, **CUT), "503", "fail", "answer-rewritten", None),
    ("RT-01", lambda: uploaded("RT-01", "close", 1, {"faults": ("f",), "status": None}), "close", "fail", "own-answer-is-success", None),
    ("RT-01", lambda: uploaded("RT-01", "truncated", 1, {"faults": ("f",)}), "truncated", "fail", "truncated-answer-completed", None),
    ("RT-01", lambda: uploaded("RT-01", "close", **CUT), "close", "unknown", None, None),
    *[("PR-01", lambda: pr_01(*TRUE), f"http-{name}", "pass", None, None) for name in ("proto", "host", "for")],
    ("PR-01", lambda: pr_01(("Host", "backend")), "http-proto", "fail", "forwarded-proto-missing", None),
    ("PR-01", lambda: pr_01(("Host", "backend")), "http-host", "fail", "original-host-missing", None),
    ("PR-01", lambda: pr_01(("Host", "backend")), "http-for", "fail", "forwarded-for-missing", None),
    ("PR-01", lambda: pr_01(*SPOOFED, variant="http-spoofed"), "http-spoofed", "advice", "spoofed-forwarded-passed", None),
    ("PR-01", lambda: pr_01(*TRUE, variant="http-spoofed"), "http-spoofed", "pass", None, None),
    *[
        ("PR-01", lambda got=got: pr_01(*TRUE[:2], ("X-Forwarded-For", got)), "http-for", outcome, cause, None)
        for got, outcome, cause in FORWARDED
    ],
    *[
        ("PR-01", lambda got=got: pr_01(("X-Forwarded-For", got), variant="http-spoofed"), "http-spoofed", outcome, cause, None)
        for got, outcome, cause in SPOOFED_FOR
    ],
    ("PR-01", lambda: changed(401, KEY), "head-1", "fail", "request-head-changed", None),
    ("PR-01", lambda: changed(415, TYPE, ("Content-Type", "text/plain")), "head-1", "fail", "request-head-changed", None),
    ("PR-01", lambda: changed(405, TYPE, TYPE, method="GET"), "head-1", "fail", "request-head-changed", None),
    ("PR-01", lambda: changed(404, TYPE, TYPE, target="/packages/raw"), "head-1", "fail", "request-head-changed", None),
    ("PR-01", lambda: pr_01(*PAIRED), "http-proto", "pass", None, None),
    ("PR-01", lambda: pr_01(*TRUE, ("X-Forwarded-Proto", "http")), "http-proto", "fail", "forwarded-proto-missing", None),
    ("PR-05", lambda: pr_05([*NODES] * 200), "fresh", "pass", None, None),
    ("PR-05", lambda: waited(pr_05([*NODES] * 200)), "fresh", "pass", None, None),
    ("PR-05", lambda: without_http2(pr_05([*NODES] * 200), "PR-05"), "http2", "skip", None, None),
    ("PR-05", lambda: pr_05([*NODES] * 200), "algorithm", "pass", None, None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150)), "foreign", "fail", "foreign-server", None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150)), "fresh", "pass", None, None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150), 404, preflight=False), "foreign", "fail", "foreign-server", None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150), 403), "foreign", "fail", "foreign-server", None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150), 403, preflight=False), "fresh", "unknown", None, None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150), 429), "fresh", "unknown", None, None),
    ("PR-05", lambda: strange(pr_05([*NODES, None] * 150), 429, preflight=False), "refused", "fail", "refused-by-balancer", None),
    ("PR-05", lambda: pr_05([*NODES, None] * 150), "refused", "fail", "refused-by-balancer", None),
    ("DR-05", lambda: strange(dr_05([None] * 6)), "418-answer", "fail", "foreign-server", "PR-05"),
    ("DR-04", lambda: strange(dr_04(["node-3"] * 59 + [None])), "one-left", "fail", "foreign-server", "PR-05"),
    ("PR-05", lambda: pr_05(SHUFFLED), "algorithm", "observed", "random-balancing", None),
    ("PR-05", lambda: pr_05(["node-1", "node-2"] * 300), "fresh", "fail", "node-starved", None),
    ("PR-05", lambda: replace(pr_05(["node-1"] * 600), nodes=("node-1",)), "fresh", "skip", None, None),
    ("PR-05", lambda: pr_05(["node-1"] * 400 + ["node-2", "node-3"] * 100), "fresh", "fail", "node-overloaded", None),
    *[("RG-01", rg_01, name, "pass", None, None) for name in ("standby-waits", "standby-serves")],
    ("RG-01", lambda: rg_01([*NODES * 20, AWAY[0]]), "standby-waits", "fail", "standby-gets-traffic", None),
    ("RG-01", lambda: rg_01(["node-1"] * 9), "standby-waits", "unknown", None, None),
    ("RG-01", lambda: rg_01(drained=[None] * 60), "standby-serves", "fail", "standby-not-used", None),
    ("RG-01", lambda: rg_01(drained=[None] * 60, calibration=BLIND), "standby-serves", "fail", "standby-not-used", "HC-01"),
    ("RG-01", lambda: rg_01(drained=[None] * 60, calibration=DEAF), "standby-serves", "fail", "standby-not-used", "HC-02"),
    ("RG-01", lambda: rg_01(late_node="node-3"), "standby-serves", "fail", "standby-not-used", None),
    ("RG-01", lambda: rg_01(drained=[AWAY[0]] * 9), "standby-serves", "unknown", None, None),
    ("RG-01", rg_01, "failback", "observed", None, None),
    ("RG-01", lambda: rg_01(failback="auto"), "failback", "pass", None, None),
    ("RG-01", lambda: rg_01(failback="manual"), "failback", "fail", "failback-not-as-declared", None),
    ("RG-01", lambda: rg_01(back=AWAY * 20, failback="manual"), "failback", "pass", None, None),
    ("RG-01", lambda: rg_01(back=AWAY * 20, failback="auto"), "failback", "fail", "failback-not-as-declared", None),
    ("RG-01", lambda: rg_01(drained=[None] * 60, failback="auto"), "failback", "skip", None, None),
    ("RG-01", rg_01_upload, "at-standby", "pass", None, None),
    ("RG-01", lambda: rg_01_upload(0), "at-standby", "unknown", None, None),
    ("RG-01", lambda: rg_01_upload(0, drained=[None] * 60), "at-standby", "skip", None, None),
    ("RG-01", lambda: rg_01_upload(2), "at-standby", "fail", "post-replayed", "RT-01"),
    ("RG-01", lambda: rg_01_upload(1, status=None, told="nothing", end="reset"), "at-standby", "fail", "failover-cuts-upload", None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0]), "tentacles", "pass", None, None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[1]), "tentacles", "fail", "tentacles-not-repointed", None),
    ("RG-01", lambda: rg_01_tentacles(None), "tentacles", "fail", "tentacles-not-repointed", None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], server="E" * 40), "tentacles", "fail", "server-certificate-replaced", "TL-01"),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], before=None), "tentacles", "fail", "address-not-forwarded", "TL-02"),
    ("RG-01", lambda: rg_01_tentacles(None, hello=None, seen_there=polling_histories.PROXIED), "tentacles", "fail", "proxy-header-added", "TL-01"),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0]), "tentacles-wait", "pass", None, None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], before=AWAY[0]), "tentacles-wait", "fail", "tentacles-at-standby", None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], drained=AWAY[0]), "tentacles-wait", "fail", "tentacles-at-standby", None),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], drained="node-2"), "tentacles-wait", "fail", "address-leads-elsewhere", "TL-02"),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], drained=None), "tentacles-wait", "fail", "drained-node-refuses-polling", "TL-03"),
    ("RG-01", lambda: rg_01_tentacles(AWAY[0], before=None), "tentacles-wait", "fail", "address-not-forwarded", "TL-02"),
    *polling_histories.ROWS,
]  # fmt: skip


def only(variants: list[Variant], name: str) -> Variant:
    (found,) = [v for v in variants if v.name == name]
    return found


@pytest.mark.parametrize(
    ("id_", "make", "name", "outcome", "cause", "root"),
    ROWS,
    ids=[f"{r[0]}-{r[2]}-{r[4] or r[3]}-{r[5]}" for r in ROWS],
)
def test_a_history_and_its_verdict(
    id_: str, make: Callable[[], Case], name: str, outcome: str, cause: str | None, root: str | None
) -> None:
    found = only(CHECKS[id_].judge(make()), name)
    assert (found.outcome.value, found.cause, found.caused_by) == (outcome, cause, root)
    assert found.summary
    assert (found.hurts is None) == (outcome not in ("fail", "advice", "limitation"))


def test_a_node_that_is_left_out_because_of_the_check_names_the_check() -> None:
    found = hc_02_left_out(probed=True)
    asked = [
        request(None, node="node-2", t_ns=t * S, method="GET", target="/health", status=404) for t in range(27, 40)
    ]
    history = replace(found.history, probes=[], requests=asked)
    judged = only(CHECKS["HC-02"].judge(replace(found, history=history)), "node-2-returns")
    assert judged.cause == "probe-wrong-path"
    assert "GET /health" in judged.summary


@pytest.mark.parametrize(
    ("probed", "says", "since"),
    [
        (
            False,
            "node-2 was healthy again, but got no request for 14 s: the balancer has not asked it since its ping was answered 500, 15 s before",
            0,
        ),
        (True, "node-2 was healthy again, but got no request for 14 s, although it answered 14 pings with 200", 14),
    ],
)
def test_a_node_that_is_left_out_for_good_is_shown_with_the_probes_it_saw(probed: bool, says: str, since: int) -> None:
    found = only(CHECKS["HC-02"].judge(hc_02_left_out(probed=probed)), "node-2-returns")
    assert (found.summary, found.evidence["probes_since"]) == (says, since)


def test_a_chain_of_proxies_passes_with_a_note_on_trusted_proxies() -> None:
    seen = pr_01(*TRUE[:2], ("X-Forwarded-For", "127.0.0.2, 10.0.0.9, 10.0.0.8"))
    found = only(CHECKS["PR-01"].judge(seen), "http-for")
    assert "put 10.0.0.8, 10.0.0.9 into Trusted Proxies" in found.evidence["note"]
    assert found.evidence["trusted_proxies"] == ["10.0.0.8", "10.0.0.9"]


@pytest.mark.parametrize("id_", CHECKS)
def test_each_check_can_pass_and_each_of_its_causes_can_be_earned(id_: str) -> None:
    rows = [row for row in ROWS if row[0] == id_]
    assert any(row[3] == "pass" for row in rows)
    assert {cause.slug for cause in CHECKS[id_].causes} <= {row[4] for row in rows}


def test_a_cause_is_declared_by_one_check() -> None:
    declared = [cause.slug for check in CHECKS.values() for cause in check.causes]
    assert declared == list(CAUSES)


def test_a_check_without_a_declared_cause_does_not_exist() -> None:
    assert [id_ for id_, check in CHECKS.items() if not check.causes] == []


def causes_in(source: str) -> set[str]:
    """Return the strings that a source gives as `cause=` or assigns to a variable `cause`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.keyword(arg="cause", value=value):
                found.append(value)
            case ast.Assign(targets=[ast.Name(id="cause")], value=value):
                found.append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                found += [v for n, v in zip(names, values, strict=True) if isinstance(n, ast.Name) and n.id == "cause"]
    strings = [s.value for value in found for s in ast.walk(value) if isinstance(s, ast.Constant)]
    return {s for s in strings if isinstance(s, str) and re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", s)}


def test_every_cause_that_a_judge_names_is_declared_by_a_check() -> None:
    judge = Path(mocknode.judge.__file__).parent
    files = [*judge.glob("catalogue/**/*.py"), *judge.glob("verdict/*.py")]
    named = {slug: file.name for file in files for slug in causes_in(file.read_text(encoding="utf-8"))}
    assert len(named) > len(CAUSES) / 2
    assert {slug: file for slug, file in named.items() if slug not in CAUSES} == {}


def test_a_cause_that_no_check_declares_is_an_error() -> None:
    assert causes_in("cause = 'one-thing' if x else 'or-another'\nb(cause='a-third')") == {
        "one-thing",
        "or-another",
        "a-third",
    }
    with pytest.raises(ValueError, match="no check declares the cause 'gremlins'; declared are no-active-probe"):
        cause_of("gremlins")


@pytest.mark.parametrize(("check", "variant"), [("UP-01", "1024"), ("UP-03", "steady-95s"), ("UP-08", "plain")])
def test_an_upload_that_arrives_twice_is_no_limit(check: str, variant: str) -> None:
    (found,) = [v for v in CHECKS[check].judge(uploaded(check, variant, 2)) if v.outcome.value == "fail"]
    assert (found.cause, found.caused_by) == ("post-replayed", "RT-01")


def test_requests_before_the_balancer_knows_its_nodes_are_not_refused() -> None:
    found = CHECKS["PR-05"].judge(waited(pr_05([*NODES] * 200)))
    assert "refused" not in {v.name for v in found}
