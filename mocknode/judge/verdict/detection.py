"""Detects which product the balancer is, from its headers, its error pages and its probes.

Only evidence counts, so that a run by URL finds the same fixes as one that names the product. A trait that several products
share (Go's HTTP library in Traefik and Caddy) counts a little for each; a trait that only one product has decides.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mocknode.judge.record.history import Probe

_OWN = 10
"""Weight of a trait that only one product has: more than all shared traits of a run together."""
_SHARED = 1
"""Weight of a trait that several products have, or that a configuration can change."""


class Answer(Protocol):
    """An answer that came through the balancer or from the balancer itself; an `Attempt` is one."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values of the headers, in order."""

    @property
    def body(self) -> str:
        """The beginning of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """The product that was detected, and the evidence for it.

    Attributes:
        kind: For example `haproxy` or `aws-alb`; None when the evidence does not favour one product.
        evidence: Sentences that support the kind; without a kind, all that was noticed.
    """

    kind: str | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Trait:
    pattern: re.Pattern[str]
    kinds: tuple[str, ...]
    weight: int


def _traits(*rows: tuple[str, str, int]) -> tuple[_Trait, ...]:
    return tuple(
        _Trait(re.compile(pattern, re.IGNORECASE), tuple(kinds.split()), weight) for pattern, kinds, weight in rows
    )


# Each pattern matches a line `name: value` of the answer's head. Those of the products that we start were measured (see the
# tests); the others are from the vendors' documentation.
_HEADERS = _traits(
    (r"server: (nginx|openresty)\b", "nginx", _OWN),
    (r"server: (istio-)?envoy\b", "envoy", _OWN),
    (r"x-envoy-[a-z-]+:", "envoy", _OWN),
    (r"(server: |via: .*)caddy\b", "caddy", _OWN),
    (r"server: awselb/", "aws-alb", _OWN),
    (r"server: Microsoft-Azure-Application-Gateway", "azure-application-gateway", _OWN),
    (r"x-azure-ref:", "azure-front-door", _OWN),
    (r"(server: cloudflare|cf-ray:)", "cloudflare", _OWN),
    (r"via: .*\bgoogle\b", "gcp-load-balancer", _OWN),
    (r"(server: big-?ip|set-cookie: BIGipServer)", "f5", _OWN),
    (r"(via: .*NS-CACHE|set-cookie: NSC_)", "netscaler", _OWN),
    (r"(x-powered-by: ARR/|set-cookie: ARRAffinity)", "iis-arr", _OWN),
    (r"server: Apache\b", "apache", _OWN),
    (r"(x-varnish:|via: .*varnish)", "varnish", _OWN),
    (r"(server|via): .*nghttpx", "nghttpx", _OWN),
)
_BODIES = _traits(
    (r"<center>nginx(/[\d.]+)?</center>", "nginx", _OWN),
    (r"<h1>503 Service Unavailable</h1>\s+No server is available to handle this request\.", "haproxy", _OWN),
    (r"<h1>400 Bad request</h1>\s+Your browser sent an invalid request\.", "haproxy", _OWN),
    (r"<h1>408 Request Time-out</h1>\s+Your browser didn't send a complete request in time\.", "haproxy", _OWN),
    (r"<h1>502 Bad Gateway</h1>\s+The server returned an invalid or incomplete response\.", "haproxy", _OWN),
    (r"<h1>504 Gateway Time-out</h1>\s+The server didn't respond in time\.", "haproxy", _OWN),
    (r"\Ano healthy upstream\Z", "envoy", _OWN),
    (r"\Aupstream (connect error or disconnect|request timeout)", "envoy", _OWN),
    (r"\Ano available server\s*\Z", "traefik", _OWN),
    (r"\A404 page not found\s*\Z", "traefik", _SHARED),
    (r"\A400 Bad Request: missing required Host header", "traefik caddy", _SHARED),
    (r"Guru Meditation", "varnish", _OWN),
)
# Each pattern matches `METHOD target HTTP/version host=... agent=...` of a probe, with `-` for a header that it lacks.
_PROBES = _traits(
    (r"agent=Envoy/HC\b", "envoy", _OWN),
    (r"agent=haproxy", "haproxy", _OWN),
    (r"HTTP/1\.0 host=- agent=-\Z", "haproxy", _SHARED),
    (r"agent=Go-http-client/", "traefik caddy", _SHARED),
    (r"agent=ELB-HealthChecker/2", "aws-alb", _OWN),
    (r"agent=ELB-HealthChecker/1", "aws-clb", _OWN),
    (r"agent=GoogleHC/", "gcp-load-balancer", _OWN),
    (r"agent=Edge Health Probe", "azure-front-door", _OWN),
    (r"agent=Load Balancer Agent", "azure-load-balancer", _OWN),
    (r"agent=.*Cloudflare-Traffic-Manager", "cloudflare", _OWN),
    (r"agent=KEMP", "kemp", _OWN),
)


def detect(responses: Sequence[Answer], probes: Sequence[Probe]) -> Detected:
    """Return the product with the most evidence; its kind is None on a tie or without evidence.

    Args:
        responses: Answers through the front door; those that the balancer made itself (no healthy node, malformed request)
            tell most.
        probes: Probes of the prober that is taken for the balancer; a monitor's probes would point to the wrong product.
    """
    noticed = {**dict(_in_answers(responses)), **dict(_in_probes(probes)), **dict(_in_silence(responses, probes))}
    scores: dict[str, int] = defaultdict(int)
    for trait in noticed.values():
        for kind in trait.kinds:
            scores[kind] += trait.weight
    best = _best(scores)
    return Detected(
        kind=best, evidence=tuple(text for text, trait in noticed.items() if best is None or best in trait.kinds)
    )


def _best(scores: Mapping[str, int]) -> str | None:
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _in_answers(responses: Iterable[Answer]) -> Iterator[tuple[str, _Trait]]:
    for answer in responses:
        for name, value in answer.headers:
            yield from _found(_HEADERS, f"{name}: {value}", "an answer has the header {}")
        yield from _found(_BODIES, answer.body, "an error page says {}")


def _in_silence(responses: Sequence[Answer], probes: Sequence[Probe]) -> Iterator[tuple[str, _Trait]]:
    # Probes by Go's HTTP client are Traefik's or Caddy's, and Caddy names itself in every answer that it forwards.
    from_nodes = [answer for answer in responses if any(name.lower() == "octopus-node" for name, _ in answer.headers)]
    named = any("caddy" in value.lower() for answer in from_nodes for _, value in answer.headers)
    if from_nodes and not named and any("Go-http-client" in (probe.user_agent or "") for probe in probes):
        yield "no answer that was passed on names Caddy, as Caddy would", _Trait(re.compile(""), ("traefik",), _SHARED)


def _in_probes(probes: Iterable[Probe]) -> Iterator[tuple[str, _Trait]]:
    for probe in probes:
        line = f"{probe.method} {probe.target} HTTP/{probe.http_version} host={probe.host or '-'} agent={probe.user_agent or '-'}"
        yield from _found(_PROBES, line, "a probe says {}")


def _found(traits: Sequence[_Trait], text: str, sentence: str) -> Iterator[tuple[str, _Trait]]:
    for trait in traits:
        match = trait.pattern.search(text)
        if match is not None:
            yield sentence.format(repr(" ".join(match[0].split()))), trait
