"""Which space a path means, and what every request in it needs to know; read from the directory at most once a second."""

import time
from typing import TYPE_CHECKING, Final

from mocknode.mock.data.directory import Feed, Space
from mocknode.mock.node.rest.problems import ProblemError, not_found

if TYPE_CHECKING:
    from mocknode.mock.node.rest.call import Call

# Spaces change when a test sets them up; an upload must not pay for looking each time.
KEPT_S: Final = 1.0


class Spaces:
    """The spaces as this node knows them."""

    def __init__(self) -> None:
        self._spaces: list[Space] = []
        self._feeds: dict[str, str] = {}
        self._until_s = 0.0
        self._forgotten = 0

    async def default(self, call: "Call") -> Space:
        """The one default space.

        Raises:
            ProblemError: 500, there is none or more than one, on which the real server fails too (OctopusDeploy/Issues 5767).
        """
        found = [space for space in await self._known(call) if space.is_default]
        if len(found) != 1:
            raise ProblemError(500, f"Exactly one space must be the default one, {len(found)} are.")
        return found[0]

    async def named(self, call: "Call", name: str) -> Space:
        """The space with this id, name or slug.

        Raises:
            ProblemError: 404.
        """
        wanted = name.lower()
        for space in await self._known(call):
            if wanted in (space.id.lower(), space.slug.lower(), space.name.lower()):
                return space
        raise not_found(name)

    async def built_in_feed(self, call: "Call") -> str:
        """Id of the built-in feed of the call's space."""
        await self._known(call)
        return self._feeds.get(call.space, "feeds-builtin")

    def forget(self) -> None:
        """Look again at the next request: they were replaced."""
        self._until_s = 0.0
        self._forgotten += 1

    async def _known(self, call: "Call") -> list[Space]:
        now_s = time.monotonic()
        if now_s >= self._until_s:
            directory, forgotten = call.node.directory, self._forgotten
            spaces: list[Space] = await call.stored(directory.spaces)
            feeds: list[Feed] = await call.stored(directory.built_in_feeds)
            # Replaced while they were read: good enough for who asked before, not for the next.
            self._spaces, self._until_s = spaces, now_s + KEPT_S if forgotten == self._forgotten else 0.0
            self._feeds = {feed.space: feed.id for feed in feeds}
        return self._spaces
