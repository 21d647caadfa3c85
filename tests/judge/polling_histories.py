"""Histories of polling Tentacles, and the verdict that each one earns."""

from collections.abc import Callable
from typing import Any

from mocknode.judge.record.history import History, Session, TentacleConnection
from mocknode.judge.verdict.case import Case
from tests.judge.histories import NODES, SECOND, case, step

S = SECOND
OURS, THEIRS, BALANCERS = "A" * 40, "B" * 40, "C" * 40
HELLO = {"sni": None, "alpn": (), "versions": ("TLSv1.3",), "ja3": "0" * 32, "size": 300, "sha256": "1" * 64}
OTHER_HELLO = {**HELLO, "ja3": "f" * 32, "sha256": "2" * 64}
ADDRESSES = {node: f"127.0.0.1:1094{n + 3}" for n, node in enumerate(NODES)}
Row = tuple[str, Callable[[], Case], str, str, str | None, str | None]


def session(check: str, variant: str, node: str = "node-1", **facts: Any) -> Session:
    """One that polled and was closed by its Tentacle, unless told otherwise."""
    usual: dict[str, Any] = {
        "id": f"{check}-{variant}-{node}", "address": ADDRESSES[node], "started_ns": S, "identified_ns": S + 10, "ended_ns": 2 * S,
        "by": "self", "how": "fin", "stage": "identified", "server": THEIRS, "client": OURS, "hello": HELLO,
    }  # fmt: skip
    return Session(check=check, variant=variant, node=node, **{**usual, **facts})


def seen(of: Session, node: str | None = None, **facts: Any) -> TentacleConnection:
    """What a node saw of it: everything in order, unless told otherwise."""
    usual: dict[str, Any] = {
        "opened_ns": of.started_ns + 5, "opening": "tls", "hello": HELLO, "identified_ns": of.started_ns + 8, "thumbprint": OURS,
        "trusted": True, "subscription": f"poll://{of.id}/", "closed_ns": of.ended_ns, "cause": "end",
    }  # fmt: skip
    return TentacleConnection(node=node or of.node, boot=1, conn=1, peer="127.0.0.1:9", **{**usual, **facts})


def lost(check: str, variant: str, node: str = "node-1", **facts: Any) -> Session:
    """One that never got through."""
    usual = {"identified_ns": None, "by": "peer", "how": "rst", "stage": "tcp", "server": None, "error": "it said no"}
    return session(check, variant, node, **{**usual, **facts})


def unseen(**facts: Any) -> dict[str, Any]:
    """Facts of a connection that nobody was identified on."""
    return {"subscription": None, "identified_ns": None, "thumbprint": None, "hello": None, **facts}


def history(
    *pairs: tuple[Session, TentacleConnection | None], steps: tuple[Any, ...] = (), own: Any = ADDRESSES
) -> Case:
    thumbprints = dict.fromkeys(own, THEIRS)
    told = step("passage", "addresses", 0, own=dict(own), names={}, thumbprints=thumbprints)
    return case(
        History(
            sessions=[pair[0] for pair in pairs],
            tentacles=[pair[1] for pair in pairs if pair[1] is not None],
            steps=[told, *steps],
        )
    )


def good(check: str, *variants: str, node: str = "node-1") -> list[tuple[Session, TentacleConnection | None]]:
    return [(s, seen(s)) for s in (session(check, variant, node) for variant in variants)]


def tl_01(mine: dict[str, Any] | None = None, nodes: dict[str, Any] | None = None, *, through: bool = True) -> Case:
    make = session if through else lost
    one = make("TL-01", "plain", **(mine or {}))
    return history((one, seen(one, **(nodes or {}))))


PROXIED = unseen(opening="proxy-v1", cause="proxy-header-v1")
PLAIN = unseen(opening="plain", cause="plain-text")


def tl_02(variant: str, node: str | None = "node-1") -> Case:
    odd = session("TL-02", variant, id="odd") if node else lost("TL-02", variant, id="odd")
    steps = (step("TL-02", "down", S, node="node-1"),)
    return history(*good("TL-02", "dedicated"), (odd, seen(odd, node) if node else None), steps=steps)


def tl_02_plain() -> Case:
    made = lost("TL-02", "dedicated")
    return history((made, seen(made, **PLAIN)))


def one(check: str, variant: str, node: str | None, **facts: Any) -> tuple[Session, TentacleConnection | None]:
    made = session(check, variant, **facts) if node else lost(check, variant, **facts)
    return made, seen(made, node) if node else None


def undrained(*, cut_after_s: int | None, talked_s: int | None) -> list[tuple[Session, TentacleConnection | None]]:
    """At the first node once it was drained: a connection that says nothing, and one that is called all the time."""
    opened = {"started_ns": 20 * S, "identified_ns": 20 * S, "ended_ns": 40 * S}
    quiet = {} if cut_after_s is None else {"by": "peer", "ended_ns": (20 + cut_after_s) * S}
    talk = {} if talked_s is None else {"by": "peer", "ended_ns": (20 + talked_s) * S}
    return [
        one("TL-03", "undrained", "node-1", **{**opened, **quiet}),
        one("TL-03", "talking", "node-1", polls=((20 + (talked_s or 20)) * S - 10,), **{**opened, **talk}),
    ]


def tl_03(
    *, cut: bool = False, refused: bool = False, through: bool = True, before: bool = True, node: str = "node-1",
    lost_anyway: bool = False, newcomer: str = "node-1", compared: bool = True, cut_after_s: int | None = None,
    talked_s: int | None = None, silence_stays: bool = False,
) -> Case:  # fmt: skip
    """A drain at 3 s; where it cut, others stood without one, if `compared`, until they were cut too."""
    gone = {"by": "peer", "how": "fin", "ended_ns": 8 * S}
    stays = {"ended_ns": 20 * S}
    return history(
        *([one("TL-02", "dedicated", None)] if lost_anyway else []),
        *([one("TL-04", "35s", "node-1")] if silence_stays else []),
        one("TL-03", "live", node, **(gone if cut else stays)) if through else one("TL-03", "live", None),
        one("TL-03", "before", node if through and before else None),
        one("TL-03", "new", None if refused else newcomer, id="new", started_ns=9 * S),
        *(undrained(cut_after_s=cut_after_s, talked_s=talked_s) if cut and compared else []),
        steps=(
            step("TL-03", "drained", 3 * S, nodes=["node-1"], since_ns=3 * S),
            step("TL-03", "watched", 15 * S, since_ns=3 * S),
        ),
    )


def tl_04(variant: str, *, cut_after_s: int | None = None, through: bool = True, came: bool = True) -> Case:
    if not through:
        return history((lost("TL-04", variant, "node-2"), None))
    silent_s = int(variant[:-1])
    marks = {"message": S} if came else {}
    facts: dict[str, Any] = {"marks": marks, "by": "peer", "ended_ns": (1 + (cut_after_s or 1)) * S}
    if cut_after_s is None and came:
        facts = {"marks": {**marks, "answered": (1 + silent_s) * S, "proceeded": (1 + silent_s) * S + 5}}
    made = session("TL-04", variant, "node-2", **facts)
    return history((made, seen(made)))


def tl_04_beside_talk(silent_s: int, talked_s: int, paused_s: int) -> Case:
    """One silent connection and one that talked, cut after so many seconds, at the same address."""
    quiet = session("TL-04", "35s", "node-2", marks={"message": S}, by="peer", ended_ns=(1 + silent_s) * S)
    ended_ns = (1 + talked_s) * S
    talk = session("TL-04", "talking", "node-2", polls=(S + 10, ended_ns - paused_s * S), by="peer", ended_ns=ended_ns)
    return history((quiet, seen(quiet)), (talk, seen(talk)))


def tl_04_of_two(**facts: Any) -> Case:
    """One address survives the silence, at the other nothing gets through."""
    whole = session("TL-04", "35s", "node-2", marks={"message": S, "answered": 36 * S, "proceeded": 36 * S})
    gone = lost("TL-04", "35s", "node-3", hello=OTHER_HELLO)
    return history((whole, seen(whole)), (gone, seen(gone, **facts) if facts else None))


def tl_05(**marks: int) -> Case:
    cut = {"by": "peer", "ended_ns": 2 * S} if "rest" not in marks else {}
    made = session("TL-05", "half-close", marks={"half-closed": S, **marks}, **cut)
    return history((made, seen(made)))


def tl_06(
    stand: int, missing_after_restart: int | None = None, *, node: str = "node-1", lost_anyway: bool = False
) -> Case:
    steps = [step("TL-06", "stand", 5 * S, node="node-1", wanted=300, stand=stand)]
    if missing_after_restart is not None:
        steps.append(
            step("TL-06", "back", 70 * S, node="node-1", wanted=300, missing=missing_after_restart, after_s=60.0)
        )
    pairs = [one("TL-02", "dedicated", None)] if lost_anyway else []
    pairs += [one("TL-06", "fleet", node if n < stand else None, id=f"f{n}", ended_ns=9 * S) for n in range(300)]
    return history(*pairs, steps=tuple(steps))


NO_CLIENT = unseen(cause="no-certificate", hello=OTHER_HELLO)
OTHER_CLIENT = unseen(cause="untrusted-certificate", thumbprint=BALANCERS)
NOWHERE = lambda: history(own={})  # noqa: E731  # a row wants a function, as its neighbours are
ROWS: list[Row] = [
    ("TL-01", NOWHERE, "passage", "fail", "no-passage", None),
    *[(f"TL-0{n}", NOWHERE, "passage", "fail", "no-passage", "TL-01") for n in range(2, 7)],
    *[("TL-01", tl_01, name, "pass", None, None) for name in ("server-certificate", "first-bytes", "client-certificate", "client-hello")],
    ("TL-01", lambda: tl_01({"server": BALANCERS, "subject": "CN=lb"}), "server-certificate", "fail", "server-certificate-replaced", None),
    ("TL-01", lambda: tl_01({}, PLAIN, through=False), "first-bytes", "fail", "tls-terminated", None),
    ("TL-01", lambda: tl_01({}, PROXIED, through=False), "first-bytes", "fail", "proxy-header-added", None),
    ("TL-01", lambda: tl_01({}, PROXIED, through=False), "server-certificate", "skip", None, None),
    ("TL-01", lambda: tl_01({"server": THEIRS}, NO_CLIENT, through=False), "client-certificate", "fail", "client-certificate-missing", None),
    ("TL-01", lambda: tl_01({"server": THEIRS}, OTHER_CLIENT, through=False), "client-certificate", "fail", "client-certificate-replaced", None),
    ("TL-01", lambda: tl_01({}, {"hello": OTHER_HELLO}), "client-hello", "fail", "client-hello-changed", None),
    ("TL-01", lambda: history((lost("TL-01", "plain"), None)), "reached", "fail", "address-not-forwarded", "TL-02"),
    ("TL-02", lambda: history(*good("TL-02", "dedicated")), "dedicated", "pass", None, None),
    ("TL-02", lambda: history(one("TL-02", "dedicated", "node-2")), "dedicated", "fail", "address-leads-elsewhere", None),
    ("TL-02", lambda: history(one("TL-02", "dedicated", None)), "dedicated", "fail", "address-not-forwarded", None),
    ("TL-02", tl_02_plain, "dedicated", "fail", "tls-terminated", "TL-01"),
    ("TL-02", lambda: tl_02("long-hello"), "long-hello", "pass", None, None),
    ("TL-02", lambda: tl_02("split-hello", None), "split-hello", "fail", "client-hello-refused", None),
    ("TL-02", lambda: tl_02("no-name", None), "no-name", "pass", None, None),
    ("TL-02", lambda: tl_02("unknown-name", "node-3"), "unknown-name", "fail", "address-leads-elsewhere", None),
    ("TL-02", lambda: tl_02("by-name-none", None), "by-name-none", "pass", None, None),
    ("TL-02", lambda: tl_02("by-name-none", "node-3"), "by-name-none", "observed", None, None),
    ("TL-02", lambda: tl_02("node-down", None), "node-down", "pass", None, None),
    ("TL-02", lambda: tl_02("node-down", "node-2"), "node-down", "fail", "fails-over-to-another-node", None),
    ("TL-03", tl_03, "live", "pass", None, None),
    ("TL-03", tl_03, "new", "pass", None, None),
    ("TL-03", lambda: tl_03(cut=True), "live", "fail", "drain-cuts-polling", None),
    ("TL-03", lambda: tl_03(cut=True, compared=False), "live", "fail", "drain-cuts-polling", None),
    ("TL-03", lambda: tl_03(cut=True, cut_after_s=7), "live", "fail", "polling-idle-limit", "TL-04"),
    ("TL-03", lambda: tl_03(cut=True, cut_after_s=7, talked_s=7), "live", "fail", "polling-lifetime-limit", "TL-04"),
    ("TL-03", lambda: tl_03(cut=True, cut_after_s=60, talked_s=60, silence_stays=True), "live", "fail", "polling-lifetime-limit", None),
    ("TL-03", lambda: tl_03(newcomer="node-2"), "new", "fail", "drained-node-refuses-polling", None),
    ("TL-03", lambda: tl_03(refused=True), "new", "fail", "drained-node-refuses-polling", None),
    ("TL-03", lambda: tl_03(refused=True, lost_anyway=True), "new", "fail", "address-not-forwarded", "TL-02"),
    ("TL-03", lambda: tl_03(through=False), "live", "fail", "address-not-forwarded", "TL-02"),
    ("TL-03", lambda: tl_03(node="node-2"), "live", "fail", "address-leads-elsewhere", "TL-02"),
    ("TL-03", lambda: tl_03(before=False, refused=True), "live", "pass", None, None),
    ("TL-03", lambda: tl_03(before=False, refused=True), "new", "fail", "connection-limit", "TL-06"),
    ("TL-04", lambda: tl_04("35s"), "35s", "pass", None, None),
    ("TL-04", lambda: tl_04("35s", cut_after_s=20), "35s", "fail", "polling-idle-limit", None),
    ("TL-04", lambda: tl_04("65s", cut_after_s=50), "65s", "advice", "polling-idle-limit", None),
    ("TL-04", lambda: tl_04("35s", came=False), "35s", "unknown", None, None),
    ("TL-04", lambda: tl_04("35s", through=False), "35s", "fail", "address-not-forwarded", "TL-02"),
    ("TL-04", lambda: tl_04_beside_talk(20, 20, 4), "35s", "fail", "polling-lifetime-limit", None),
    ("TL-04", lambda: tl_04_beside_talk(3, 13, 3), "35s", "fail", "polling-idle-limit", None),
    ("TL-04", tl_04_of_two, "35s", "fail", "address-not-forwarded", "TL-02"),
    ("TL-04", lambda: tl_04_of_two(**PROXIED), "35s", "fail", "proxy-header-added", "TL-01"),
    ("TL-05", lambda: tl_05(rest=4 * S), "half-close", "pass", None, None),
    ("TL-05", lambda: tl_05(rest=4 * S), "half-open", "skip", None, None),
    ("TL-05", tl_05, "half-close", "advice", "half-close-cut", None),
    ("TL-06", lambda: tl_06(300), "fleet", "pass", None, None),
    ("TL-06", lambda: tl_06(298), "fleet", "pass", None, None),
    ("TL-06", lambda: tl_06(250), "fleet", "advice", "connection-limit", None),
    ("TL-06", lambda: tl_06(300, 0), "restart", "pass", None, None),
    ("TL-06", lambda: tl_06(300, 40), "restart", "advice", "reconnects-refused", None),
    ("TL-06", lambda: tl_06(300, 0, node="node-2"), "restart", "advice", "address-leads-elsewhere", "TL-02"),
    ("TL-06", lambda: tl_06(250, lost_anyway=True), "fleet", "advice", "address-not-forwarded", "TL-02"),
    ("TL-06", lambda: tl_06(0), "fleet", "advice", "address-not-forwarded", "TL-02"),
]  # fmt: skip
