"""The flags by which commands find the cluster, and the client behind them."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from mocknode.cli.errors import EnvironmentFailureError, UsageError
from mocknode.mock.cluster.settings import DEFAULT_CONTROL

_T = TypeVar("_T")
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFlags:
    """The cluster that a command talks to, and whether it prints JSON."""

    control: str
    control_token_file: Path | None
    ca: Path | None
    as_json: bool

    def ask(self, conversation: Callable[[Any], Awaitable[_T]]) -> _T:
        """Talk to the control API; see `ask`."""
        return ask(self.control, self.control_token_file, self.ca, conversation)


def cluster_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--control`, `--control-token-file`, `--ca` and `--json`; the command gets them as `ClusterFlags`, its first argument."""

    @functools.wraps(command)
    def collected(control: str, control_token_file: Path | None, ca: Path | None, as_json: bool, **flags: Any) -> None:
        command(ClusterFlags(control=control, control_token_file=control_token_file, ca=ca, as_json=as_json), **flags)

    decorators = [
        click.option(
            "--control", envvar="MOCKNODE_CONTROL", default=DEFAULT_CONTROL, show_default=True, metavar="URL",
            help="Control API of the cluster.",
        ),
        click.option(
            "--control-token-file", envvar="MOCKNODE_CONTROL_TOKEN_FILE", type=EXISTING_FILE,
            help="File with the token of the control API.",
        ),
        click.option(
            "--ca", envvar="MOCKNODE_CA", type=EXISTING_FILE, help="CA certificate (PEM) to trust at the control API."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        collected = decorator(collected)
    return collected


def ask(control: str, token_file: Path | None, ca: Path | None, conversation: Callable[[Any], Awaitable[_T]]) -> _T:
    """Open a `ControlClient` for a conversation and return what the conversation does.

    Raises:
        UsageError: the control API refused the request (exit code 2).
        EnvironmentFailureError: no control API of ours answers (exit code 3).
    """
    # httpx takes a quarter of a second to import; usage errors come before it.
    from mocknode.mock.cluster.client import ControlClient, ControlError, ControlUnreachableError
    from mocknode.mock.cluster.settings import read_token
    from mocknode.mock.cluster.settings_error import SettingsError

    async def talk() -> _T:
        token = read_token(token_file) if token_file else None
        async with ControlClient(control, token, str(ca) if ca else None) as client:
            return await conversation(client)

    try:
        return asyncio.run(talk())
    except SettingsError as exc:
        raise UsageError(str(exc)) from exc
    except ControlUnreachableError as exc:
        raise EnvironmentFailureError(
            f"--control: {exc}; start a cluster with `mocknode up`, or give the address of the one that runs"
        ) from exc
    except ControlError as exc:
        if exc.status in (400, 404, 409, 422):
            raise UsageError(exc.detail) from exc
        raise EnvironmentFailureError(f"--control {control}: {exc.detail}") from exc
