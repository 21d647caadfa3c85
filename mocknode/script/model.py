"""What a scenario is: frozen values that a file is parsed into, and that Python code can write directly. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

VERSION: Final = 1
"""Version of the file format."""

When = Literal["always", "eventually", "finally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that the record shows or does not show.

    Attributes:
        word: Which condition; one of `vocabulary.CONDITIONS`.
        args: Its fields, typed: seconds, bytes, shares from 0 to 1, names.
    """

    word: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the schedule.

    Attributes:
        verb: One of `vocabulary.VERBS`, or `parallel`, which has branches.
        args: Its fields, typed.
        branches: Steps that are carried out side by side.
        place: Number of the step in the file, such as `3`; inside a loop also of the round and of the step in it: `1.2.4`. A plan uses
            it as the id. Empty for a step that no file has.
        round: Value of the loop's variable in this round, such as `node-2`; empty outside of loops.
        line, column: Position in the file; 0 for a step that no file has.
    """

    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)
    branches: tuple[tuple["Step", ...], ...] = ()
    place: str = ""
    round: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of the workload.

    Attributes:
        kind: One of `vocabulary.STREAMS`.
    """

    name: str
    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must hold.

    Attributes:
        when: `always` is judged over the whole run; `eventually` must hold within its bound after the schedule; `finally` is
            judged after the cluster was restored.
        within: Seconds; of `eventually` only.
    """

    when: When
    condition: Condition
    within: float = 0.0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value that `--set` can change.

    Attributes:
        kind: Name of a kind in `values.PARAMETER_KINDS`.
        default: Text of the value, as the file has it.
    """

    name: str
    kind: str
    default: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyState:
    """What must hold before the first step."""

    within: float = 30.0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario whose parameters have their values and whose loops are unrolled.

    Attributes:
        claim: One sentence that is true of a balancer that passes.
        needs: What the balancer must have; without it the scenario is skipped. One of `NEEDS`.
        nodes: Number of nodes; None takes those that there are.
        tasks_per_node: How many tasks a node runs at the same time; None for the default of `up`.
    """

    name: str
    claim: str
    workload: tuple[Stream, ...]
    schedule: tuple[Step, ...]
    expectations: tuple[Expectation, ...]
    steady_state: SteadyState = SteadyState()
    needs: tuple[str, ...] = ()
    nodes: int | None = None
    tasks_per_node: int | None = None
    parameters: tuple[Parameter, ...] = ()


NEEDS: Final = {
    "active-health-check": "a balancer that probes the nodes and takes a drained one out",
}
