"""The lease of a cluster: two checks at once, or someone draining a node by hand, would falsify a verdict.

A holder renews its lease within `LEASE_S` or loses it. A lease that expires belonged to a run that was killed, so the `abandoned`
callback repairs what that run left behind. While somebody holds the cluster, nobody else can change it; everybody can read.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final

from mocknode.mock.node.refusals import RefusedError

LEASE_S: Final = 15.0
"""Long enough for a holder on a busy machine, short enough that a killed holder does not block others."""
LEASE_HEADER: Final = "x-mocknode-lease"


class HeldError(RefusedError):
    """Somebody else holds the cluster."""


class Lease:
    """The one lease of a cluster.

    Args:
        abandoned: Called when a lease expires without having been returned.
    """

    def __init__(self, abandoned: Callable[[], None]) -> None:
        self._abandoned = abandoned
        self._holder: str | None = None
        self._id: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    def take(self, holder: str) -> str:
        """Take the lease and return the id that admits its holder.

        Raises:
            HeldError: somebody else holds the cluster.
        """
        self.admit(None)
        self._holder, self._id = holder, secrets.token_hex(16)
        self._rearm()
        return self._id

    def renew(self, id_: str) -> None:
        """Renew the lease.

        Raises:
            HeldError: the lease has expired, or somebody else holds the cluster.
        """
        if id_ != self._id:
            raise HeldError(f"this lease expired {LEASE_S:g} s after it was renewed last", got=id_)
        self._rearm()

    def release(self, id_: str) -> None:
        """Return the lease; an id whose lease has expired is ignored."""
        if id_ == self._id:
            self._end()

    def admit(self, id_: str | None) -> None:
        """Let the holder of this id change the cluster.

        Raises:
            HeldError: somebody else holds the cluster.
        """
        if self._id is not None and id_ != self._id:
            raise HeldError(f"the cluster is held by {self._holder}; wait until it ends, or end it")

    def close(self) -> None:
        """End the lease with the cluster."""
        self._end()

    def document(self) -> dict[str, Any]:
        """Return the holder as a JSON document."""
        return {"holder": self._holder}

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(LEASE_S, self._expired)

    def _expired(self) -> None:
        self._end()
        self._abandoned()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._holder = self._id = self._timer = None
