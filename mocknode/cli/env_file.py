"""`up --env FILE`: the cluster's addresses and API key as `NAME=value` lines, which shells, Compose and CI systems read.

The file exists exactly as long as the cluster is ready. It is written whole or not at all, and removed before the nodes end.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mocknode.cli.errors import EnvironmentFailureError


def variables(document: Mapping[str, Any]) -> dict[str, str]:
    """The variables that the vendor's clients and `mocknode` itself read.

    Args:
        document: The one line of `mocknode up --json`; the URL is its first node's.
    """
    url, key = document["nodes"][0]["http"], document["api_key"]
    return {
        "MOCKNODE_CONTROL": document["control"],
        "OCTOPUS_URL": url,
        "OCTOPUS_SERVER_URL": url,
        "OCTOPUS_CLI_SERVER": url,
        "OCTOPUS_API_KEY": key,
        "OCTOPUS_CLI_API_KEY": key,
    }


@contextlib.contextmanager
def env_file(path: Path, document: Mapping[str, Any]) -> Iterator[None]:
    """Keep the file for the length of the block; an existing file is replaced.

    Raises:
        EnvironmentFailureError: the file cannot be written; nothing of it remains.
    """
    text = "".join(f"{name}={value}\n" for name, value in variables(document).items())
    try:
        _write(path, text)
    except OSError as exc:
        raise EnvironmentFailureError(
            f"--env {path}: {exc.strerror}; allowed is a file that this user can write"
        ) from exc
    try:
        yield
    finally:
        # A file that somebody replaced meanwhile, such as a second cluster with the same flag, stays.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.read_text() == text:
                path.unlink()


def _write(path: Path, text: str) -> None:
    # mkstemp creates it with mode 0600, as it holds the key from the first byte.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
