"""A node's configuration: the part that all nodes of the cluster share, and the node's own part."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mocknode.mock.cluster.members import Member
from mocknode.mock.node.lifecycle import Condition
from mocknode.mock.node.web import WebSettings
from mocknode.mock.node.web_server import WebServerLimits

OCTOPUS_VERSION: Final = "2026.2.1"
"""Version of Octopus Server that the nodes report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedConfig:
    """The part of the configuration that all nodes share; its fields are described in `ClusterSettings`."""

    run_dir: Path
    store: str
    api_key: str
    installation_id: str
    seed: int
    keep_packages: bool
    keep_only: str
    certificate: Path | None
    key: Path | None
    web: WebSettings
    limits: WebServerLimits
    times: Mapping[str, Any]
    versions: Mapping[str, str]
    null_message_s: float

    def config(self, member: Member, condition: Condition, names: list[str]) -> dict[str, Any]:
        """Return the configuration of one node, which is the first line on its control channel.

        Args:
            member: The node, with its addresses, boot number and faults.
            condition: State of the node from its first connection on.
            names: Names of all nodes of the cluster.
        """
        place = member.place
        return {
            "name": place.name,
            "boot": member.boot,
            "version": self.versions.get(place.name, OCTOPUS_VERSION),
            "seed": self.seed,
            "host": place.host,
            "http_port": place.http_port,
            "https_port": place.https_port,
            "certificate": str(self.certificate) if self.certificate else None,
            "key": str(self.key) if self.key else None,
            "tentacle_host": place.tentacle.host if place.tentacle else place.host,
            "tentacle_port": place.tentacle.port if place.tentacle else None,
            "tentacle_identity": str(place.tentacle.identity) if place.tentacle else None,
            "null_message_s": self.null_message_s,
            "advertise": place.advertise,
            "run_dir": str(self.run_dir),
            "store": self.store,
            "api_key": self.api_key,
            "keep_packages": self.keep_packages,
            "keep_only": self.keep_only,
            "installation_id": self.installation_id,
            "nodes": names,
            "web": self.web.document(),
            "limits": self.limits.document(),
            **self.times,
            "state": condition.document(),
            "faults": list(member.faults.values()),
        }
