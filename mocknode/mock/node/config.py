"""A node's configuration: the first line that the agent sends on the control channel."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from mocknode.mock.node.faults.spec import FaultSpec, parse_fault
from mocknode.mock.node.lifecycle import ONLINE, Condition, parse_condition
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.web import DEFAULT_WEB, WebSettings, parse_web
from mocknode.mock.node.web_server import KESTREL, WebServerLimits, parse_limits

# Kestrel's as well (Microsoft's page on its request draining); without it, a client that sends no more would be waited for for ever.
BODY_DRAIN_S: Final = 5.0
HEARTBEAT_S: Final = 60.0
TASK_POLL_S: Final = 20.0
TASK_CANCEL_AFTER_S: Final = 3600.0
TASK_CAP: Final = 5
"""Heartbeat and task limits are those of the vendor's pages on high availability."""


class ConfigError(RefusedError):
    """The configuration cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """One node, from its first connection on.

    Attributes:
        boot: Counts the starts of this node in one run, from 1.
        http_port, https_port: None for no such listener, 0 for any free port.
        certificate, key: PEM files for HTTPS.
        tentacle_port: None for no such listener, 0 for any free port.
        tentacle_identity: PEM file of the server's key and certificate at that port.
        body_drain_s: Seconds that a client has to send the rest of a body that is answered already.
        null_message_s: Seconds after which a polling Tentacle is told that there is no work.
        nodes: Names of all nodes of the cluster.
        web: Settings of the REST API.
        limits: Limits of the web server below it.
        heartbeat_s: Seconds between two updates of this node's row in the table of nodes.
        task_poll_s: Seconds between two looks at the queue of tasks.
        task_cancel_after_s: Seconds without a heartbeat after which other nodes cancel a node's tasks.
        task_cap: Tasks that run at once, until a PUT changes it.
    """

    name: str
    boot: int = 1
    version: str = "2026.2.1"
    seed: int = 1
    host: str = "127.0.0.1"
    http_port: int | None = None
    https_port: int | None = None
    certificate: str | None = None
    key: str | None = None
    tentacle_host: str = "127.0.0.1"
    tentacle_port: int | None = None
    tentacle_identity: str | None = None
    null_message_s: float = 30.0
    advertise: str = "127.0.0.1"
    run_dir: Path
    store: str
    api_key: str
    keep_packages: bool = False
    keep_only: str = ""
    body_drain_s: float = BODY_DRAIN_S
    installation_id: str = "00000000-0000-0000-0000-000000000000"
    nodes: tuple[str, ...] = ()
    web: WebSettings = DEFAULT_WEB
    limits: WebServerLimits = KESTREL
    heartbeat_s: float = HEARTBEAT_S
    task_poll_s: float = TASK_POLL_S
    task_cancel_after_s: float = TASK_CANCEL_AFTER_S
    task_cap: int = TASK_CAP
    state: Condition = ONLINE
    faults: tuple[FaultSpec, ...] = ()


def parse_config(document: Mapping[str, Any]) -> NodeConfig:
    """Return the configuration in a `{"config": {...}}` object.

    Raises:
        RefusedError: naming the key, what was got and what is allowed.
    """
    known = [item.name for item in fields(NodeConfig)]
    for key in document:
        if key not in known:
            raise ConfigError(f"config: unknown key {key!r}, allowed: {', '.join(known)}", got=key, allowed=known)
    values = dict(document)
    for key in ("name", "run_dir", "store", "api_key"):
        if not isinstance(values.get(key), str):
            raise ConfigError(
                f"config: {key} is {values.get(key)!r}, allowed: text", got=values.get(key), allowed=["text"]
            )
    if values.get("https_port") is not None and not (values.get("certificate") and values.get("key")):
        raise ConfigError("config: https_port needs certificate and key, got none", allowed=["paths of PEM files"])
    if values.get("tentacle_port") is not None and not values.get("tentacle_identity"):
        raise ConfigError("config: tentacle_port needs tentacle_identity, got none", allowed=["path of a PEM file"])
    values["run_dir"] = Path(values["run_dir"])
    values["web"] = parse_web(values.get("web") or {})
    values["limits"] = parse_limits(values.get("limits") or {})
    values["nodes"] = tuple(values.get("nodes") or (values["name"],))
    state = values.pop("state", None) or {"state": "online"}
    faults = tuple(parse_fault(fault) for fault in values.pop("faults", None) or ())
    return NodeConfig(**values, state=parse_condition(state["state"], state.get("how")), faults=faults)
