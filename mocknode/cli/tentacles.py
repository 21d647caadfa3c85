"""`mocknode tentacles`: a fleet of simulated Tentacles."""

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mocknode.cli.connection import ClusterFlags, cluster_options
from mocknode.cli.errors import DURATION, FAILED, EnvironmentFailureError, UsageError, Whole
from mocknode.cli.running import complain, run_loop
from mocknode.cli.state_directory import state_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mocknode.mock.tentacle.fleet_session import FleetOptions
    from mocknode.mock.tentacle.identity import Identity

COUNT_MAX: Final = 20_000
"""Real clusters have a few thousand. Above this number, one process and its ports are what is measured."""
LISTENING_MAX: Final = 1_000
"""Each needs a port and an SSL context of its own."""


class _Fleet(click.Command):
    """The command, whose help ends with the meaning of its table."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the columns."""
        from mocknode.cli.fleet_table import COLUMNS

        with formatter.section("Columns of the table"):
            formatter.write_dl(list(COLUMNS.items()))


@click.command(cls=_Fleet)
@click.option("--count", type=Whole(0, COUNT_MAX), default=10, show_default=True, help="Number of polling Tentacles.")
@click.option(
    "--to",
    metavar="HOST:PORT[,HOST:PORT...]",
    help="Addresses that each Tentacle polls. Default: those of the cluster's nodes.",
)
@click.option(
    "--listening", type=Whole(0, LISTENING_MAX), default=0, show_default=True, help="Number of listening Tentacles."
)
@click.option("--api", metavar="URL", help="REST API where they register. Default: the first node's.")
@click.option("--api-key", metavar="API-...", help="Key for that REST API. Default: the cluster's.")
@click.option("--no-register", is_flag=True, help="Do not register them; they are registered already.")
@click.option(
    "--thumbprint", metavar="40 HEX", help="Thumbprint of the server. Default: the one that the REST API returns."
)
@click.option(
    "--interval",
    type=DURATION,
    default="30s",
    show_default=True,
    help="How long the server keeps a poll waiting when there is no work.",
)
@click.option("--for", "duration", type=DURATION, help="Stop after this time. Default: on Ctrl-C.")
@click.option(
    "--until-polled",
    is_flag=True,
    help="Stop as soon as every Tentacle has got a message at every address; fail if that takes longer than --for.",
)
@click.option(
    "--identities",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for their certificates. Default: in the state directory.",
)
@click.option("--prefix", default="tentacle", show_default=True, help="How their names begin.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random spread of their reconnects.")
@cluster_options
def tentacles(
    cluster: ClusterFlags, count: int, to: str | None, listening: int, api: str | None, api_key: str | None, no_register: bool,
    thumbprint: str | None, interval: float, duration: float | None, until_polled: bool, identities: Path | None, prefix: str,
    seed: int,
) -> None:  # fmt: skip
    """Run simulated Tentacles. Each polls every address, reconnects as a real one does, and answers calls.

    Exit code 1: at the end, not every Tentacle was connected at every address (with --until-polled: had got a message there).
    """
    from mocknode.mock.tentacle.fleet_session import FleetOptions

    thumbprint = _thumbprint(thumbprint) if thumbprint else None
    addresses = _addresses(to) if to else None
    if count == listening == 0:
        raise UsageError("--count 0: got no Tentacle at all, allowed: at least one, polling or --listening")
    known = functools.cache(lambda: cluster.ask(lambda client: client.cluster()))
    options = FleetOptions(
        polling=count,
        listening=listening,
        addresses=addresses if addresses is not None else _addresses_of(known()),
        api=None if no_register else api or known()["nodes"][0]["http"],
        api_key=None if no_register else api_key or known()["api_key"],
        thumbprint=thumbprint,
        interval_s=interval,
        duration_s=duration,
        until_polled=until_polled,
        prefix=prefix,
        seed=seed,
    )
    _refuse_too_many(options)
    made = _identities(identities or state_directory() / "tentacles", count + listening)
    sys.exit(_run(options, made, as_json=cluster.as_json))


def _run(options: "FleetOptions", identities: "Sequence[Identity]", *, as_json: bool) -> int:
    """Run the fleet, print its report, and return the exit code."""
    from mocknode.cli.fleet_table import fleet_table
    from mocknode.mock.tentacle.fleet_session import run_fleet, shortfall
    from mocknode.mock.tentacle.registering import RegistrationError

    try:
        report = run_loop(run_fleet(options, identities, _say))
    except RegistrationError as exc:
        raise EnvironmentFailureError(f"--api: {exc}") from exc
    except OSError as exc:
        raise EnvironmentFailureError(
            f"tentacles: {exc}; `mocknode doctor --tentacles {options.polling}` shows which limit was reached"
        ) from exc
    click.echo(json.dumps(report.document()) if as_json else fleet_table(report), nl=as_json)
    if options.api is not None:
        _say(
            f"{options.polling + options.listening} Tentacles stay registered: `mocknode tentacle unregister NAME` removes one, "
            "`mocknode reset` removes all data"
        )
    if short := shortfall(report, until_polled=options.until_polled):
        complain(short)
        return FAILED
    return 0


def _identities(directory: Path, count: int) -> "Sequence[Identity]":
    from mocknode.mock.tentacle.fleet_session import Countdown
    from mocknode.mock.tentacle.identity import IdentityError, identities

    countdown = Countdown(_say)
    try:
        return identities(directory, count, lambda done: countdown.count(done, count, "certificates"))
    except IdentityError as exc:
        raise UsageError(f"--identities: {exc}") from exc
    except OSError as exc:
        raise EnvironmentFailureError(f"--identities: {exc}") from exc


def _refuse_too_many(options: "FleetOptions") -> None:
    """Raise the limit on descriptors, and refuse a fleet that descriptors or ports do not suffice for."""
    from mocknode.mock.cluster.capacity import shortages
    from mocknode.system.this_process import raise_open_file_limit

    raise_open_file_limit()  # One for each connection.
    if short := shortages(options.connections, len(set(options.addresses))):
        raise EnvironmentFailureError(f"--count {options.polling}: {'; '.join(short)}")


def _addresses(text: str) -> list[tuple[str, int]]:
    from mocknode.mock.tentacle.fleet_session import parse_addresses

    try:
        return parse_addresses(text)
    except ValueError as exc:
        raise UsageError(f"--to: {exc}") from exc


def _addresses_of(cluster: dict[str, Any]) -> list[tuple[str, int]]:
    from mocknode.mock.tentacle.fleet_session import tentacle_addresses

    try:
        return tentacle_addresses(cluster)
    except ValueError as exc:
        raise UsageError(f"--to: {exc}") from exc


def _thumbprint(text: str) -> str:
    from mocknode.mock.tentacle.identity import IdentityError, parse_thumbprint

    try:
        return parse_thumbprint(text)
    except IdentityError as exc:
        raise UsageError(f"--{exc}") from exc


def _say(text: str) -> None:
    click.echo(text, err=True)
