"""Ports of a cluster: checked before anything starts, then held while nodes come and go.

A node opens its own listeners. The cluster keeps each port bound as well, with SO_REUSEPORT and without listening, so that
nobody takes the port of a crashed node and connections to it are refused, as the kernel of a dead host refuses them. Linux lets
only processes of the same user bind such a port again.

Picked ports lie outside the ephemeral range: a port inside it may become the local end of an outgoing connection while its node
is down. As long as the process that picked a port runs, nobody picks it again, on Linux no other process either: a balancer is
given its ports before it listens there, and nothing else holds them until then.
"""

import contextlib
import errno
import os
import random
import socket
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_IANA_EPHEMERAL: Final = (49152, 65535)
"""RFC 6335 section 6; the range of macOS and Windows."""
_LOWEST_PICK: Final = 10240
"""Well-known services of developer machines live below."""
_PICK_ATTEMPTS: Final = 200
"""When this many picks in a row are taken, something else is wrong with the machine."""
_CLAIMS_MAX: Final = 128
"""Claims that are kept at a time; the program that was given an older port listens there by now, or has ended."""

_picked: set[int] = set()
"""Ports that this process picked."""
_claims: deque[int] = deque()
"""Descriptors that claim the latest of these ports."""


class PortError(Exception):
    """A port cannot be used; the message names the flag, the port and what is allowed."""


class PortCollisionError(PortError):
    """Two flags name the same port: a usage error on any machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A port that a setting asks for.

    Attributes:
        flag: The flag that asked for it, such as `--http-port` or `--node node-2`.
        use: Its purpose, such as `HTTP port of node-2`.
        host: Address to bind it to.
        port: Number of the port; 0 picks one.
    """

    flag: str
    use: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A port that we hold, with the socket that holds it."""

    wanted: Wanted
    port: int
    socket: socket.socket

    def release(self) -> None:
        """Release the port."""
        self.socket.close()


def ephemeral_range() -> tuple[int, int]:
    """Return the first and the last port that the kernel gives to outgoing connections."""
    try:
        low, high = _EPHEMERAL_RANGE.read_text().split()
    except OSError:
        return _IANA_EPHEMERAL
    return int(low), int(high)


def hold(wanted: Sequence[Wanted]) -> list[Held]:
    """Hold every wanted port, pick a free one for each 0, and return them in the same order.

    Raises:
        PortCollisionError: two flags name the same port on the same address.
        PortError: a port is in use or cannot be bound.
    """
    _refuse_collisions(wanted)
    held: dict[Wanted, Held] = {}
    with contextlib.ExitStack() as undo:
        # Ports with a number first, so that no pick takes one of them.
        for want in sorted(wanted, key=lambda w: w.port == 0):
            held[want] = _hold_named(want) if want.port else _hold_picked(want)
            undo.callback(held[want].release)
        undo.pop_all()
    return [held[want] for want in wanted]


def free(flag: str, host: str, uses: Sequence[str]) -> list[int]:
    """Pick ports for programs that open them themselves, such as a balancer, release them, and return them in order of `uses`.

    Raises:
        PortError: no port can be bound on this address.
    """
    held = hold([Wanted(flag=flag, use=use, host=host, port=0) for use in uses])
    for one in held:
        one.release()
    return [one.port for one in held]


def _bind(host: str, port: int, *options: int) -> socket.socket:
    """Return a bound TCP socket that does not listen, with these options of SOL_SOCKET switched on."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, proto)
    try:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _take(host: str, port: int) -> socket.socket:
    """Return a socket that holds a port for our nodes.

    Raises:
        OSError: EADDRINUSE when another program has the port, even if it would share it.
    """
    # Without SO_REUSEADDR a port whose last connections are in TIME_WAIT counts as taken; with SO_REUSEPORT one that
    # another program of this user shares counts as free.
    _bind(host, port, socket.SO_REUSEADDR).close()
    try:
        # No SO_REUSEADDR here, so that the line above finds the port taken while its node is down.
        return _bind(host, port, socket.SO_REUSEPORT)
    except OSError:
        # The connections in TIME_WAIT belong to a program that did not set SO_REUSEPORT.
        return _bind(host, port, socket.SO_REUSEPORT, socket.SO_REUSEADDR)


def _refuse_collisions(wanted: Iterable[Wanted]) -> None:
    seen: dict[tuple[str, int], Wanted] = {}
    for want in wanted:
        if want.port == 0:
            continue
        if not 0 < want.port < 65536:
            raise PortCollisionError(
                f"{want.flag}: the {want.use} would be {want.port}; allowed are 1 to 65535, or 0 to pick"
            )
        other = seen.setdefault((want.host, want.port), want)
        if other is not want:
            raise PortCollisionError(
                f"{other.flag} and {want.flag} collide: {want.host}:{want.port} would be the {other.use} and the {want.use}; "
                "give one of them another port, or 0 to pick a free one"
            )


def _hold_named(want: Wanted) -> Held:
    try:
        return Held(wanted=want, port=want.port, socket=_take(want.host, want.port))
    except OSError as exc:
        raise PortError(f"{want.flag}: {_reason(want, exc)}") from exc


def _hold_picked(want: Wanted) -> Held:
    low, high = ephemeral_range()
    candidates = [*range(_LOWEST_PICK, low), *range(high + 1, 65536)] or range(_LOWEST_PICK, 65536)
    # Not seeded, so that two clusters started at once pick different ports.
    chooser = random.SystemRandom()
    for _ in range(_PICK_ATTEMPTS):
        port = chooser.choice(candidates)
        if not _claim(port):
            continue
        try:
            return Held(wanted=want, port=port, socket=_take(want.host, port))
        except OSError as exc:
            if exc.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise PortError(f"{want.flag}: {_reason(want, exc)}") from exc
    raise PortError(f"{want.flag}: no free port found on {want.host} for the {want.use} after {_PICK_ATTEMPTS} tries")


def _claim(port: int) -> bool:
    """Claim the port for this process; return False when somebody has picked it already."""
    if port in _picked:
        return False
    _picked.add(port)
    if sys.platform != "linux":
        return True
    # An abstract socket name belongs to the network namespace, as ports do, needs no directory, and ends with its process.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind(f"\0mocknode-port-{port}")
        except OSError:
            return False
        _claims.append(claim.detach())
    if len(_claims) > _CLAIMS_MAX:
        os.close(_claims.popleft())
    return True


def _reason(want: Wanted, exc: OSError) -> str:
    where = f"{want.host}:{want.port} ({want.use})"
    if exc.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; stop it, give another port, or 0 to pick free ones"
    if exc.errno == errno.EACCES:
        return f"{where} needs privileges this user lacks; ports from 1024 on are allowed"
    if exc.errno == errno.EADDRNOTAVAIL or isinstance(exc, socket.gaierror):
        return (
            f"{want.host} is no address of this machine; allowed are its own addresses, such as 127.0.0.1 and 127.0.0.2"
        )
    return f"{where} cannot be bound: {exc.strerror or exc}"
