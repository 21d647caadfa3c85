"""The flags that `check` and `load` share: the balancer to test, the nodes behind it, and where the run is recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from mocknode.cli.errors import Parsed
from mocknode.mock.cluster.settings import DEFAULT_CONTROL
from mocknode.text.units import parse_size

SIZE: Final = Parsed("size", parse_size)
FILE_TO_WRITE: Final = click.Path(path_type=Path, dir_okay=False)
_F = TypeVar("_F", bound=Callable[..., Any])
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_OPTIONS: Final = (
    click.option("--lb", metavar="URL", help="Front door of a balancer that is already running."),
    click.option("--control", metavar="URL", help=f"Control API of the nodes behind --lb (default {DEFAULT_CONTROL})."),
    click.option("--control-token-file", type=_FILE, help="File with the token of that control API."),
    click.option("--control-ca", type=_FILE, help="CA certificate (PEM) to trust at that control API."),
    click.option("--ca", type=_FILE, help="CA certificate (PEM) to trust at --lb."),
    click.option("--insecure", is_flag=True, help="Accept any certificate at --lb."),
    click.option(
        "--host", help="Name to send in the Host header and in TLS (default: the address of --lb, or of --with)."
    ),
    click.option("--resolve", metavar="HOST:PORT:ADDR", help="Connect to ADDR instead of HOST:PORT."),
    click.option(
        "--with", "balancer", metavar="BALANCER", help="Start this balancer and a cluster; stop both at the end."
    ),
    click.option(
        "--mode", help="Configuration to start --with with: recommended (default), stock, or vendor-doc (nginx)."
    ),
    click.option(
        "--config",
        type=_FILE,
        help="Your own configuration for --with. It listens on ${FRONT} (HOST:PORT) and forwards to ${NODE_1_HTTP}, "
        "${NODE_2_HTTP} and ${NODE_3_HTTP}. For HTTPS, in addition or instead: ${FRONT_HOST}, ${FRONT_HTTPS_PORT}, ${CERTIFICATE} "
        "and ${KEY}. For Tentacles: ${FRONT_TENTACLE_1} and ${NODE_1_TENTACLE}, and so on for each node; or a single "
        "${FRONT_TENTACLE} that routes by TLS server name, which is ${FRONT_TENTACLE_1_NAME} for node-1. For any other listener: "
        "${FREE_PORT_1}, ${FREE_PORT_2} and so on.",
    ),
    click.option("--binary", type=_FILE, help="Program to run for --with."),
    click.option("--seed", type=int, default=1, show_default=True, help="Seed for everything random in the run."),
    click.option(
        "--run-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Empty directory to record the run in (default: a new one).",
    ),
)


def target_options(command: _F) -> _F:
    """Add the flags that name a balancer, its nodes and the directory of the run."""
    for decorator in reversed(_OPTIONS):
        command = decorator(command)
    return command
