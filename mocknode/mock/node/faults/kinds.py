"""The registry of faults. To add one, import its class and list it in `FAULTS`."""

from collections.abc import Mapping
from typing import Final

from mocknode.mock.node.faults.body import Body
from mocknode.mock.node.faults.close import Close
from mocknode.mock.node.faults.drip import Drip
from mocknode.mock.node.faults.early_response import EarlyResponse
from mocknode.mock.node.faults.fault import Fault
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

FAULTS: Final[Mapping[str, type[Fault]]] = {
    cls.kind: cls
    for cls in (
        Latency,
        Status,
        HangFault,
        Reset,
        Close,
        StopReadingFault,
        SlowRead,
        Think,
        EarlyResponse,
        Truncate,
        Drip,
        Garbage,
        Body,
    )
}
"""Every fault by its kind, in the order in which the command line lists them."""

ON_TENTACLE: Final = tuple(kind for kind, cls in FAULTS.items() if cls.on_tentacle)
"""Kinds that can act on a connection at the Tentacle port."""


def describe(kind: str) -> str:
    """Return what a fault does and which options it takes, one per line, for the command line.

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
    """Return the class of a kind.

    Raises:
        FaultError: for a kind that does not exist, naming those that do.
    """
    cls = FAULTS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise FaultError(f"fault kind: got {kind!r}, allowed: {', '.join(FAULTS)}", got=kind, allowed=FAULTS)
    return cls
