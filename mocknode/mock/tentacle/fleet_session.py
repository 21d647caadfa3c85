"""A fleet of simulated Tentacles from its options to its report: register, connect, poll, and watch until it is time to end."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mocknode.mock.tentacle.fleet import AddressRow, Fleet, FleetReport, ListeningFleet, members, registrations
from mocknode.mock.tentacle.identity import Identity
from mocknode.mock.tentacle.registering import Registration, register

_LOOK_S: Final = 0.25
_SAY_EVERY_S: Final = 5.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """What a fleet is to do.

    Attributes:
        polling, listening: How many Tentacles of each kind.
        addresses: Where every polling Tentacle polls.
        api, api_key: REST API at which they register; None registers nobody.
        thumbprint: The server's; None means what the REST API says.
        interval_s: How long the server lets a poll wait.
        duration_s: When to end; None means on a signal.
        until_polled: End as soon as every Tentacle got a message at every address.
        prefix: How the names of the Tentacles begin.
        seed: Seed of the spread of their back-offs.
    """

    polling: int
    listening: int
    addresses: Sequence[Address]
    api: str | None
    api_key: str | None
    thumbprint: str | None
    interval_s: float
    duration_s: float | None
    until_polled: bool
    prefix: str
    seed: int

    @property
    def connections(self) -> int:
        """About how many descriptors this process needs."""
        return self.polling * len(self.addresses) + 2 * self.listening


class Countdown:
    """Says now and then how many of a number are done; of a few, only when all are."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said_s = time.monotonic()

    def count(self, done: int, all_: int, what: str) -> None:
        """Take how many are done."""
        now_s = time.monotonic()
        if done == all_ or now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            self._say(f"{done} of {all_} {what}")


async def run_fleet(options: FleetOptions, identities: Sequence[Identity], say: Callable[[str], None]) -> FleetReport:
    """Register the Tentacles, connect and poll; return the last report.

    Args:
        identities: One for each Tentacle, the polling ones first.

    Raises:
        RegistrationError: the REST API cannot be reached, or refuses.
        OSError: ports or descriptors have run out.
    """
    countdown = Countdown(say)
    polling = members(identities[: options.polling], options.prefix)
    listening = members(identities[options.polling :], f"{options.prefix}-listening")
    known = await _register(options, registrations(polling), countdown)
    thumbprint = options.thumbprint or known
    listening_fleet = ListeningFleet(listening, [thumbprint] if thumbprint else [])
    await listening_fleet.start()
    try:
        if listening:
            await _register(options, listening_fleet.registrations(), countdown)
        fleet = Fleet(polling, options.addresses, thumbprint, interval_s=options.interval_s, seed=options.seed)
        return await _watch(fleet, options, say)
    finally:
        await listening_fleet.stop()


async def _register(options: FleetOptions, wanted: Sequence[Registration], countdown: Countdown) -> str | None:
    """Register these; return the server's thumbprint as the REST API says it."""
    if options.api is None:
        return None
    count = len(wanted)
    return await register(
        options.api, options.api_key or "", wanted, lambda done: countdown.count(done, count, "registered")
    )


async def _watch(fleet: Fleet, options: FleetOptions, say: Callable[[str], None]) -> FleetReport:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None if ended.done() else ended.set_result(None))
    fleet.start()
    over_s = None if options.duration_s is None else loop.time() + options.duration_s
    said_s, said = loop.time(), ""
    while not ended.done() and (over_s is None or loop.time() < over_s):
        await asyncio.wait([ended], timeout=_LOOK_S)
        fleet.look()
        if options.until_polled and fleet.polled:
            break
        if loop.time() - said_s >= _SAY_EVERY_S:
            said_s, report = loop.time(), fleet.report()
            # An idle fleet stays quiet: the same line is not repeated.
            if (text := progress_text(report)) != said:
                said = text
                say(f"{report.seconds:6.1f} s  {text}")
    report = fleet.report()
    await fleet.stop()
    return report


def progress_text(report: FleetReport) -> str:
    """How many connections are up, and a line for each address where some are missing."""
    wanted = report.tentacles * len(report.rows)
    connected, polled = sum(row.connected for row in report.rows), sum(row.polled for row in report.rows)
    lines = [f"{connected}/{wanted} connections up, {polled} polled"]
    lines += [
        f"          {row.address} {row.connected}/{report.tentacles}{trouble(row)}"
        for row in report.rows
        if row.connected < report.tentacles
    ]
    return "\n".join(lines)


def trouble(row: AddressRow) -> str:
    """What one of the missing connections reports, without the address, which already stands before it."""
    return f": {row.trouble.replace(f'{row.address}: ', '')}" if row.trouble else ""


def shortfall(report: FleetReport, *, until_polled: bool) -> str:
    """What the fleet should have reached at the end and did not; empty when all is well."""
    reached = {row.address: row.polled if until_polled else row.connected for row in report.rows}
    short = [
        f"{count}/{report.tentacles} at {address}" for address, count in reached.items() if count < report.tentacles
    ]
    if not short:
        return ""
    what = "not every Tentacle got a message" if until_polled else "not every Tentacle is connected at the end"
    return f"{what}: {', '.join(short)}"


def parse_addresses(text: str) -> list[Address]:
    """The addresses in `HOST:PORT[,HOST:PORT...]`.

    Raises:
        ValueError: naming what was given and what is allowed.
    """
    words = text.split(",")
    found = [_address(word) for word in words]
    twice = [word for word, address in zip(words, found, strict=True) if found.count(address) > 1]
    if twice:
        raise ValueError(f"got {twice[0].strip()!r} more than once, allowed: each address once")
    return found


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text.strip()}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path or parts.username:
        raise ValueError(f"got {text!r}, allowed: HOST:PORT, several separated by commas")
    return host, port


def tentacle_addresses(cluster: Mapping[str, Any]) -> list[Address]:
    """Where the nodes of a cluster are polled, from its document.

    Raises:
        ValueError: none of them has a Tentacle port.
    """
    found = [(n["tentacle"]["host"], n["tentacle"]["port"]) for n in cluster["nodes"] if n["tentacle"] is not None]
    if not found:
        raise ValueError("the cluster's nodes have no Tentacle port; allowed: HOST:PORT[,HOST:PORT...]")
    return found
