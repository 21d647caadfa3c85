"""The base class of all faults."""

import abc
import random
from typing import ClassVar

from mocknode.mock.node.faults.effects import Effect


class Fault(abc.ABC):
    """What a node does wrong: a frozen dataclass whose fields are its options.

    A fault is pure. It never sleeps and knows no socket; it only names effects, so the same seed gives the same faults.

    Attributes:
        kind: Its name on the command line and in the control API.
        on_tentacle: Whether it can also act on a connection at the Tentacle port, as soon as that is accepted. A fault that
            needs a request cannot.
    """

    __slots__ = ()

    kind: ClassVar[str]
    on_tentacle: ClassVar[bool] = False

    @abc.abstractmethod
    def effects(self, rng: random.Random) -> tuple[Effect, ...]:
        """Return what the node does to one request; `rng` is the node's seeded source."""
