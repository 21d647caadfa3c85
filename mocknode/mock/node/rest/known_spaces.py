"""Which space a path means, and what every request in it needs to know; read from the directory at most once a second."""

import time
from typing import Final

from mocknode.mock.data.directory import Feed, Space
from mocknode.mock.node.rest.problems import ProblemError, not_found
from mocknode.mock.node.services import Services

# Spaces change when a test sets them up; an upload must not pay for looking each time.
KEPT_S: Final = 1.0


class KnownSpaces:
    """The spaces as this node knows them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._spaces: list[Space] = []
        self._feeds: dict[str, str] = {}
        self._until_s = 0.0
        self._forgotten = 0

    async def default(self) -> Space:
        """Return the one default space.

        Raises:
            ProblemError: 500, there is none or more than one, on which the real server fails too (OctopusDeploy/Issues 5767).
        """
        found = [space for space in await self._known() if space.is_default]
        if len(found) != 1:
            raise ProblemError(500, f"Exactly one space must be the default one, {len(found)} are.")
        return found[0]

    async def named(self, name: str) -> Space:
        """Return the space with this id, name or slug.

        Raises:
            ProblemError: 404.
        """
        wanted = name.lower()
        for space in await self._known():
            if wanted in (space.id.lower(), space.slug.lower(), space.name.lower()):
                return space
        raise not_found(name)

    async def built_in_feed(self, space: str) -> str:
        """Return the id of a space's built-in feed."""
        await self._known()
        return self._feeds.get(space, "feeds-builtin")

    def forget(self) -> None:
        """Read the spaces again at the next request: they were replaced."""
        self._until_s = 0.0
        self._forgotten += 1

    async def _known(self) -> list[Space]:
        now_s = time.monotonic()
        if now_s >= self._until_s:
            services, forgotten = self._services, self._forgotten
            spaces: list[Space] = await services.stored(services.directory.spaces)
            feeds: list[Feed] = await services.stored(services.directory.built_in_feeds)
            # Replaced while they were read: good enough for requests that came before, not for the next.
            self._spaces, self._until_s = spaces, now_s + KEPT_S if forgotten == self._forgotten else 0.0
            self._feeds = {feed.space: feed.id for feed in feeds}
        return self._spaces
