"""A balancer whose servers are not mock nodes. They keep no journals, so only the clients' side of each upload is known."""

from dataclasses import dataclass
from typing import Final

from mocknode.judge.lab.lanes import LaneError
from mocknode.judge.traffic import FrontDoor, RequestSpec, new_attempt_id, request

MEET_S: Final = 10.0


@dataclass(slots=True, kw_only=True)
class Unverified:
    """The target of a run with `--unverified`, in place of the lanes of a cluster.

    Attributes:
        api_key: API key of a user who may push to these servers.
    """

    front: FrontDoor
    api_key: str
    nodes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """URL of the front door."""
        return self.front.url

    async def meet(self) -> str:
        """Ask once, before gigabytes are sent, and return who answered what.

        Raises:
            LaneError: nothing answers there.
        """
        spec = RequestSpec(check="load", target="/api", timeout_s=MEET_S, attempt=new_attempt_id())
        attempt = await request(self.front, spec)
        if attempt.status is None:
            raise LaneError(f"nothing answers at {self.front.url}: {attempt.error}")
        return (
            f"GET /api returned {attempt.status} from {attempt.header('Server') or 'a server without a Server header'}"
        )
