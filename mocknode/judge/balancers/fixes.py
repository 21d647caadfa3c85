"""What mends a cause in a balancer, or why nothing can: data of `<kind>/fixes.yaml` and `generic.yaml`, looked up here.

Every cause is, for every kind, exactly one of: mended by a `Fix`, a limitation with its reason, or impossible.
"""

import functools
from pathlib import Path
from typing import Any

import yaml

from mocknode.judge.balancers.registry import ADAPTERS
from mocknode.judge.verdict.outcome import Fix

_FOLDER = Path(__file__).parent

CAUSES: tuple[str, ...] = (
    *("no-active-probe", "probe-wrong-path", "probe-method-blind", "probe-tcp-only"),  # HC-01
    *("accepts-redirect", "accepts-other-2xx", "accepts-4xx", "accepts-5xx", "drained-node-stays"),  # HC-02
    *("hung-probe-stays", "serial-probing"),  # HC-03
    *("slow-probes-while-idle", "traffic-before-first-verdict"),  # HC-06
    *("drain-cuts-upload", "drained-node-gets-requests", "upload-redelivered"),  # DR-01
    *("kept-alive-pinned", "kept-alive-closed"),  # DR-02
    *("panic-mode", "survivor-errors"),  # DR-04
    *("all-drained-no-answer", "all-drained-no-recovery", "all-drained-policy-differs"),  # DR-05
    "body-size-limit",  # UP-01
    "request-buffering",  # UP-02
    *("upload-total-limit", "upload-idle-limit"),  # UP-03
    "response-timeout",  # UP-04
    *("chunked-not-forwarded", "truncated-body-completed"),  # UP-08
    *("post-replayed", "truncated-answer-completed", "answer-rewritten"),  # RT-01
    *("no-passage", "server-certificate-replaced", "tls-terminated", "proxy-header-added"),  # TL-01
    *("client-certificate-missing", "client-certificate-replaced", "client-hello-changed"),
    *(
        "address-leads-elsewhere",
        "address-not-forwarded",
        "client-hello-refused",
        "fails-over-to-another-node",
    ),  # TL-02
    *("drain-cuts-polling", "drained-node-refuses-polling"),  # TL-03
    *("polling-idle-limit", "polling-lifetime-limit"),  # TL-04
    "half-close-cut",  # TL-05
    *("connection-limit", "reconnects-refused"),  # TL-06
    *("forwarded-proto-missing", "original-host-missing", "forwarded-for-missing", "spoofed-forwarded-passed"),  # PR-01
    *("node-starved", "node-overloaded", "random-balancing"),  # PR-05
    *("standby-gets-traffic", "standby-not-used", "failover-cuts-upload"),  # RG-01
    *("failback-not-as-declared", "tentacles-not-repointed", "tentacles-at-standby"),
)
"""Every cause that a check names, in the order of the checks."""


def fix(kind: str, cause: str) -> Fix | None:
    """Lines that mend `cause`; None where there are none (see `limitation`) or where it cannot happen.

    A kind that we cannot start, such as `aws-alb` or `unknown`, gets what `generic_fix` knows of it.

    Raises:
        ValueError: for a cause that no check names.
    """
    _require(cause)
    if kind not in ADAPTERS:
        return generic_fix(cause, kind)
    found = _data(kind)["fixes"].get(cause)
    return None if found is None else Fix(balancer=kind, **{name: text.strip() for name, text in found.items()})


def kinds_with_fixes() -> frozenset[str]:
    """Kinds for which product-specific lines are known, those that we cannot start included."""
    products = (name for entry in _generic()["causes"].values() for name in entry["products"])
    return frozenset({*ADAPTERS, *products})


def limitation(kind: str, cause: str) -> str | None:
    """Why no configuration of this product mends `cause`, and what to change or buy; None where one does.

    Raises:
        ValueError: for a cause that no check names.
    """
    return _reason(kind, "limitations", cause)


def impossible(kind: str, cause: str) -> str | None:
    """Why `cause` cannot happen with this product; None where it can.

    Raises:
        ValueError: for a cause that no check names.
    """
    return _reason(kind, "impossible", cause)


def generic_fix(cause: str, kind: str = "unknown") -> Fix:
    """What to do about `cause` in a balancer that we do not start; only the product's own lines when we know its kind.

    Raises:
        ValueError: for a cause that no check names.
    """
    _require(cause)
    entry = _generic()["causes"][cause]
    products: dict[str, str] = entry["products"]
    if kind in products:
        products = {kind: products[kind]}
    elif kind != "unknown":
        products = {}
    lines = [entry["do"], *(f"{name}: {line}" for name, line in products.items())]
    return Fix(balancer=kind, file="the balancer's configuration", snippet="\n".join(lines), costs=entry["costs"])


def _reason(kind: str, section: str, cause: str) -> str | None:
    _require(cause)
    if kind not in ADAPTERS:
        return None
    reason: str | None = _data(kind).get(section, {}).get(cause)
    return reason


def _require(cause: str) -> None:
    if cause not in CAUSES:
        raise ValueError(f"{cause!r} is not a cause; there are {', '.join(CAUSES)}")


@functools.cache
def _data(kind: str) -> dict[str, dict[str, Any]]:
    return _load(_FOLDER / kind / "fixes.yaml")


@functools.cache
def _generic() -> dict[str, dict[str, Any]]:
    return _load(_FOLDER / "generic.yaml")


def _load(path: Path) -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data
