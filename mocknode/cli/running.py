"""What `check` and `load` do alike around a run: the event loop, interruption by signals, and messages."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from mocknode.text.foreign import plain_lines

T = TypeVar("T")


@dataclass(slots=True)
class Interruption:
    """Whether the user or a CI system has asked the run to end."""

    requested: bool = False


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on uvloop where it is installed: a gigabyte upload then costs half the CPU."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def cancel_on_signals(*, once: bool = False) -> Interruption:
    """Cancel the current task on Ctrl-C, and on SIGTERM, with which CI systems end a job.

    Args:
        once: Ignore later signals, so that they do not break off the clean-up, which is short.
    """
    task = asyncio.current_task()
    assert task is not None
    interruption = Interruption()

    def stop() -> None:
        if not (once and interruption.requested):
            task.cancel()
        interruption.requested = True

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop)
    return interruption


def complain(message: str) -> None:
    """Show an error that does not end the command."""
    click.echo(f"mocknode: {plain_lines(message)}", err=True)


@contextlib.contextmanager
def refused_options() -> Iterator[None]:
    """Turn an `OptionError` of the block into the error of a wrong command line."""
    from mocknode.judge.lab.target import OptionError

    try:
        yield
    except OptionError as exc:
        raise click.UsageError(str(exc)) from exc
