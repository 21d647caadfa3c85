"""Who has the cluster to itself: two checks at once, or a hand that drains a node meanwhile, would falsify a verdict.

A holder renews its lease within `LEASE_S`, or loses it; a lease that ran out is that of a run which was killed, so the
caller's `abandoned` heals what it left behind. While somebody holds the cluster, nobody else changes it; reading is free.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError

LEASE_S: Final = 15.0
"""Long enough for a holder whose machine is busy, short enough that a killed one is not in anybody's way."""
LEASE_HEADER: Final = "x-mocknode-lease"


class HeldError(RefusedError):
    """Somebody else holds the cluster."""


class Lease:
    """The one lease of a cluster.

    Args:
        abandoned: Called when a lease ran out without having been given back.
    """

    def __init__(self, abandoned: Callable[[], None]) -> None:
        self._abandoned = abandoned
        self._holder: str | None = None
        self._id: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def take(self, holder: str) -> str:
        """Hold the cluster; the id that admits its holder.

        Raises:
            HeldError: somebody else does.
        """
        self.admit(None)
        self._holder, self._id = holder, secrets.token_hex(16)
        self._rearm()
        return self._id

    def renew(self, id_: str) -> None:
        """Go on holding it.

        Raises:
            HeldError: the lease ran out, or somebody else holds the cluster.
        """
        if id_ != self._id:
            raise HeldError(f"this lease ran out {LEASE_S:g} s after it was renewed last", got=id_)
        self._rearm()

    def release(self, id_: str) -> None:
        """Give it back. A lease that ran out meanwhile is none of ours any more."""
        if id_ == self._id:
            self._end()

    def admit(self, id_: str | None) -> None:
        """Whether the bearer of this id may change the cluster.

        Raises:
            HeldError: somebody else holds it.
        """
        if self._id is not None and id_ != self._id:
            raise HeldError(f"the cluster is held by {self._holder}; wait until it ends, or end it")

    def close(self) -> None:
        """The cluster ends."""
        self._end()

    def document(self) -> dict[str, Any]:
        """Who holds it."""
        return {"holder": self._holder}

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LEASE_S, self._ran_out)

    def _ran_out(self) -> None:
        self._end()
        self._abandoned()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._holder = self._id = self._timer = None
