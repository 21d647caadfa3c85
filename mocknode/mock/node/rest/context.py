"""What the resources of one node work with."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mocknode.mock.data.directory import Directory
from mocknode.mock.data.store import Store
from mocknode.mock.data.tasks import Tasks
from mocknode.mock.node.config import NodeConfig
from mocknode.mock.node.http.ping import PingState
from mocknode.mock.node.packages.cataloguing import Cataloguing
from mocknode.mock.node.rest.gate import Gate
from mocknode.mock.node.rest.known_spaces import KnownSpaces
from mocknode.mock.node.rest.tokens import Tokens
from mocknode.mock.node.services import Services

if TYPE_CHECKING:
    # A node without a Tentacle port starts a fifth of a second sooner without these imports.
    from mocknode.mock.node.tentacle_side import TentacleSide


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RestContext:
    """One node, as its resources see it.

    Attributes:
        gate: Redirects and rate limits.
        tokens: Signs and checks cookies and tokens.
        spaces: The spaces of the cluster, as this node knows them.
        cataloguing: Puts packages into the catalogue.
        tasks: The cluster's tasks.
        tentacles: The Tentacle side; None at a node without a Tentacle port.
        digest_thread: Where uploads are digested.
        ping_state: Returns what a ping says now.
        ask_drain: Brings a node, by name, into or out of draining and returns the agent's reply.
        own_address: Returns host and port by which others reach this node.
        https_address: Returns host and port by which others reach its HTTPS, if it has any.
        api_document: Returns the OpenAPI document for a version of the server.
    """

    services: Services
    gate: Gate
    tokens: Tokens
    spaces: KnownSpaces
    cataloguing: Cataloguing
    tasks: Tasks
    tentacles: "TentacleSide | None"
    digest_thread: Executor
    ping_state: Callable[[], PingState]
    ask_drain: Callable[[str, bool], Awaitable[dict[str, Any]]]
    own_address: Callable[[], str]
    https_address: Callable[[], str | None]
    api_document: Callable[[str], dict[str, Any]]

    @property
    def config(self) -> NodeConfig:
        """The node's configuration."""
        return self.services.config

    @property
    def directory(self) -> Directory:
        """Users, spaces, feeds and settings of the cluster."""
        return self.services.directory

    @property
    def store(self) -> Store:
        """What the nodes share."""
        return self.services.store
