"""A fault as it is set: its kind with options, and for all kinds whom it hits and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.kinds import ON_TENTACLE, fault_class
from mocknode.mock.node.faults.options import FaultError, build
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.triggers import Trigger, parse_trigger
from mocknode.text import units

Scope = Literal["ping", "api", "all", "tentacle"]
SCOPES: Final = ("ping", "api", "all", "tentacle")
KEYS: Final = ("id", "kind", "options", "on", "first", "every", "after", "ttl", "attempt")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """One fault, validated.

    Attributes:
        options: Options as they were given; `fault` has their values.
        on: Requests on the ping path, all other requests, or both; or connections at the Tentacle port.
        first: Act on this many requests, then end; None for no limit.
        every: Act on every k-th matching request only; None for each.
        after: Wait for this trigger; None to act immediately.
        ttl_s: End this many seconds after it became active; None for never.
        attempt: Act on the request with this attempt id only.
    """

    id: str
    kind: str
    fault: Fault
    options: Mapping[str, Any]
    on: Scope = "all"
    first: int | None = None
    every: int | None = None
    after: Trigger | None = None
    ttl: str | None = None
    ttl_s: float | None = None
    attempt: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the fault object of control channel, control API and journal."""
        return {
            "id": self.id,
            "kind": self.kind,
            "options": dict(self.options),
            "on": self.on,
            "first": self.first,
            "every": self.every,
            "after": self.after.text if self.after else None,
            "ttl": self.ttl,
            "attempt": self.attempt,
        }


def parse_fault(document: Mapping[str, Any]) -> FaultSpec:
    """Return the fault that a fault object describes.

    Raises:
        FaultError: naming what was got and what is allowed.
    """
    for key in document:
        if key not in KEYS:
            raise FaultError(f"fault: unknown key {key!r}, allowed: {', '.join(KEYS)}", got=key, allowed=KEYS)
    kind = document.get("kind")
    cls = fault_class(kind)
    options = document.get("options") or {}
    if not isinstance(options, Mapping):
        raise FaultError(f"fault {kind}: options are {options!r}, allowed: an object", got=options, allowed=["object"])
    on = _scope(document.get("on") or "all")
    if on == "tentacle":
        _refuse_on_tentacle(cls, document, options)
    ttl = _text(document, "ttl")
    after = _text(document, "after")
    return FaultSpec(
        id=_text(document, "id") or "",
        kind=str(kind),
        fault=build(cls, str(kind), options),
        options=dict(options),
        on=on,
        first=_count(document, "first"),
        every=_count(document, "every"),
        after=None if after is None else _trigger(after),
        ttl=ttl,
        ttl_s=None if ttl is None else _duration(ttl),
        attempt=_text(document, "attempt"),
    )


def _scope(on: object) -> Scope:
    if on not in SCOPES:
        raise FaultError(f"fault on: got {on!r}, allowed: {', '.join(SCOPES)}", got=on, allowed=SCOPES)
    return on


def _refuse_on_tentacle(cls: type[Fault], document: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    kind = cls.kind
    if not cls.on_tentacle:
        raise FaultError(
            f"fault on 'tentacle': got kind {kind!r}, which needs a request; allowed: {', '.join(ON_TENTACLE)}",
            got=kind,
            allowed=ON_TENTACLE,
        )
    if "at" in options:
        raise FaultError(
            f"fault on 'tentacle': got option at={options['at']!r}, a point of a request; allowed: none, as it acts when "
            "the connection is accepted",
            got=options["at"],
        )
    if document.get("attempt") is not None:
        raise FaultError(
            f"fault on 'tentacle': got attempt {document['attempt']!r}, which only a request has; allowed: null",
            got=document["attempt"],
            allowed=["null"],
        )


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise FaultError(f"fault {key}: got {value!r}, allowed: text", got=value, allowed=["text"])
    return value


def _count(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        allowed = "a whole number of at least 1"
        raise FaultError(f"fault {key}: got {value!r}, allowed: {allowed}", got=value, allowed=[allowed])
    return value


def _trigger(text: str) -> Trigger:
    try:
        return parse_trigger(text)
    except RefusedError as exc:
        raise FaultError(f"fault after: {exc.detail}", got=exc.got, allowed=exc.allowed) from exc


def _duration(text: str) -> float:
    try:
        return units.parse_duration(text)
    except ValueError as exc:
        raise FaultError(f"fault ttl: {exc}", got=text, allowed=["a duration such as 30s"]) from exc
