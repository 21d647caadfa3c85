"""The flags of `up` that say what kind of server the nodes are: versions, web settings, tasks; and the switches for what no
public source settles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from mocknode.cli.errors import DURATION, Parsed, UsageError, Whole
from mocknode.mock.node.config import HEARTBEAT_S, TASK_CANCEL_AFTER_S, TASK_CAP, TASK_POLL_S
from mocknode.mock.node.web import HSTS_MAX_AGE_S, OFFLINE_AFTER_S, REDIRECTS, WebSettings, parse_rate
from mocknode.text.units import parse_size

_F = TypeVar("_F", bound=Callable[..., Any])


_SIZE: Final = Parsed("size", parse_size)
_RATE: Final = Parsed("rate", parse_rate)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS: Final = (
    click.option(
        "--octopus-version", "versions", multiple=True, metavar="[NODE=]VERSION",
        help="Version that the nodes, or one of them, say they are.",
    ),
    click.option("--external-url", metavar="URL", help="What clients call the cluster, for absolute URLs (OIDC)."),
    click.option(
        "--trusted-proxy", "trusted_proxies", multiple=True, metavar="ADDRESS",
        help="Address or network whose X-Forwarded-* is believed. May be given several times.",
    ),
    click.option(
        "--force-ssl", type=click.Choice([str(status) for status in REDIRECTS]), metavar="STATUS",
        help=f"Redirect plain HTTP with this status: {', '.join(map(str, REDIRECTS))} (303 was seen of the real one).",
    ),
    click.option(
        "--hsts", "hsts_s", type=DURATION, metavar="DURATION",
        help=f"Send Strict-Transport-Security on HTTPS; the real default is {HSTS_MAX_AGE_S}s.",
    ),
    click.option("--max-body", "body_max", type=_SIZE, metavar="SIZE", help="Longer request bodies get 413."),
    click.option(
        "--rate", type=_RATE, metavar="RPM[:BURST]", help="Requests a minute and node of one user; then 429."
    ),
    click.option(
        "--anonymous-rate", type=_RATE, metavar="RPM[:BURST]", help="The same for one address without credentials."
    ),
    click.option("--rate-audit", is_flag=True, help="Only count, refuse nobody."),
    click.option("--rate-ping", is_flag=True, help="The ping counts as well."),
    click.option(
        "--head-ping/--no-head-ping", default=True, show_default=True,
        help="Whether HEAD on the ping is answered, or 404 as in the builds of 2022.",
    ),
    click.option(
        "--overwrite-status", type=click.Choice(["201", "200"]), default="201", show_default=True,
        help="Of an upload that replaced a package.",
    ),
    click.option(
        "--maintenance-status", type=click.Choice(["503", "403"]), default="503", show_default=True,
        help="Of a change that maintenance mode refuses.",
    ),
    click.option(
        "--delta-base", type=click.Choice(["latest", "nearest"]), default="latest", show_default=True,
        help="Which version a delta starts from: the latest, or the nearest below the new one.",
    ),
    click.option(
        "--offline-after", "offline_after_s", type=DURATION, default=f"{OFFLINE_AFTER_S:g}s", show_default=True,
        help="Age of LastSeen from which a node counts as offline.",
    ),
    click.option(
        "--heartbeat", "heartbeat_s", type=DURATION, default=f"{HEARTBEAT_S:g}s", show_default=True,
        help="How often a node renews its LastSeen.",
    ),
    click.option("--oidc-keys", type=_FILE, help="JWKS file of the issuers whose tokens service accounts exchange."),
    click.option("--task-cap", type=Whole(0, 10_000), default=TASK_CAP, show_default=True, help="Tasks a node at once."),
    click.option(
        "--task-poll", "task_poll_s", type=DURATION, default=f"{TASK_POLL_S:g}s", show_default=True,
        help="How often a node looks for tasks.",
    ),
    click.option(
        "--task-cancel-after", "task_cancel_after_s", type=DURATION, default=f"{TASK_CANCEL_AFTER_S:g}s",
        show_default=True, help="When the tasks of a node that is gone are cancelled.",
    ),
)  # fmt: skip
_TIMES: Final = ("heartbeat_s", "task_cap", "task_poll_s", "task_cancel_after_s")
_STATUSES: Final = ("force_ssl", "overwrite_status", "maintenance_status")


def node_options(command: _F) -> _F:
    """Adds the flags."""
    for decorator in reversed(_OPTIONS):
        command = decorator(command)
    return command


def web_settings(flags: dict[str, Any]) -> WebSettings:
    """The web settings among the flags.

    Raises:
        WebSettingError: naming what was got and what is allowed.
    """
    values = {name: flags[name] for name in WebSettings.__dataclass_fields__}
    values |= {name: int(values[name]) for name in _STATUSES if values[name] is not None}
    values["hsts_s"] = None if values["hsts_s"] is None else round(values["hsts_s"])
    values["oidc_keys"] = None if values["oidc_keys"] is None else str(values["oidc_keys"].resolve())
    return WebSettings(**values)


def time_settings(flags: dict[str, Any]) -> dict[str, Any]:
    """Heartbeat and tasks among the flags, as `NodeConfig` names them.

    Raises:
        UsageError: they contradict each other.
    """
    for name in ("offline_after_s", "task_cancel_after_s"):
        if flags[name] <= flags["heartbeat_s"]:
            flag = f"--{name.removesuffix('_s').replace('_', '-')}"
            raise UsageError(
                f"{flag}: got {flags[name]:g} s, allowed: more than --heartbeat, which is {flags['heartbeat_s']:g} s; "
                "otherwise nodes that live are held for dead"
            )
    return {name: flags[name] for name in _TIMES}


def versions_of(flags: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Versions by node; one for all comes first.

    Raises:
        UsageError: a node does not exist.
    """
    given = [text.rpartition("=")[::2] for text in flags["versions"]]
    for name, version in given:
        if (name and name not in names) or not version:
            raise UsageError(
                f"--octopus-version: got {name}={version}, allowed: VERSION or NODE=VERSION, the node one of {', '.join(names)}"
            )
    for_all = {name: version for empty, version in given if not empty for name in names}
    return for_all | {name: version for name, version in given if name}
