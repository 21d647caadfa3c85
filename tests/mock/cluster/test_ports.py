"""Ports: picked outside the ephemeral range, held while nobody listens, refused when taken."""

import contextlib
import random
import socket
import subprocess
import sys

import pytest

from mocknode.mock.cluster.ports import PortCollisionError, PortError, Wanted, ephemeral_range, hold

HOST = "127.0.0.1"


def want(port: int, flag: str = "--http-port", use: str = "HTTP port of node-1", host: str = HOST) -> Wanted:
    return Wanted(flag=flag, use=use, host=host, port=port)


def test_picked_ports_differ_and_lie_outside_the_ephemeral_range() -> None:
    held = hold([want(0, use=f"port {number}") for number in range(20)])
    low, high = ephemeral_range()
    assert len({port.port for port in held}) == 20
    assert all(not low <= port.port <= high for port in held)
    for port in held:
        port.release()


PICKS = f"""
import sys
from mocknode.mock.cluster.ports import Wanted, hold
(held,) = hold([Wanted(flag="f", use="u", host="{HOST}", port=0)])
held.release()
print(held.port, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("whose", ["this process", "another process"])
def test_a_picked_port_is_not_picked_again_though_nothing_listens_there(
    whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer that was told the port does not listen yet."""
    with contextlib.ExitStack() as stack:
        if whose == "this process":
            (mine,) = hold([want(0)])
            mine.release()
            picked = mine.port
        else:
            other = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PICKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            assert other.stdout is not None
            picked = int(other.stdout.readline())
        offered, choose = [picked], random.SystemRandom.choice
        monkeypatch.setattr(
            random.SystemRandom, "choice", lambda self, ports: offered.pop() if offered else choose(self, ports)
        )
        (again,) = hold([want(0)])
        again.release()
        assert not offered
        assert again.port != picked


def test_a_held_port_is_refused_to_clients_and_to_others_and_can_be_listened_on_by_ours() -> None:
    (held,) = hold([want(0)])
    with socket.socket() as client:
        assert client.connect_ex((HOST, held.port)) != 0
    with pytest.raises(PortError, match=f"--http-port: {HOST}:{held.port} .* is in use by another program"):
        hold([want(held.port)])
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind((HOST, held.port))
        ours.listen()
        with socket.create_connection((HOST, held.port)):
            pass
    held.release()


def test_a_port_somebody_listens_on_names_flag_port_and_way_out() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortError, match=rf"--control-port: {HOST}:{port} \(control port\) is in use.*0 to pick"):
            hold([want(port, "--control-port", "control port")])


def test_a_port_shared_by_another_program_counts_as_in_use() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((HOST, 0))
        server.listen()
        with pytest.raises(PortError, match="in use"):
            hold([want(server.getsockname()[1])])


def test_nothing_stays_held_when_one_port_cannot_be() -> None:
    (free,) = hold([want(0)])
    free.release()
    with socket.create_server((HOST, 0)) as server, pytest.raises(PortError):
        hold([want(free.port), want(server.getsockname()[1])])
    (again,) = hold([want(free.port)])
    again.release()


def test_one_port_for_two_purposes_names_both_flags() -> None:
    with pytest.raises(PortCollisionError, match=r"--http-port and --https-port collide: 127\.0\.0\.1:8083"):
        hold([want(8083), want(8083, "--https-port", "HTTPS port of node-1")])


def test_one_port_on_two_addresses_is_no_collision() -> None:
    (first,) = hold([want(0)])
    (second,) = hold([want(first.port, host="127.0.0.2")])
    first.release()
    second.release()


@pytest.mark.parametrize("port", [65536, 70000])
def test_ports_beyond_the_last(port: int) -> None:
    with pytest.raises(PortCollisionError, match=rf"--http-port: .*{port}; allowed are 1 to 65535"):
        hold([want(port)])


def test_an_address_of_another_machine() -> None:
    with pytest.raises(PortError, match=r"192\.0\.2\.1 is no address of this machine"):
        hold([want(0, "--node a", host="192.0.2.1")])
