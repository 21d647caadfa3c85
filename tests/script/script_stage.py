"""Short ways to write conditions, records and evidence."""

from typing import Any

from mocknode.script.evidence import Evidence
from mocknode.script.model import Condition
from mocknode.script.record import Record, StreamFigures
from mocknode.script.vocabulary import CONDITIONS

NODES = ("node-1", "node-2", "node-3")
S = 1_000_000_000


def condition(word: str, **args: Any) -> Condition:
    """Return a condition with the defaults of the fields that are not given; `at_least` stands for `at-least`."""
    given = {name.rstrip("_").replace("_", "-"): value for name, value in args.items()}
    defaults = {field.name: field.default for field in CONDITIONS[word].fields}
    assert given.keys() <= defaults.keys()
    return Condition(word=word, args={**defaults, **given})


def evidence(*, offset_ns: int = 0) -> Evidence:
    return Evidence(NODES, ("builds", "people"), offset_ns)


def request(
    node: str, t_ns: int, *, req: int = 1, phase: str = "whole", method: str = "GET", boot: int = 1
) -> dict[str, Any]:
    return {"kind": "request", "node": node, "boot": boot, "req": req, "phase": phase, "t_ns": t_ns, "method": method}


def state(node: str, t_ns: int, word: str, how: str | None = None) -> dict[str, Any]:
    return {"kind": "state", "node": node, "t_ns": t_ns, "state": word, "how": how, "boot": 1}


def ended(evidence_: Evidence, stream: str, at_ns: int, took_s: float = 0.1, **facts: Any) -> None:
    """Let an attempt of a stream begin and end."""
    id_ = f"{stream}-{at_ns}"
    evidence_.client(
        stream, {"t": "start", "id": id_, "due": at_ns - round(took_s * S), "at": at_ns - round(took_s * S)}
    )
    usual = {"told": "acknowledged", "status": 200, "node": "node-1", "end": "complete"}
    evidence_.client(stream, {"t": "end", "id": id_, "at": at_ns, **usual, **facts})


def record(**facts: Any) -> Record:
    streams = {
        "builds": StreamFigures(
            kind="push", attempts=10, acknowledged=10, classes={"delivered_once": 10}, latency_s={"p99": 0.5}
        ),
        "people": StreamFigures(kind="browse", attempts=20, acknowledged=20, latency_s={"p50": 0.01, "p99": 0.2}),
    }
    return Record(**{"duration_s": 60.0, "streams": streams, **facts})
