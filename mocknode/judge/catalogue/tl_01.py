"""TL-01 end-to-end-identity: Tentacle and node see each other's certificates, and the ClientHello arrives unchanged."""

from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.shared import polling
from mocknode.judge.record.history import Session, TentacleConnection, sessions_of
from mocknode.judge.verdict.case import Case
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "TL-01"
# Real Tentacles offer no ALPN. A balancer that handles TLS like a web server treats one that offers it differently.
ALPN: Final = ("h2", "http/1.1")
SHOWN: Final = ("sni", "alpn", "versions", "ja3", "size")


async def run(lab: "Lab") -> None:
    """Open two sessions at each address, one of them with ALPN. They follow each other, so that times alone tell them apart."""
    polling.record_addresses(lab)
    for place in lab.tentacles.values():
        for variant, alpn in (("plain", ()), ("alpn", ALPN)):
            async with lab.polling(place, ID, variant, alpn=alpn, hello=True):
                pass
    await lab.sync()


def judge(case: Case) -> list[Variant]:
    """Each side sees the other's thumbprint, and the node receives first what the Tentacle sent first."""
    if found := polling.no_addresses(case, ID):
        return found
    addresses = polling.addresses(case.history)
    sessions = sessions_of(case.history, ID)
    if addresses is None or not sessions:
        return []
    if all(s.stage in ("new", "tcp") and not polling.connections_at_nodes(case.history, s) for s in sessions):
        return [polling.not_connected(case, "reached", "core", sessions)]
    return [
        _server(case, sessions, addresses.thumbprints),
        _first_bytes(case, sessions),
        _client(case, sessions),
        _hello(case, sessions),
    ]


def _server(case: Case, sessions: list[Session], thumbprints: Any) -> Variant:
    """On the Tentacle's side: it sees the certificate of its node."""
    seen = [s for s in sessions if s.server is not None]
    wrong = [s for s in seen if s.server != thumbprints[s.node]]
    evidence: dict[str, Any] = {"tried": len(sessions), "handshakes": len(seen), "expected": dict(thumbprints)}
    if wrong:
        summary = (
            f"Tentacles get the certificate {wrong[0].server} ({wrong[0].subject}) instead of the node's "
            f"{thumbprints[wrong[0].node]}, and refuse it"
        )
        evidence |= {
            "got": wrong[0].server,
            "subject": wrong[0].subject,
            "addresses": sorted({s.address for s in wrong}),
        }
        return case.breaks(
            "server-certificate", "core", summary, cause="server-certificate-replaced", hurts=polling.HURTS, **evidence
        )
    if not seen:
        return _unseen(case, "server-certificate", sessions, **evidence)
    return case.holds("server-certificate", "core", "Tentacles see the certificates of their nodes", **evidence)


def _unseen(case: Case, name: str, sessions: list[Session], **evidence: Any) -> Variant:
    """Return a variant for connections that did not reach a handshake; another variant may say what stopped them."""
    if polling.reason_not_connected(case.history, sessions) is not None:
        return case.skips(name, "core", "no connection got this far, as another variant says", **evidence)
    return case.unknown(name, "core", "no connection got this far", **evidence)


def _first_bytes(case: Case, sessions: list[Session]) -> Variant:
    """On the node's side: the first bytes are TLS."""
    seen = [(s, c) for s in sessions for c in polling.connections_at_nodes(case.history, s) if c.opening is not None]
    evidence: dict[str, Any] = {"connections": len(seen)}
    wrong = [c for _, c in seen if c.opening != "tls"]
    if wrong:
        evidence |= {"opening": wrong[0].opening, "first_bytes": wrong[0].first_bytes, "node_says": wrong[0].log}
        if wrong[0].opening in ("proxy-v1", "proxy-v2"):
            summary = f"a PROXY header {wrong[0].opening[-2:]} reaches the node before the Tentacle's TLS; Octopus does not speak that"
            cause = "proxy-header-added"
        else:
            summary = "plain text reaches the node: the balancer ends the Tentacle's TLS and sends the rest without TLS"
            cause = "tls-terminated"
        return case.breaks("first-bytes", "core", summary, cause=cause, hurts=polling.HURTS, **evidence)
    if not seen:
        return _unseen(case, "first-bytes", sessions, **evidence)
    return case.holds("first-bytes", "core", "the first bytes at the nodes are TLS", **evidence)


def _client(case: Case, sessions: list[Session]) -> Variant:
    """On the node's side: it recognizes the Tentacle by its certificate."""
    judged = [
        (s, c)
        for s in sessions
        for c in polling.connections_at_nodes(case.history, s)
        if c.identified_ns is not None or _denied(c)
    ]
    evidence: dict[str, Any] = {"connections": len(judged)}
    for session, connection in judged:
        if connection.thumbprint == session.client:
            continue
        evidence |= {"expected": session.client, "got": connection.thumbprint, "node_says": connection.log}
        if connection.thumbprint is None:
            summary = "the balancer opens its own TLS connection to the node without a certificate, so the node recognizes no Tentacle"
            cause = "client-certificate-missing"
        else:
            summary = f"the balancer presents the certificate {connection.thumbprint} to the node, which trusts only the Tentacle's"
            cause = "client-certificate-replaced"
        return case.breaks("client-certificate", "core", summary, cause=cause, hurts=polling.HURTS, **evidence)
    if not judged:
        return _unseen(case, "client-certificate", sessions, **evidence)
    return case.holds("client-certificate", "core", "nodes see the certificates of their Tentacles", **evidence)


def _denied(connection: TentacleConnection) -> bool:
    return connection.cause in ("no-certificate", "untrusted-certificate")


def _hello(case: Case, sessions: list[Session]) -> Variant:
    """On both sides: every byte of the ClientHello is the same."""
    pairs = [
        (s.hello, c.hello)
        for s in sessions
        for c in polling.connections_at_nodes(case.history, s)
        if s.hello is not None and c.hello is not None
    ]
    evidence: dict[str, Any] = {"compared": len(pairs)}
    changed = next(((sent, got) for sent, got in pairs if sent["sha256"] != got["sha256"]), None)
    if changed is not None:
        sent, got = changed
        evidence |= {"sent": {name: sent[name] for name in SHOWN}, "got": {name: got[name] for name in SHOWN}}
        differs = ", ".join(name for name in SHOWN if sent[name] != got[name]) or "its random"
        return case.breaks(
            "client-hello", "core", f"the node receives another ClientHello than the Tentacle sent ({differs} differ)",
            cause="client-hello-changed", hurts=polling.HURTS, **evidence,
        )  # fmt: skip
    if not pairs:
        return _unseen(case, "client-hello", sessions, **evidence)
    return case.holds(
        "client-hello", "core", "the ClientHello arrives unchanged, with its name and protocols", **evidence
    )


PASS_TLS_THROUGH: Final = Advice(
    do="Give each node an address of its own for :10943 and pass TCP through untouched; tell each Tentacle every address (poll-server).",
    costs="One address or port for each node.",
)

CHECK = Check(
    id=ID,
    name="end-to-end-identity",
    profile="polling",
    claim="Tentacle and node see each other's certificates: TLS passes through the balancer untouched.",
    offenders=(
        "everything that ends TLS: ALB, Application Gateway and Front Door, Cloudflare's proxy, a company's TLS inspection",
        "PROXY headers: HAProxy `send-proxy`, nginx `proxy_protocol on`, NLB with Proxy Protocol v2",
        "stock Caddy, which cannot pass TLS through",
    ),
    quick="two sessions at each address, one of them with ALPN",
    full="the same",
    causes=(
        Cause("no-passage", PASS_TLS_THROUGH),
        Cause("server-certificate-replaced", PASS_TLS_THROUGH),
        Cause("tls-terminated", PASS_TLS_THROUGH),
        Cause(
            "proxy-header-added",
            Advice(
                do="Turn PROXY headers off for :10943; Octopus does not speak them.",
                costs="The nodes see the balancer's address instead of the Tentacle's.",
            ),
        ),
        Cause("client-certificate-missing", PASS_TLS_THROUGH),
        Cause("client-certificate-replaced", PASS_TLS_THROUGH),
        Cause("client-hello-changed", PASS_TLS_THROUGH),
    ),
    lane="polling",
    judge=judge,
    run=run,
)
