from dataclasses import dataclass

import pytest

from mocknode.judge.record.history import Probe
from mocknode.judge.verdict.detection import detect
from mocknode.mock.node.http.server import SECURITY_HEADERS


@dataclass(frozen=True)
class Said:
    """What a balancer answered by itself, as it was recorded."""

    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


def probe(agent: str | None, *, host: str | None = "octopus.test", version: str = "1.1", method: str = "GET") -> Probe:
    return Probe(
        node="node-1",
        boot=1,
        req=1,
        conn=1,
        peer="127.0.0.1:5000",
        method=method,
        target="/api/octopusservernodes/ping",
        http_version=version,
        host=host,
        user_agent=agent,
        t_ns=0,
        answered_ns=1,
        status=200,
    )


HAPROXY_503 = (
    "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
)
HAPROXY_400 = "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n"
NGINX_502 = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>nginx/1.31.3</center>\r\n</body>\r\n</html>\r\n"
)
ENVOY_REFUSED = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
GO_NO_HOST = "400 Bad Request: missing required Host header"

# As the five answered on this page's test bench: nginx 1.31.3, HAProxy 2.8.25, Envoy 1.40.0, Traefik 3.7.15, Caddy 2.11.7.
MEASURED = [
    ("nginx", [Said((("Server", "nginx/1.31.3"),), NGINX_502)], []),
    ("nginx", [Said((), NGINX_502)], []),
    ("haproxy", [Said((("cache-control", "no-cache"), ("content-type", "text/html")), HAPROXY_503)], []),
    ("haproxy", [Said((("Cache-Control", "no-cache"),), HAPROXY_400)], [probe(None, host=None, version="1.0")]),
    ("haproxy", [], [probe("haproxy-check")]),
    ("envoy", [Said((("server", "envoy"),), "no healthy upstream")], [probe("Envoy/HC", host="octopus")]),
    ("envoy", [Said((), ENVOY_REFUSED)], []),
    ("envoy", [Said((("x-envoy-upstream-service-time", "0"),), "{}")], []),
    (
        "traefik",
        [
            Said(
                (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")),
                "no available server\n",
            )
        ],
        [probe("Go-http-client/1.1", host="127.0.0.1:45879")],
    ),
    ("caddy", [Said((("Server", "Caddy"), ("Content-Length", "0")))], [probe("Go-http-client/1.1")]),
    ("caddy", [Said((("via", "1.1 Caddy"),), "{}"), Said((), GO_NO_HOST)], [probe("Go-http-client/1.1")]),
]
DOCUMENTED = [
    ("aws-alb", [Said((("Server", "awselb/2.0"),))], [probe("ELB-HealthChecker/2.0")]),
    ("azure-application-gateway", [Said((("Server", "Microsoft-Azure-Application-Gateway/v2"),))], []),
    ("cloudflare", [Said((("Server", "cloudflare"), ("CF-RAY", "8a")))], []),
    ("f5", [Said((("Set-Cookie", "BIGipServerpool=1.2; path=/"),))], []),
    ("netscaler", [Said((("Via", "NS-CACHE-10.0: 1"),))], []),
    ("gcp-load-balancer", [Said((("Via", "1.1 google"),))], [probe("GoogleHC/1.0")]),
    ("kemp", [], [probe("KEMP 1.0", version="1.0")]),
]


@pytest.mark.parametrize(("kind", "answers", "seen"), MEASURED + DOCUMENTED)
def test_a_balancer_is_known_by_its_own_words(kind: str, answers: list[Said], seen: list[Probe]) -> None:
    found = detect(answers, seen)
    assert found.kind == kind
    assert found.evidence


def test_what_traefik_and_caddy_share_decides_nothing() -> None:
    found = detect([Said((), GO_NO_HOST)], [probe("Go-http-client/1.1")])
    assert found.kind is None
    assert len(found.evidence) == 2


def test_nothing_is_known_without_evidence() -> None:
    assert detect([Said((("Octopus-Node", "node-1"),), '{"Id": "OctopusServerNodes-1"}')], []).kind is None
    assert detect([], [probe("curl/8.5.0")]).evidence == ()


def test_what_nodes_send_speaks_for_no_balancer() -> None:
    passed_on = Said((("Octopus-Node", "node-1"), *SECURITY_HEADERS), "{}")
    assert detect([passed_on], [probe(None, host=None, version="1.0")]).kind == "haproxy"


def test_two_products_in_a_row_are_not_guessed() -> None:
    assert detect([Said((("Server", "nginx/1.24.0"),)), Said((("via", "1.1 Caddy"),))], []).kind is None


def test_an_answer_that_does_not_name_caddy_speaks_for_traefik() -> None:
    passed_on = Said((("octopus-node", "node-1"),), "{}")
    assert detect([passed_on], [probe("Go-http-client/1.1")]).kind == "traefik"
