"""Why nodes are out of rotation, from what they were asked and what they answered."""

from typing import Any

import pytest

from mocknode.judge.record.history import Connection, History
from mocknode.judge.verdict import rotation
from tests.judge.histories import NODES, SECOND, probe, request

S = SECOND


def pings(count: int = 3, **facts: Any) -> History:
    return History(probes=[probe(node, t * S, **facts) for node in NODES for t in range(count)])


def requests(method: str, target: str, status: int, *headers: tuple[str, str]) -> History:
    facts: dict[str, Any] = {"method": method, "target": target, "status": status, "headers": headers}
    return History(requests=[request(None, node=node, t_ns=t * S, **facts) for node in NODES for t in range(3)])


@pytest.mark.parametrize(
    ("history", "cause", "words"),
    [
        (pings(status=303), "probe-redirected", "GET /api/octopusservernodes/ping (HTTP/1.1, Host lb, from 127.0.0.1), and the nodes answer 303"),
        (pings(status=200), "probe-expects-other", "the nodes answer 200, which the balancer does not count as healthy"),
        (pings(status=400, host=None), "probe-refused", "(HTTP/1.1, no Host, from 127.0.0.1), and the nodes answer 400"),
        (pings(status=400, host=None, refused="host-missing"), "probe-without-host", "the nodes refuse it with 400, because it names no Host"),
        (pings(status=400, host="a b", refused="host-invalid"), "probe-refused", "refuse it with 400, because its Host is no host"),
        (pings(status=431, refused="header-fields-too-long"), "probe-refused", "with 431, because of its header-fields-too-long"),
        (pings(status=None, answered_ns=None), "probe-refused", "the nodes answer nothing before it hangs up"),
        (pings(method="OPTIONS", status=405), "probe-method-blind", "OPTIONS /api/octopusservernodes/ping"),
        (pings(method="HEAD", status=404), "probe-method-blind", "HEAD /api/octopusservernodes/ping"),
        (pings(method="HEAD", status=303), "probe-redirected", "answer 303"),
        (requests("OPTIONS", "/", 405), "probe-method-blind", "OPTIONS / (HTTP/1.1, no Host, from 127.0.0.1), and the nodes answer 405"),
        (requests("GET", "/health?x=1", 404, ("User-Agent", "Envoy/HC")), "probe-wrong-path", "(HTTP/1.1, no Host, from 127.0.0.1, Envoy/HC)"),
        (requests("GET", "/api/machines", 401), "probe-wrong-path", "the nodes answer 401; GET /api/octopusservernodes/ping is answered 200"),
    ],
)  # fmt: skip
def test_the_check_and_the_answer_are_the_cause(history: History, cause: str, words: str) -> None:
    found = rotation.why(history, NODES)
    assert found is not None
    assert found.cause == cause
    assert words in found.summary
    assert rotation.is_known(history, NODES)


def test_what_most_nodes_are_asked_most_counts_and_monitors_and_clients_do_not() -> None:
    seen = pings(status=303)
    seen.probes += [probe("node-1", t, status=418, user_agent="curl/8") for t in range(50)]
    seen.probes += [probe("node-1", t, status=500, forwarded=True) for t in range(50)]
    seen.requests += requests("GET", "/app", 404, ("X-Forwarded-For", "10.0.0.1")).requests * 9
    seen.requests += [request("ours", target="/api") for _ in range(50)]
    found = rotation.why(seen, NODES)
    assert found is not None
    assert (found.cause, found.evidence["requests"]) == ("probe-redirected", 9)
    monitored = History(probes=[p for p in seen.probes if p.user_agent is not None])
    assert rotation.why(monitored, NODES) is None


def connection(node: str, number: int, **facts: Any) -> Connection:
    usual: dict[str, Any] = {
        "boot": 1,
        "peer": "10.0.0.5:1",
        "tls": False,
        "opened_ns": number,
        "closed_ns": number + 1,
    }
    return Connection(node=node, conn=number, **{**usual, **facts})


def test_bytes_that_are_no_request_are_another_protocol() -> None:
    seen = History(connections=[connection(node, n, bytes_in=517) for node in NODES for n in range(2)])
    found = rotation.why(seen, NODES)
    assert found is not None
    assert found.cause == "probe-wrong-protocol"
    assert found.summary.startswith("10.0.0.5 connects to the nodes and sends 517 bytes that are no HTTP/1 request")
    assert rotation.is_known(seen, NODES)


@pytest.mark.parametrize(
    "history",
    [
        History(),
        pings(0),
        History(probes=[probe("node-1", 1)]),
        History(connections=[connection(node, n) for node in NODES for n in range(9)]),
        History(connections=[connection("node-1", n, bytes_in=9, requests=1) for n in range(9)]),
    ],
)
def test_nothing_telling_explains_nothing(history: History) -> None:
    assert rotation.why(history, NODES) is None
    assert not rotation.is_known(history, NODES)


def test_only_the_span_that_is_asked_about_counts() -> None:
    seen = pings(9, status=303)
    assert rotation.why(seen, NODES, 8 * S) is not None
    assert rotation.why(seen, ["node-1"], 8 * S) is None
    assert rotation.why(seen, NODES, 2 * S, 2 * S) is None
