"""The controller's view of one node: its addresses, its desired condition, its faults, its process."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mocknode.mock.cluster.channel import Message
from mocknode.mock.node.lifecycle import ONLINE, Condition, Form


@dataclass(frozen=True, slots=True, kw_only=True)
class TentaclePlace:
    """Where polling Tentacles reach a node.

    Attributes:
        host: Address that the listener is bound to.
        identity: PEM file of the certificate that the listener presents.
        thumbprint: Thumbprint of that certificate.
    """

    host: str
    port: int
    advertise: str
    identity: Path
    thumbprint: str

    def address(self) -> dict[str, Any]:
        """Return the address as the cluster announces it."""
        return {"host": self.advertise, "port": self.port, "thumbprint": self.thumbprint}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node listens and how others reach it; ports are real ones."""

    name: str
    host: str
    http_port: int
    https_port: int | None
    advertise: str
    tentacle: "TentaclePlace | None" = None

    def url(self, scheme: str, port: int | None) -> str | None:
        """Return the advertised URL of a listener, or None without one."""
        host = f"[{self.advertise}]" if ":" in self.advertise else self.advertise
        return None if port is None else f"{scheme}://{host}:{port}"

    def addresses(self) -> dict[str, Any]:
        """Return name and advertised addresses as the cluster announces them."""
        return {
            "name": self.name,
            "http": self.url("http", self.http_port),
            "https": self.url("https", self.https_port),
            "tentacle": None if self.tentacle is None else self.tentacle.address(),
        }


@dataclass(slots=True)
class Member:
    """A node of the cluster.

    Attributes:
        condition: The node's state now, or at its next start when it is dead.
        cause: What caused that state: `command`, `trigger`, `api`, `reset`, or how the process died.
        boot: Number of starts, those of earlier runs in the same run directory included.
        pid: Process id; None while the node is dead.
        faults: Fault objects by id, in the order in which they were set; kept while the node is dead.
        queued_commands: Commands that wait until a frozen process runs again.
        lock: Held while the condition changes, so that commands take effect one after another.
    """

    place: Place
    boot: int = 0
    condition: Condition = ONLINE
    cause: str = "command"
    pid: int | None = None
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)
    queued_commands: list[Message] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.place.name

    @property
    def alive(self) -> bool:
        """True while the node has a process, frozen or not."""
        return self.pid is not None

    @property
    def reachable(self) -> bool:
        """True while the node's process runs and takes commands."""
        return self.alive and self.condition.form is not Form.FREEZE

    def died(self, cause: str) -> None:
        """Note that the process is gone; queued commands are dropped, as the next process gets its whole configuration."""
        self.pid = None
        self.queued_commands.clear()
        self.cause = cause

    def document(self, status: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the node as the control API shows it; `status` is the answer of its process, or None without one."""
        counters = {key: value for key, value in (status or {}).items() if key not in ("state", "how", "pending")}
        return {
            **self.place.addresses(),
            **self.condition.document(),
            "cause": self.cause,
            "boot": self.boot,
            "pid": self.pid,
            "alive": self.alive,
            "faults": list(self.faults.values()),
            "counters": counters if status is not None else None,
            "pending": list((status or {}).get("pending", [])),
        }
