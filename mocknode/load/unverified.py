"""A front door whose servers keep no journals that we could read: what their clients were told is all that is known."""

from dataclasses import dataclass
from typing import Final

from mocknode.judge.lab.lanes import LaneError
from mocknode.judge.traffic import FrontDoor, RequestSpec, new_attempt_id, request

MEET_S: Final = 10.0


@dataclass(slots=True, kw_only=True)
class Unverified:
    """Stands where the lanes of a cluster stand.

    Attributes:
        api_key: Key of a user who may push there.
    """

    front: FrontDoor
    api_key: str
    nodes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """URL of the front door."""
        return self.front.url

    async def meet(self) -> str:
        """Ask once, before gigabytes are sent; who answered what.

        Raises:
            LaneError: nobody answers there.
        """
        spec = RequestSpec(check="load", target="/api", timeout_s=MEET_S, attempt=new_attempt_id())
        attempt = await request(self.front, spec)
        if attempt.status is None:
            raise LaneError(f"nobody answers at {self.front.url}: {attempt.error}")
        return f"GET /api was answered {attempt.status} by {attempt.header('Server') or 'a server without a Server header'}"
