"""A node's lifecycle: the conditions that it can be in, and the changes between them.

`TRANSITIONS` is the whole state machine and `step` the only way to use it. A change that the table lacks is refused.
Pure: no clock, no process. Sources: ping semantics from the swagger of `/api/octopusservernodes/ping` (418 while draining);
the offline forms are this project's own.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError


class StateError(RefusedError):
    """A state, a way of being offline, or a change of state that is not possible."""


class State(enum.StrEnum):
    """What an operator would say about the node."""

    ONLINE = "online"
    DRAINING = "draining"
    STARTING = "starting"
    OFFLINE = "offline"


class Form(enum.StrEnum):
    """The ways in which a node can be offline."""

    REFUSE = "refuse"
    STOP = "stop"
    CRASH = "crash"
    FREEZE = "freeze"
    BLACKHOLE = "blackhole"
    STATUS = "status"
    GARBAGE = "garbage"


FORMS_AS_WRITTEN: Final = ("refuse", "stop", "crash", "freeze", "blackhole", "status:NNN", "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A state with everything that belongs to it.

    Attributes:
        form: How the node is offline; None unless it is.
        status: The answer to everything, for the form `status` only.
    """

    state: State
    form: Form | None = None
    status: int | None = None

    @property
    def how(self) -> str | None:
        """The form of being offline as people write it, such as `status:503`."""
        return f"status:{self.status}" if self.form is Form.STATUS else self.form

    @property
    def refuses(self) -> bool:
        """Whether the node has no listeners: it refuses, or its service is stopped."""
        return self.form in (Form.REFUSE, Form.STOP)

    @property
    def key(self) -> "State | Form":
        """The key in `TRANSITIONS`: a dead or stopped process differs from a live one that is offline."""
        return self.form if self.form in (Form.CRASH, Form.FREEZE) else self.state

    def __str__(self) -> str:
        """Return text such as `offline (crash)`."""
        return self.state.value + (f" ({self.how})" if self.how else "")

    def document(self) -> dict[str, Any]:
        """Return state and how, as journal and control channel carry them."""
        return {"state": self.state.value, "how": self.how}


ONLINE: Final = Condition(state=State.ONLINE)

_ALIVE: Final[frozenset[State | Form]] = frozenset({*State, Form.CRASH, Form.FREEZE})
_UP: Final[frozenset[State | Form]] = frozenset({State.ONLINE, State.DRAINING, State.STARTING})

TRANSITIONS: Final[Mapping[State | Form, frozenset[State | Form]]] = {
    State.ONLINE: _ALIVE,
    State.DRAINING: _ALIVE,
    State.STARTING: _ALIVE,
    # Offline to draining is the documented patch order: drained, stopped, patched, started while still drained.
    State.OFFLINE: _ALIVE,
    # A stopped process can only be continued or killed.
    Form.FREEZE: _UP | {Form.FREEZE, Form.CRASH},
    # A dead one can only be started again.
    Form.CRASH: _UP | {Form.CRASH},
}
"""From what a node is to what it may become."""


def parse_condition(state: str, how: str | None = None) -> Condition:
    """Return the condition that `state` and `how` name; offline without `how` means refuse.

    Raises:
        StateError: naming what was got and what is allowed.
    """
    if state not in State.__members__.values():
        raise _unknown("state", state, tuple(State))
    parsed = State(state)
    if parsed is not State.OFFLINE:
        if how is not None:
            raise StateError(
                f"how {how!r} goes with state offline only, got state {state!r}", got=how, allowed=["null"]
            )
        return Condition(state=parsed)
    return _offline(Form.REFUSE if how is None else how)


def _offline(how: str) -> Condition:
    name, _, number = how.partition(":")
    if name == "drop":
        raise StateError(
            "how 'drop' needs the capability packet-drop, which this node does not have; "
            f"allowed: {', '.join(FORMS_AS_WRITTEN)}",
            got=how,
            allowed=FORMS_AS_WRITTEN,
        )
    if name == Form.STATUS:
        if not (number.isascii() and number.isdigit() and 200 <= int(number) <= 599):
            raise _unknown("how", how, ("status:200 to status:599",))
        return Condition(state=State.OFFLINE, form=Form.STATUS, status=int(number))
    if number or name not in Form.__members__.values():
        raise _unknown("how", how, FORMS_AS_WRITTEN)
    return Condition(state=State.OFFLINE, form=Form(name))


def _unknown(subject: str, got: str, allowed: tuple[str, ...]) -> StateError:
    return StateError(f"{subject}: got {got!r}, allowed: {', '.join(allowed)}", got=got, allowed=allowed)


def step(current: Condition, wanted: Condition) -> Condition:
    """Return `wanted`, if a node that is `current` may become it.

    Raises:
        StateError: naming both and what is allowed now.
    """
    allowed = TRANSITIONS[current.key]
    if wanted.key not in allowed:
        names = sorted(item.value for item in allowed)
        raise StateError(
            f"a node in {current.key.value} cannot become {wanted.key.value}; allowed now: {', '.join(names)}",
            got=wanted.key.value,
            allowed=names,
        )
    return wanted
