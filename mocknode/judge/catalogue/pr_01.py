"""PR-01 forwarded-headers: what a node learns about the client's scheme, name and address, and whether it can trust that."""

from typing import TYPE_CHECKING, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record.history import Attempt, Request
from mocknode.judge.verdict.case import Case, limited_on_l4
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "PR-01"
# Documentation addresses (RFC 5737) and a reserved name (RFC 2606) belong to nobody, so they can only come from the client.
SPOOFED_ADDRESS: Final = "192.0.2.66"
SPOOFED_NAME: Final = "spoofed.example.net"
SPOOFED: Final = (
    ("X-Forwarded-For", SPOOFED_ADDRESS),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", SPOOFED_NAME),
    ("Forwarded", f"for={SPOOFED_ADDRESS};host={SPOOFED_NAME};proto=gopher"),
    ("X-Original-For", SPOOFED_ADDRESS),
    ("X-Original-Host", SPOOFED_NAME),
)


async def run(lab: "Lab") -> None:
    """Send one honest and one spoofing GET through each front door."""
    for front in dict.fromkeys([lab.front, *([lab.secure] if lab.secure else [])]):
        host = [("Host", lab.public_name)]
        await lab.get(ID, f"{front.scheme}", headers=host, front=front)
        await lab.get(ID, f"{front.scheme}-spoofed", headers=[*host, *SPOOFED], front=front)
    await lab.until(lambda h: all(h.at_nodes(a.id) for a in h.attempts_of(ID) if a.node), 3.0)


def judge(case: Case) -> list[Variant]:
    """Scheme, name and address arrive, and spoofed values do not pass as the balancer's own."""
    variants = []
    for attempt in case.history.attempts_of(ID):
        seen = next(iter(case.history.at_nodes(attempt.id)), None)
        if seen is None:
            variants.append(
                case.unknown(attempt.variant, "core", f"no node saw the request ({attempt.status or attempt.end})")
            )
        elif attempt.variant.endswith("-spoofed"):
            variants.append(_spoofed(case, attempt, seen))
        else:
            found = [_proto(case, attempt, seen), _name(case, attempt, seen), _address(case, attempt, seen)]
            variants += [limited_on_l4(case, variant) for variant in found]
    return variants


def _entries(seen: Request, name: str) -> list[str]:
    """Return all values of a header, in order, with lists split into their entries."""
    values = [value for key, value in seen.headers if key.lower() == name.lower()]
    return [entry.strip() for value in values for entry in value.split(",")]


def _scheme(attempt: Attempt) -> str:
    return attempt.url.split(":", 1)[0]


def _proto(case: Case, attempt: Attempt, seen: Request) -> Variant:
    scheme, got = _scheme(attempt), _entries(seen, "X-Forwarded-Proto")
    name = f"{attempt.variant}-proto"
    if got == [scheme]:
        return case.holds(name, "core", f"the node learns the client's scheme ({scheme})", got=got)
    hurts = "links, redirects and secure cookies of the portal: the node believes that its users come by plain HTTP"
    if scheme == "http":
        hurts = "users that come by HTTPS, as soon as TLS ends at the balancer: nothing tells the node that they did"
    summary = f"a client used {scheme}, but the node got X-Forwarded-Proto {', '.join(got) or 'none'}"
    return case.breaks(name, "core", summary, cause="forwarded-proto-missing", hurts=hurts, attempt=attempt.id, got=got)


def _name(case: Case, attempt: Attempt, seen: Request) -> Variant:
    got = [*_entries(seen, "Host"), *_entries(seen, "X-Forwarded-Host")]
    name = f"{attempt.variant}-host"
    if any(entry.split(":")[0].lower() == case.public_name.split(":")[0].lower() for entry in got):
        return case.holds(name, "core", "the node learns the name that the client asked for", got=got)
    summary = f"the client asked for {case.public_name}, but the node got {', '.join(got) or 'none'}"
    hurts = "absolute links, OIDC redirects and name-based rules: the node sees the balancer's or its own name"
    return case.breaks(name, "core", summary, cause="original-host-missing", hurts=hurts, attempt=attempt.id, got=got)


def _address(case: Case, attempt: Attempt, seen: Request) -> Variant:
    address, got = attempt.source.rsplit(":", 1)[0], _entries(seen, "X-Forwarded-For")
    name = f"{attempt.variant}-for"
    if got and got[-1] == address:
        return case.holds(name, "core", "the node learns the client's address", got=got)
    summary = f"the client's address is {address}, but the node got X-Forwarded-For {', '.join(got) or 'none'}"
    hurts = "the audit log and rate limits: every request seems to come from the balancer"
    return case.breaks(name, "core", summary, cause="forwarded-for-missing", hurts=hurts, attempt=attempt.id, got=got)


def _spoofed(case: Case, attempt: Attempt, seen: Request) -> Variant:
    passed = [
        name
        for name, value in SPOOFED
        # If the balancer appended its own entry, the spoofed one does no harm: Trusted Proxies are read from the right.
        if _entries(seen, name)[-1:] == [value]
    ]
    if not passed:
        return case.holds(
            attempt.variant,
            "extended",
            "values invented by a client do not pass as the balancer's",
            tried=len(SPOOFED),
        )
    summary = f"a client can spoof {', '.join(passed)}: the balancer forwards these headers unchanged"
    hurts = "the audit log, if the node trusts them: set Trusted Proxies on the Octopus side first"
    return case.breaks(
        attempt.variant,
        "extended",
        summary,
        cause="spoofed-forwarded-passed",
        hurts=hurts,
        passed=passed,
        attempt=attempt.id,
    )


SET_FORWARDED_HEADERS: Final = Advice(
    do="Set X-Forwarded-Proto, X-Forwarded-Host (or keep Host) and X-Forwarded-For on every request.",
    costs="Nothing; list the balancer in Trusted Proxies of Octopus.",
)

CHECK = Check(
    id=ID,
    name="forwarded-headers",
    profile="web",
    claim="The node learns the client's scheme, the name it asked for and its address.",
    offenders=(
        "nginx, HAProxy and Envoy as shipped; Apache (the scheme)",
        "Caddy 2.11 with `https://` nodes (the name)",
    ),
    quick="one honest and one spoofing request by HTTP and by HTTPS",
    full="the same",
    causes=(
        Cause("forwarded-proto-missing", SET_FORWARDED_HEADERS),
        Cause("original-host-missing", SET_FORWARDED_HEADERS),
        Cause("forwarded-for-missing", SET_FORWARDED_HEADERS),
        Cause(
            "spoofed-forwarded-passed",
            Advice(
                do="In Octopus set Trusted Proxies to the balancer's addresses; in the balancer overwrite forwarding headers instead of appending.",
                costs="Values that a proxy in front of this one has set are lost.",
            ),
        ),
    ),
    lane="light",
    judge=judge,
    run=run,
)
