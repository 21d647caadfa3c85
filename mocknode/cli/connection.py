"""The flags by which verbs find the cluster, and the client behind them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mocknode.cli.errors import EnvironmentFailureError, UsageError
from mocknode.mock.cluster.settings import DEFAULT_CONTROL

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def cluster_options(command: _F) -> _F:
    """Adds `--control`, `--control-token-file`, `--ca` and `--json`; the command gets `target` of `Target` instead."""
    decorators = [
        click.option(
            "--control", envvar="MOCKNODE_CONTROL", default=DEFAULT_CONTROL, show_default=True, metavar="URL",
            help="Control API of the cluster.",
        ),
        click.option(
            "--control-token-file", envvar="MOCKNODE_CONTROL_TOKEN_FILE", type=_FILE, help="File with its token.",
        ),
        click.option("--ca", envvar="MOCKNODE_CA", type=_FILE, help="PEM file of the authority to trust."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def ask(control: str, token_file: Path | None, ca: Path | None, conversation: Callable[[Any], Awaitable[_T]]) -> _T:
    """Open a `ControlClient`, hold the conversation, and turn its errors into ours.

    Args:
        conversation: Is given the client.

    Raises:
        UsageError: the control API said no (exit code 2).
        EnvironmentFailureError: nothing of ours answers (exit code 3).
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
            f"--control: {exc}; start a cluster with `mocknode up`, or name the one that runs"
        ) from exc
    except ControlError as exc:
        if exc.status in (400, 404, 409, 422):
            raise UsageError(exc.detail) from exc
        raise EnvironmentFailureError(f"--control {control}: {exc.detail}") from exc
