"""`tentacles`: a fleet of simulated Tentacles; `tentacle`: the registered ones, and calls to them over Halibut."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from mocknode.cli.connection import ask, cluster_options
from mocknode.cli.errors import DURATION, FAILED, EnvironmentFailureError, UsageError, Whole
from mocknode.cli.tables import render

if TYPE_CHECKING:
    from mocknode.mock.cluster.client import ControlClient
    from mocknode.mock.tentacle.fleet import AddressRow, Fleet, FleetReport, Member

COUNT_MAX: Final = 20_000
"""Real clusters have a few thousand; above it one process and its ports are what is measured."""
LISTENING_MAX: Final = 1_000
"""Each needs a port and an SSL context of its own."""
_LOOK_S: Final = 0.25
_SAY_EVERY_S: Final = 5.0
_COLUMNS: Final = {
    "address": "what every Tentacle polls, a row each",
    "connected": "Tentacles whose connection stands at the end, of all",
    "polled": "Tentacles that got a message there at least once",
    "on time": "those of them that never waited longer for one than --interval and a tenth",
    "cut": "connections that stood and ended, or were given up after 60 s without a message, and how long nothing had come then: "
    "the same figure every time is the idle limit of something in between",
    "reconnects": "connections that stood again after that",
    "failed reconnects": "attempts in between that came to nothing",
    "failed attempts": "all that did, the first ones included: refused (no listener), rejected (closed after the preamble: not "
    "trusted), broken off (closed or silent before the server said who it is), mismatches (another certificate than the server's)",
    "longest silence": "longest wait for a message on a connection that stood, whether one came or it was cut",
    "slowest return": "longest time from a cut until the connection stood again",
}
"""Columns of the table, and what they mean."""
_FAILED_ATTEMPTS: Final = {
    "refused": "refused",
    "rejected": "rejected",
    "broken": "broken off",
    "mismatches": "mismatches",
}
"""Fields of a row, and what they are called in the table."""


class _Fleet(click.Command):
    """The command, whose help ends with what its table means."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The columns."""
        with formatter.section("Columns of the table"):
            formatter.write_dl(list(_COLUMNS.items()))


@click.command(cls=_Fleet)
@click.option("--count", type=Whole(0, COUNT_MAX), default=10, show_default=True, help="How many polling Tentacles.")
@click.option(
    "--to",
    metavar="HOST:PORT[,HOST:PORT...]",
    help="Addresses that each of them polls. Default: those of the cluster's nodes.",
)
@click.option(
    "--listening", type=Whole(0, LISTENING_MAX), default=0, show_default=True, help="How many listening ones."
)
@click.option("--api", metavar="URL", help="REST API at which they register. Default: the first node's.")
@click.option("--api-key", metavar="API-...", help="Its key. Default: the cluster's.")
@click.option("--no-register", is_flag=True, help="They are registered already.")
@click.option("--thumbprint", metavar="40 HEX", help="Of the server, instead of what the REST API says.")
@click.option(
    "--interval", type=DURATION, default="30s", show_default=True, help="How long the server lets a poll wait."
)
@click.option("--for", "duration", type=DURATION, help="End after so long. Default: when interrupted.")
@click.option(
    "--until-polled",
    is_flag=True,
    help="End as soon as every Tentacle got a message at every address; fail after --for.",
)
@click.option(
    "--identities", type=click.Path(file_okay=False, path_type=Path), help="Where their certificates are kept."
)
@click.option("--prefix", default="tentacle", show_default=True, help="Their names begin so.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of how their back-offs spread.")
@cluster_options
def tentacles(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool, **flags: Any) -> None:
    """Run simulated Tentacles: each polls every address, comes back as real ones do, and answers what it is asked.

    Exit code 1: at the end not every Tentacle was connected at every address (with --until-polled: had got a message there).
    """
    addresses = _addresses(flags["to"]) if flags["to"] else None
    if flags["thumbprint"]:
        flags["thumbprint"] = _thumbprint(flags["thumbprint"])
    if flags["count"] == flags["listening"] == 0:
        raise UsageError("--count 0: got no Tentacle at all, allowed: at least one, polling or --listening")

    def cluster() -> dict[str, Any]:
        return ask(control, control_token_file, ca, lambda client: client.cluster())

    wanted = _Wanted(flags, addresses, cluster)
    _refuse_too_many(wanted)
    try:
        report = _run(_Running(wanted).run())
    except OSError as exc:
        raise EnvironmentFailureError(
            f"tentacles: {exc}; `mocknode doctor --tentacles {flags['count']}` says what binds"
        ) from exc
    click.echo(json.dumps(report.document()) if as_json else fleet_table(report), nl=as_json)
    if not flags["no_register"]:
        click.echo(
            f"{flags['count'] + flags['listening']} Tentacles stay registered: `mocknode tentacle unregister NAME` forgets one, "
            "`mocknode reset` all data",
            err=True,
        )
    if lacking := _lacking(report, until_polled=flags["until_polled"]):
        click.echo(f"mocknode: {lacking}", err=True)
        sys.exit(FAILED)


def _lacking(report: "FleetReport", *, until_polled: bool) -> str:
    """What should be so at the end and is not; empty when all is well."""
    if until_polled:
        short = [
            f"{row.polled}/{report.tentacles} at {row.address}" for row in report.rows if row.polled < report.tentacles
        ]
        return f"not every Tentacle got a message: {', '.join(short)}" if short else ""
    short = [
        f"{row.connected}/{report.tentacles} at {row.address}"
        for row in report.rows
        if row.connected < report.tentacles
    ]
    return f"not every Tentacle is connected at the end: {', '.join(short)}" if short else ""


class _Wanted:
    """What the flags ask for; the cluster is only asked about what they leave open."""

    def __init__(
        self, flags: dict[str, Any], addresses: list[tuple[str, int]] | None, cluster: Callable[[], dict[str, Any]]
    ) -> None:
        self.flags = flags
        known: dict[str, Any] | None = None
        registers = not flags["no_register"]
        if addresses is None or (registers and not (flags["api"] and flags["api_key"])):
            known = cluster()
        self.addresses = addresses if addresses is not None else _addresses_of(known or {})
        self.api, self.key = flags["api"], flags["api_key"]
        if known is not None:
            self.api = self.api or known["nodes"][0]["http"]
            self.key = self.key or known["api_key"]
        self.identities: Path = flags["identities"] or _state_dir() / "tentacles"

    @property
    def connections(self) -> int:
        """How many descriptors this process needs, about."""
        return int(self.flags["count"]) * len(self.addresses) + 2 * int(self.flags["listening"])


class _Running:
    """A fleet while it runs, and what is said of it."""

    def __init__(self, wanted: _Wanted) -> None:
        self._wanted, self._flags = wanted, wanted.flags
        self._counted_s = time.monotonic()

    async def run(self) -> "FleetReport":
        """Register, connect, poll; the last report."""
        from mocknode.mock.tentacle.fleet import Fleet, ListeningFleet, members
        from mocknode.mock.tentacle.identity import IdentityError, identities

        flags = self._flags
        count, listening = flags["count"], flags["listening"]
        try:
            made = identities(
                self._wanted.identities,
                count + listening,
                lambda n: self._count(n, count + listening, "certificates"),
            )
        except IdentityError as exc:
            raise UsageError(f"--identities: {exc}") from exc
        except OSError as exc:
            raise EnvironmentFailureError(f"--identities: {exc}") from exc
        polling = members(made[:count], flags["prefix"])
        listeners = members(made[count:], f"{flags['prefix']}-listening")
        thumbprint = await self._register(polling)
        listening_fleet = ListeningFleet(listeners, [thumbprint] if thumbprint else [])
        await listening_fleet.start()
        try:
            if listening and not flags["no_register"]:
                await self._enter(listening_fleet.registrations())
            fleet = Fleet(polling, self._wanted.addresses, thumbprint, interval_s=flags["interval"], seed=flags["seed"])
            return await self._watch(fleet)
        finally:
            await listening_fleet.stop()

    async def _register(self, fleet: "list[Member]") -> str | None:
        from mocknode.mock.tentacle.fleet import registrations

        pinned: str | None = self._flags["thumbprint"]
        if self._flags["no_register"]:
            return pinned
        thumbprint = await self._enter(registrations(fleet))
        return pinned or thumbprint

    async def _enter(self, wanted: Any) -> str:
        from mocknode.mock.tentacle.registering import RegistrationError, register

        try:
            return await register(
                self._wanted.api, self._wanted.key, wanted, lambda n: self._count(n, len(wanted), "registered")
            )
        except RegistrationError as exc:
            raise EnvironmentFailureError(f"--api: {exc}") from exc

    async def _watch(self, fleet: "Fleet") -> "FleetReport":
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: None if ended.done() else ended.set_result(None))
        fleet.start()
        over_s = None if self._flags["duration"] is None else loop.time() + self._flags["duration"]
        said_s, said = loop.time(), ""
        while not ended.done() and (over_s is None or loop.time() < over_s):
            await asyncio.wait([ended], timeout=_LOOK_S)
            fleet.look()
            if self._flags["until_polled"] and fleet.polled:
                break
            if loop.time() - said_s >= _SAY_EVERY_S:
                said_s, report = loop.time(), fleet.report()
                # Nothing is said twice: an idle fleet is a quiet one.
                if (text := progress_text(report)) != said:
                    said = text
                    self._say(f"{report.seconds:6.1f} s  {text}")
        report = fleet.report()
        await fleet.stop()
        return report

    def _count(self, done: int, all_: int, what: str) -> None:
        """Say how far it is, now and then; a fleet of a few is done before anybody could read that."""
        now_s = time.monotonic()
        if done == all_ or now_s - self._counted_s >= _SAY_EVERY_S:
            self._counted_s = now_s
            self._say(f"{done} of {all_} {what}")

    def _say(self, text: str) -> None:
        click.echo(text, err=True)


def progress_text(report: "FleetReport") -> str:
    """How it stands, and a line for each address where somebody is missing."""
    wanted = report.tentacles * len(report.rows)
    standing, polled = sum(row.connected for row in report.rows), sum(row.polled for row in report.rows)
    lines = [f"{standing}/{wanted} connections stand, {polled} polled"]
    lines += [
        f"          {row.address} {row.connected}/{report.tentacles}{_trouble(row)}"
        for row in report.rows
        if row.connected < report.tentacles
    ]
    return "\n".join(lines)


def _trouble(row: "AddressRow") -> str:
    """What one of the missing says, without the address that stands before it."""
    return f": {row.trouble.replace(f'{row.address}: ', '')}" if row.trouble else ""


def fleet_table(report: "FleetReport") -> str:
    """One line an address, and what a Tentacle costs."""
    rows = [
        [
            row.address, f"{row.connected}/{report.tentacles}", str(row.polled), str(row.on_time), _cut(row), str(row.reconnects),
            str(row.failed_reconnects), _failed_attempts(row), f"{row.longest_silence_s:.1f} s", f"{row.slowest_return_s:.1f} s",
        ]
        for row in report.rows
    ]  # fmt: skip
    each = report.document()["per_tentacle"]
    rss = "unknown" if each["rss_bytes"] is None else f"{each['rss_bytes'] / 1024:.0f} KiB resident"
    troubles = "".join(f"{row.address}{_trouble(row)}\n" for row in report.rows if row.trouble)
    return (
        render(list(_COLUMNS), rows)
        + troubles
        + f"{report.tentacles} Tentacles in {report.seconds:.1f} s, {_connected(report)}; each in this process: {rss}, "
        f"{each['descriptors']} descriptors, {each['wire_bytes']} bytes on the wire\n"
        "`mocknode tentacles --help` says what the columns mean.\n"
    )


def _connected(report: "FleetReport") -> str:
    if report.all_connected_s is None:
        return "never all connected"
    first = f"after {report.all_connected_s:.1f} s"
    return f"all connected {first}" if report.all_connected else f"not all connected, though all were {first}"


def _cut(row: "AddressRow") -> str:
    if row.shortest_cut_silence_s is None or row.longest_cut_silence_s is None:
        return "0"
    shortest, longest = f"{row.shortest_cut_silence_s:.1f}", f"{row.longest_cut_silence_s:.1f}"
    return f"{row.cut} after {longest if shortest == longest else f'{shortest} to {longest}'} s of silence"


def _failed_attempts(row: "AddressRow") -> str:
    counts = {words: getattr(row, name) for name, words in _FAILED_ATTEMPTS.items()}
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count) or "0"


def _refuse_too_many(wanted: _Wanted) -> None:
    """Say before anything is started when descriptors or ports cannot be had; raise the soft limit where it may be."""
    from mocknode.cli.capacity import lacking, raise_descriptors

    raise_descriptors(wanted.connections)
    lacks = lacking(wanted.connections, len(set(wanted.addresses)))
    if lacks:
        raise EnvironmentFailureError(f"--count {wanted.flags['count']}: {'; '.join(lacks)}")


def _run(work: Any) -> Any:
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


def _addresses_of(cluster: dict[str, Any]) -> list[tuple[str, int]]:
    found = [(n["tentacle"]["host"], n["tentacle"]["port"]) for n in cluster["nodes"] if n["tentacle"] is not None]
    if not found:
        raise UsageError("--to: the cluster's nodes have no Tentacle port; allowed: HOST:PORT[,HOST:PORT...]")
    return found


def _addresses(text: str) -> list[tuple[str, int]]:
    found = [_address(part) for part in text.split(",")]
    twice = [part for part, address in zip(text.split(","), found, strict=True) if found.count(address) > 1]
    if twice:
        raise UsageError(f"--to: got {twice[0].strip()!r} more than once, allowed: each address once")
    return found


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text.strip()}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path or parts.username:
        raise UsageError(f"--to: got {text!r}, allowed: HOST:PORT, several separated by commas")
    return host, port


def _thumbprint(text: str) -> str:
    from mocknode.mock.tentacle.identity import IdentityError, parse_thumbprint

    try:
        return parse_thumbprint(text)
    except IdentityError as exc:
        raise UsageError(f"--{exc}") from exc


def _state_dir() -> Path:
    """The user's state directory (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mocknode"


@click.group()
def tentacle() -> None:
    """List, register and call Tentacles."""


@tentacle.command("list")
@cluster_options
def list_(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Registered Tentacles, and their open connections at each node."""
    found = ask(control, control_token_file, ca, lambda client: client.tentacles())
    if as_json:
        click.echo(json.dumps(found))
        return
    nodes = list(found[0]["nodes"]) if found else []
    rows = [
        [
            t["name"],
            t["uri"],
            t["thumbprint"],
            *("-" if t["nodes"][node] is None else str(t["nodes"][node]) for node in nodes),
        ]
        for t in found
    ]
    click.echo(render(["Tentacle", "uri", "thumbprint", *nodes], rows), nl=False)


@tentacle.command()
@click.argument("name")
@click.argument("thumbprint")
@click.argument("uri")
@cluster_options
def register(
    name: str, thumbprint: str, uri: str, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool
) -> None:
    """Have every node trust a Tentacle: its THUMBPRINT, and URI poll://abc/ or https://host:10933/."""
    found = ask(control, control_token_file, ca, lambda client: client.register_tentacle(name, thumbprint, uri))
    click.echo(json.dumps(found) if as_json else f"{name} is trusted by every node")


@tentacle.command()
@click.argument("name")
@cluster_options
def unregister(name: str, control: str, control_token_file: Path | None, ca: Path | None, as_json: bool) -> None:
    """Have no node trust it any more; its connections are reset."""
    ask(control, control_token_file, ca, lambda client: client.unregister_tentacle(name))
    click.echo(json.dumps({"unregistered": name}) if as_json else f"{name} is trusted by no node")


@tentacle.command()
@click.argument("name")
@click.argument("what", default="health")
@click.option("--node", "node", default="node-1", show_default=True, help="Through which node.")
@click.option("--body", help="The script, for `script`.")
@click.option(
    "--collect", type=DURATION, help="How long a polling Tentacle may take to collect it. Default: two minutes."
)
@cluster_options
def call(
    name: str, what: str, node: str, body: str | None, collect: float | None, control: str, control_token_file: Path | None,
    ca: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Call a Tentacle over Halibut: WHAT is health (default), capabilities or script.

    The node calls it: a polling Tentacle through the connection that it polls with, by way of the balancer if that is where it
    polls; a listening one directly. Exit code 1: the call failed.

    The first call after a polling Tentacle left or restarted may fail, as with a real server: while it waits for work a server
    does not read, so it may hand the request to a connection that is dead already, and that request is lost. The next call uses a
    live one.
    """
    if (what == "script") != bool(body):
        raise UsageError(
            "--body: got none, allowed for `script`: the text of the script"
            if what == "script"
            else f"--body: got {body!r}, allowed: a text with `script` only"
        )

    async def conversation(client: "ControlClient") -> dict[str, Any]:
        from mocknode.mock.cluster.client import CALL_FAILED, ControlError

        try:
            return {"ok": True, **await client.call_tentacle(node, name, what, body=body or "", collect_s=collect)}
        except ControlError as exc:
            if exc.status != CALL_FAILED:
                raise
            return {"ok": False, "error": exc.detail}

    answer = ask(control, control_token_file, ca, conversation)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _show_answer(name, what, answer)
    if not answer["ok"]:
        sys.exit(FAILED)


def _show_answer(name: str, what: str, answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        click.echo(f"mocknode: {what} of {name} failed: {answer['error']}", err=True)
        return
    with contextlib.suppress(KeyError):
        click.echo(f"{name} is {'healthy' if answer['healthy'] else 'not healthy'}, version {answer['version']}")
    for title in ("capabilities", "output"):
        if answer.get(title):
            click.echo(f"{title:13} {', '.join(answer[title])}")
    if "exit_code" in answer:
        click.echo(f"{'exit code':13} {answer['exit_code']}")
