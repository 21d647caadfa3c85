"""PR-01 forwarded-headers: what a node learns about the client's scheme, name and address, and whether it can trust that.

A server reads X-Forwarded-For from the right and skips the addresses in its Trusted Proxies; the first other one is the client's.
Each proxy of a chain adds the address that it was reached from, so the entries after the client's are those of proxies.
"""

import ipaddress
from typing import TYPE_CHECKING, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.record.history import Attempt, Request
from mocknode.judge.traffic import FrontDoor
from mocknode.judge.verdict import foreign, refusals
from mocknode.judge.verdict.case import Case, limited_on_l4
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "PR-01"
# Documentation addresses (RFC 5737) and a reserved name (RFC 2606) belong to nobody, so they can only come from the client.
SPOOFED_ADDRESS: Final = "192.0.2.66"
SPOOFED_NAME: Final = "spoofed.example.net"
# Enough to meet a node behind a pool of which half is none of them, but for once in a thousand.
TRIES: Final = 10
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
    host = [("Host", lab.public_name)]
    for front in dict.fromkeys([lab.front, *([lab.secure] if lab.secure else [])]):
        await _ask(lab, front, front.scheme, host)
        await _ask(lab, front, f"{front.scheme}-spoofed", [*host, *SPOOFED])
    await lab.until(lambda h: all(h.at_nodes(a.id) for a in h.attempts_of(ID) if a.node), 3.0)


async def _ask(lab: "Lab", front: FrontDoor, variant: str, headers: list[tuple[str, str]]) -> None:
    """Send one GET. Where some requests go to a server that is none of the nodes, send more until a node gets one."""
    for _ in range(TRIES):
        attempt = await lab.get(ID, variant, headers=headers, front=front)
        if foreign.known(lab.history) is None or attempt.node is not None:
            return


def judge(case: Case) -> list[Variant]:
    """Scheme, name and address arrive, and spoofed values do not pass as the balancer's own."""
    variants = []
    # The last of each variant: those before it went to a server that is none of the nodes.
    for attempt in {a.variant: a for a in case.history.attempts_of(ID)}.values():
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
    return variants + _head(case)


def _head(case: Case) -> list[Variant]:
    """Return a failure for each way in which a head arrived otherwise than it was sent, so that the node refused the request."""
    found: dict[str, str] = {}
    for id_, refusal in refusals.refusals(case.history, case.history.attempts).items():
        if refusal.cause == refusals.HEAD:
            found.setdefault(refusal.summary, id_)
    return [
        case.breaks(f"head-{n}", "core", summary, cause=refusals.HEAD, hurts=refusals.HURTS[refusals.HEAD], attempt=id_)
        for n, (summary, id_) in enumerate(found.items(), 1)
    ]


def _entries(seen: Request, name: str) -> list[str]:
    """Return all values of a header, in order, with lists split into their entries."""
    values = [value for key, value in seen.headers if key.lower() == name.lower()]
    return [entry.strip() for value in values for entry in value.split(",")]


def _scheme(attempt: Attempt) -> str:
    return attempt.url.split(":", 1)[0]


def _proto(case: Case, attempt: Attempt, seen: Request) -> Variant:
    scheme, got = _scheme(attempt), _entries(seen, "X-Forwarded-Proto")
    name = f"{attempt.variant}-proto"
    # A server pairs both lists: where every proxy adds to both, the client's scheme stands where its address does.
    behind = len(_addresses_after(attempt, seen) or ())
    if got == [scheme] or (len(got) == behind + 1 and got[0] == scheme):
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
    address, got = _client(attempt), _entries(seen, "X-Forwarded-For")
    name = f"{attempt.variant}-for"
    behind = _addresses_after(attempt, seen)
    if proxies := sorted(set(behind or ()) - {address}):
        note = (
            f"put {', '.join(proxies)} into Trusted Proxies of Octopus, besides the balancer's own address: these proxies stand in "
            "front of the balancer, and a server takes the last address that it does not trust for the client's"
        )
        summary = "the node learns the client's address, followed by those of proxies in front of the balancer"
        return case.holds(name, "core", summary, got=got, trusted_proxies=proxies, note=note)
    if behind is not None:
        return case.holds(name, "core", "the node learns the client's address", got=got)
    summary = f"the client's address is {address}, but the node got X-Forwarded-For {', '.join(got) or 'none'}"
    hurts = "the audit log and rate limits: every request seems to come from the balancer"
    return case.breaks(name, "core", summary, cause="forwarded-for-missing", hurts=hurts, attempt=attempt.id, got=got)


def _client(attempt: Attempt) -> str:
    return _bare(attempt.source)


def _bare(text: str) -> str:
    """Return an entry's address without its port: Azure's gateway writes `192.0.2.1:50000`."""
    host = text.strip().partition("]")[0].removeprefix("[") if text.strip().startswith("[") else text.strip()
    for candidate in (host, host.rpartition(":")[0]):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return str(mapped or address)
    return host


def _addresses_after(attempt: Attempt, seen: Request) -> list[str] | None:
    """Return the entries of X-Forwarded-For after the client's own; None if the client's address is not there."""
    entries = [_bare(entry) for entry in _entries(seen, "X-Forwarded-For")]
    address = _client(attempt)
    return entries[entries.index(address) + 1 :] if address in entries else None


def _passes(attempt: Attempt, seen: Request, name: str, value: str) -> bool:
    """Return whether a server would take the client's invented value for the balancer's."""
    got = _entries(seen, name)
    if name != "X-Forwarded-For":
        return got[-1:] == [value]
    # It does no harm to the left of the client's own address, which a server that trusts the proxies meets first.
    right = got[max((n for n, entry in enumerate(got) if entry == value), default=len(got)) :]
    return bool(right) and _client(attempt) not in map(_bare, right)


def _spoofed(case: Case, attempt: Attempt, seen: Request) -> Variant:
    passed = [name for name, value in SPOOFED if _passes(attempt, seen, name, value)]
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
            refusals.HEAD,
            Advice(
                do="Forward method, path and every header as they came, above all X-Octopus-ApiKey and Content-Type.",
                costs="Nothing.",
            ),
        ),
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
