"""Declarations of verbs, conditions and streams: the fields that each has. Parser and JSON Schema are made from them. No I/O."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mocknode.script.context import Look, Stage
from mocknode.script.evidence import Evidence
from mocknode.script.record import Record
from mocknode.script.values import Kind

Check = Callable[[Mapping[str, Any]], str | None]
"""Says what is wrong with fields that are right one by one; None when nothing is."""
Claim = Literal["safety", "liveness"]


ONLINE: Final = "online"
DRAINING: Final = "draining"
OFFLINE: Final = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a verb, a condition or a stream.

    Attributes:
        kind: How its value is written; None for a condition, which is a mapping of its own.
        many: A list of such values.
    """

    name: str
    about: str
    kind: Kind | None
    required: bool = False
    default: Any = None
    many: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A step that a schedule can have.

    Attributes:
        short: The field that a bare value fills: `drain: node-1`.
        run: Carries it out; returns what the record is to say. Raises `StepFailedError` when it cannot.
        before: States in which its node may be; empty for a verb that leaves the state of nodes as it is.
        after: Returns the state of its node afterwards; None where `before` is empty.
        check: Says what is wrong with fields that are right one by one.
    """

    word: str
    about: str
    fields: tuple[Field, ...]
    short: str | None
    run: Callable[[Mapping[str, Any], Stage], Awaitable[str]]
    before: tuple[str, ...] = ()
    after: Callable[[Mapping[str, Any]], str] | None = None
    check: Check | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionShape:
    """A condition of `wait` and `expect`.

    Attributes:
        look: Says whether it holds now, and in one line what it saw; None for what is known only when a run is over.
        judge: Says the same of a whole run; None for what is about a moment.
        claim: Whether it is about safety, which is judged whatever happens, or about liveness, which is not judged while no node
            could serve.
    """

    word: str
    about: str
    fields: tuple[Field, ...]
    short: str | None
    look: Callable[[Mapping[str, Any], Evidence], Look] | None = None
    judge: Callable[[Mapping[str, Any], Record], Look] | None = None
    claim: Claim = "liveness"
    check: Check | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShape:
    """A kind of stream.

    Attributes:
        workload: Returns what the generator is to send, as fields of `mocknode.load.generator.Workload`; None for a stream that the
            engine makes itself.
        uploads: Whether it uploads packages, which the ledger then follows.
    """

    word: str
    about: str
    fields: tuple[Field, ...]
    short: str | None
    workload: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    uploads: bool = False
    check: Check | None = None
