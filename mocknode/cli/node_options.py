"""The flags of `up` that say what kind of server the nodes are: versions, web settings and tasks, and switches for behaviour that
public sources describe in different ways."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

import click

from mocknode.cli.errors import DURATION, Parsed, UsageError, Whole
from mocknode.mock.node.config import HEARTBEAT_S, TASK_CANCEL_AFTER_S, TASK_CAP, TASK_POLL_S
from mocknode.mock.node.web import HSTS_MAX_AGE_S, OFFLINE_AFTER_S, REDIRECTS, Rate, WebSettings, parse_rate
from mocknode.mock.node.web_server import KESTREL, WEB_SERVERS, WebServerLimits
from mocknode.text.units import parse_size

_F = TypeVar("_F", bound=Callable[..., Any])


_SIZE: Final = Parsed("size", parse_size)
_RATE: Final = Parsed("rate", parse_rate)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

_OPTIONS: Final = (
    click.option(
        "--octopus-version", "versions", multiple=True, metavar="[NODE=]VERSION",
        help="Octopus version that all nodes, or one of them, report.",
    ),
    click.option("--external-url", metavar="URL", help="URL by which clients reach the cluster, for absolute URLs (OIDC)."),
    click.option(
        "--trusted-proxy", "trusted_proxies", multiple=True, metavar="ADDRESS",
        help="Address or network of a proxy whose X-Forwarded-* headers are trusted. May be given several times.",
    ),
    click.option(
        "--force-ssl", type=click.Choice([str(status) for status in REDIRECTS]), metavar="STATUS",
        help=f"Redirect plain HTTP with this status: {', '.join(map(str, REDIRECTS))} (a real server was seen to use 303).",
    ),
    click.option(
        "--hsts", "hsts_s", type=DURATION, metavar="DURATION",
        help=f"Send Strict-Transport-Security over HTTPS. A real server's default is {HSTS_MAX_AGE_S}s.",
    ),
    click.option("--max-body", "body_max", type=_SIZE, metavar="SIZE", help="Answer 413 to request bodies larger than this."),
    click.option(
        "--rate", type=_RATE, metavar="RPM[:BURST]",
        help="Requests a minute that each node accepts from one user; more get 429.",
    ),
    click.option(
        "--anonymous-rate", type=_RATE, metavar="RPM[:BURST]",
        help="The same limit for each address that sends no credentials.",
    ),
    click.option("--rate-audit", is_flag=True, help="Count what the limits would refuse, but refuse nothing."),
    click.option("--rate-ping", is_flag=True, help="Apply the limits to the ping as well."),
    click.option(
        "--head-ping/--no-head-ping", default=True, show_default=True,
        help="Whether the ping answers HEAD, or returns 404 to it as the builds of 2022 do.",
    ),
    click.option(
        "--overwrite-status", type=click.Choice(["201", "200"]), default="201", show_default=True,
        help="Status of an upload that replaces a package.",
    ),
    click.option(
        "--maintenance-status", type=click.Choice(["503", "403"]), default="503", show_default=True,
        help="Status of a change that maintenance mode refuses.",
    ),
    click.option(
        "--delta-base", type=click.Choice(["latest", "nearest"]), default="latest", show_default=True,
        help="Version that a delta starts from: the latest, or the nearest below the new one.",
    ),
    click.option(
        "--offline-after", "offline_after_s", type=DURATION, default=f"{OFFLINE_AFTER_S:g}s", show_default=True,
        help="A node counts as offline when its LastSeen is older than this.",
    ),
    click.option(
        "--heartbeat", "heartbeat_s", type=DURATION, default=f"{HEARTBEAT_S:g}s", show_default=True,
        help="How often a node renews its LastSeen.",
    ),
    click.option(
        "--web-server", type=click.Choice(tuple(WEB_SERVERS)), default="kestrel", show_default=True,
        help="Web server whose limits the nodes have: Kestrel (Linux, Octopus Cloud; measured) or HTTP.sys (Windows; as documented).",
    ),
    click.option("--header-fields", "fields", type=Whole(1, 100_000), help="Header fields of a request; more get 431."),
    click.option(
        "--header-bytes", "fields_bytes", type=_SIZE, metavar="SIZE", help="Bytes of all header fields; more get 431.",
    ),
    click.option("--request-line", "line_bytes", type=_SIZE, metavar="SIZE", help="Bytes of the request line; more get 414."),
    click.option(
        "--head-time", "head_s", type=DURATION, metavar="DURATION", help="Time for a request's head; a slower one gets 408.",
    ),
    click.option(
        "--handshake-time", "handshake_s", type=DURATION, metavar="DURATION", help="Time for a TLS handshake.",
    ),
    click.option(
        "--keep-alive", "keep_alive_s", type=DURATION, metavar="DURATION",
        help="Time for which a connection may be idle; then the node closes it.",
    ),
    click.option(
        "--body-rate", type=_SIZE, metavar="SIZE",
        help="Lowest bytes a second of a body, on average; a slower one gets 408. 0 has no such limit.",
    ),
    click.option(
        "--body-grace", "body_grace_s", type=DURATION, metavar="DURATION", help="Time before that rate counts.",
    ),
    click.option(
        "--stop-time", "stop_s", type=DURATION, metavar="DURATION",
        help="Time that requests have when the service stops; then they are reset.",
    ),
    click.option("--oidc-keys", type=_FILE, help="JWKS file of the issuers whose tokens service accounts may exchange."),
    click.option(
        "--task-cap", type=Whole(0, 10_000), default=TASK_CAP, show_default=True,
        help="How many tasks a node runs at the same time.",
    ),
    click.option(
        "--task-poll", "task_poll_s", type=DURATION, default=f"{TASK_POLL_S:g}s", show_default=True,
        help="How often a node looks for tasks.",
    ),
    click.option(
        "--task-cancel-after", "task_cancel_after_s", type=DURATION, default=f"{TASK_CANCEL_AFTER_S:g}s",
        show_default=True, help="Cancel the tasks of a node that has been gone for this long.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFlags:
    """What kind of server the nodes are, as the flags say."""

    versions: tuple[str, ...]
    external_url: str | None
    trusted_proxies: tuple[str, ...]
    force_ssl: str | None
    hsts_s: float | None
    body_max: int | None
    rate: Rate | None
    anonymous_rate: Rate | None
    rate_audit: bool
    rate_ping: bool
    head_ping: bool
    overwrite_status: str
    maintenance_status: str
    delta_base: Literal["latest", "nearest"]
    offline_after_s: float
    heartbeat_s: float
    web_server: str
    fields: int | None
    fields_bytes: int | None
    line_bytes: int | None
    head_s: float | None
    handshake_s: float | None
    keep_alive_s: float | None
    body_rate: int | None
    body_grace_s: float | None
    stop_s: float | None
    oidc_keys: Path | None
    task_cap: int
    task_poll_s: float
    task_cancel_after_s: float

    def web_settings(self) -> WebSettings:
        """The web settings.

        Raises:
            WebSettingError: naming what was given and what is allowed.
        """
        return WebSettings(
            external_url=self.external_url,
            trusted_proxies=self.trusted_proxies,
            force_ssl=None if self.force_ssl is None else int(self.force_ssl),
            hsts_s=None if self.hsts_s is None else round(self.hsts_s),
            body_max=self.body_max,
            rate=self.rate,
            anonymous_rate=self.anonymous_rate,
            rate_audit=self.rate_audit,
            rate_ping=self.rate_ping,
            head_ping=self.head_ping,
            overwrite_status=cast(Literal[200, 201], int(self.overwrite_status)),
            maintenance_status=cast(Literal[403, 503], int(self.maintenance_status)),
            delta_base=self.delta_base,
            offline_after_s=self.offline_after_s,
            oidc_keys=None if self.oidc_keys is None else str(self.oidc_keys.resolve()),
        )

    def limits(self) -> WebServerLimits:
        """The limits of the web server: those of its kind, and over them the given ones.

        Raises:
            RefusedError: naming what was given and what is allowed.
        """
        given = {name: getattr(self, name) for name in KESTREL.document()}
        return replace(
            WEB_SERVERS[self.web_server], **{name: value for name, value in given.items() if value is not None}
        )

    def time_settings(self) -> dict[str, float]:
        """Heartbeat and tasks, as `NodeConfig` names them.

        Raises:
            UsageError: they contradict each other.
        """
        for flag, value in (
            ("--offline-after", self.offline_after_s),
            ("--task-cancel-after", self.task_cancel_after_s),
        ):
            if value <= self.heartbeat_s:
                raise UsageError(
                    f"{flag}: got {value:g} s, allowed: more than --heartbeat, which is {self.heartbeat_s:g} s; "
                    "otherwise live nodes count as gone"
                )
        return {
            "heartbeat_s": self.heartbeat_s,
            "task_cap": self.task_cap,
            "task_poll_s": self.task_poll_s,
            "task_cancel_after_s": self.task_cancel_after_s,
        }

    def versions_of(self, names: Sequence[str]) -> dict[str, str]:
        """Version of each node that has one; a version for one node overrides one for all.

        Raises:
            UsageError: there is no such node.
        """
        given = [text.rpartition("=")[::2] for text in self.versions]
        for name, version in given:
            if (name and name not in names) or not version:
                raise UsageError(
                    f"--octopus-version: got {name}={version}, allowed: VERSION or NODE=VERSION, with NODE one of {', '.join(names)}"
                )
        for_all = {name: version for empty, version in given if not empty for name in names}
        return for_all | {name: version for name, version in given if name}


def node_options(command: _F) -> _F:
    """Add these flags to a command."""
    for decorator in reversed(_OPTIONS):
        command = decorator(command)
    return command
