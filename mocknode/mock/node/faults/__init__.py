"""Faults: one file a kind, one registry.

A fault is a frozen dataclass of its options with one pure method, `effects(rng)`; it never sleeps and knows no socket, so a
seed replays it. To add one: a file beside these, its class in `FAULTS`.
"""

import random
from collections.abc import Mapping
from typing import Final, Protocol

from mocknode.mock.node.faults.body import Body
from mocknode.mock.node.faults.close import Close
from mocknode.mock.node.faults.drip import Drip
from mocknode.mock.node.faults.early_response import EarlyResponse
from mocknode.mock.node.faults.effects import Effect
from mocknode.mock.node.faults.garbage import Garbage
from mocknode.mock.node.faults.hang import HangFault
from mocknode.mock.node.faults.latency import Latency
from mocknode.mock.node.faults.options import FaultError, Format, names
from mocknode.mock.node.faults.reset import Reset
from mocknode.mock.node.faults.slow_read import SlowRead
from mocknode.mock.node.faults.status import Status
from mocknode.mock.node.faults.stop_reading import StopReadingFault
from mocknode.mock.node.faults.think import Think
from mocknode.mock.node.faults.truncate import Truncate


class Fault(Protocol):
    """What every fault offers."""

    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """What the node shall do to one request; `rng` is the node's seeded source."""
        ...


_KINDS: Final = (
    Latency, Status, HangFault, Reset, Close, StopReadingFault, SlowRead, Think,
    EarlyResponse, Truncate, Drip, Garbage, Body,
)  # fmt: skip

FAULTS: Final[Mapping[str, type[Fault]]] = {cls.kind: cls for cls in _KINDS}
"""Every kind of fault by its name."""


def describe(kind: str) -> str:
    """What a fault does and which options it takes, a line each, for the command line.

    Raises:
        FaultError: for a kind that does not exist.
    """
    cls = fault_class(kind)
    lines = [f"{kind}: {(cls.__doc__ or '').strip()}"]
    for name, item in names(cls).items():
        form: Format = item.metadata["form"]
        lines.append(f"  --{name}  {item.metadata['help']} ({', '.join(form.allowed)})")
    return "\n".join(lines)


def fault_class(kind: object) -> type[Fault]:
    """The class of a kind.

    Raises:
        FaultError: for a kind that does not exist, naming those that do.
    """
    cls = FAULTS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise FaultError(f"fault kind: got {kind!r}, allowed: {', '.join(FAULTS)}", got=kind, allowed=FAULTS)
    return cls


# Below the registry, which it reads.
from mocknode.mock.node.faults.spec import FaultSpec, parse_fault  # noqa: E402

__all__ = ["FAULTS", "Effect", "Fault", "FaultError", "FaultSpec", "describe", "fault_class", "parse_fault"]
