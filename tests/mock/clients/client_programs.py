"""The clients under test: programs that run here unmodified, and those of which only the bytes can be sent.

A `Client` pushes and reads through a front door and says what it was told; it never judges. Programs get their job as
arguments and nothing of our environment that names a proxy.
"""

import asyncio
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_wire import (
    LIMIT_S,
    MODES,
    File,
    Push,
    Told,
    client_async,
    client_sync,
    go_cli,
    linqpad,
    powershell,
    python_sample,
    told,
)

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
FAIL, IGNORE, OVERWRITE = MODES
# What `replace=true|false` can say.
REPLACE = (FAIL, OVERWRITE)
INSTALL_LIMIT_S = 300.0


class MissingProgramError(Exception):
    """A client cannot be run on this machine; the message names what is missing."""


@functools.cache
def node_modules() -> Path:
    """Where the npm clients are, installed from the lock file into the temporary directory if they are not.

    Raises:
        MissingProgramError: there is no Node, or no npm.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise MissingProgramError(
                f"`{program}` is not on PATH: the clients from npm need Node 18 or newer with npm"
            )
    directory = Path(tempfile.gettempdir()) / f"mocknode-clients-{os.getuid()}"
    lock = (HERE / "package-lock.json").read_bytes()
    installed = directory / "package-lock.json"
    if not installed.is_file() or installed.read_bytes() != lock:
        _install(directory, lock)
    return directory / "node_modules"


def _install(directory: Path, lock: bytes) -> None:
    """Install beside, then move into place: of two test processes one wins."""
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}-") as fresh:
        work = Path(fresh) / "new"
        work.mkdir()
        shutil.copy(HERE / "package.json", work)
        (work / "package-lock.json").write_bytes(lock)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr[-2000:]}")
        if directory.exists():
            directory.rename(Path(fresh) / "old")
        try:
            work.rename(directory)
        except OSError:
            if not directory.is_dir():
                raise


async def program(*arguments: str, limit_s: float = LIMIT_S) -> tuple[int, str, str]:
    """Run a program to its end: exit code, output, errors."""
    names = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        *arguments, env=names, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


async def drive(interpreter: str, driver: str, job: dict[str, Any]) -> Told:
    """One job of a driver."""
    if interpreter == "node":
        os.environ["NODE_PATH"] = str(await asyncio.to_thread(node_modules))
    code, out, err = await program(interpreter, str(DRIVERS / driver), json.dumps(job))
    if code or not out:
        raise RuntimeError(f"{driver} ended with {code} without a word: {err[-2000:]}")
    said = json.loads(out.splitlines()[-1])
    return Told(ok=said["ok"], status=said.get("status"), result=said.get("result", said.get("error")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client.

    Attributes:
        modes: Overwrite modes that it can ask for; none if it cannot push.
        push: url, key, files, mode: pushes them as it does several.
        read: url, key: what it reads of spaces, nodes and packages; None if it reads nothing.
        delta: Like `push`, with its compression by deltas; None if it knows none.
    """

    name: str
    version: str
    modes: tuple[str, ...] = ()
    push: Callable[[str, str, list[Path], str], Awaitable[Told]] | None = None
    read: Callable[[str, str], Awaitable[dict[str, Told]]] | None = None
    delta: Callable[[str, str, list[Path], str], Awaitable[Told]] | None = None

    def __str__(self) -> str:
        return self.name


async def _api_client_push(url: str, key: str, files: list[Path], mode: str) -> Told:
    job = {
        "operation": "push",
        "url": url,
        "apiKey": key,
        "space": "Default",
        "files": list(map(str, files)),
        "mode": mode,
    }
    return await drive("node", "api_client.js", job)


async def _api_client_read(url: str, key: str) -> dict[str, Told]:
    job = {"url": url, "apiKey": key, "space": "Default"}
    return {
        name: await drive("node", "api_client.js", {**job, "operation": name})
        for name in ("spaces", "user", "packages")
    }


async def _octopackjs_push(url: str, key: str, files: list[Path], mode: str) -> Told:
    job = {"url": url, "apiKey": key, "space": "Spaces-1", "files": list(map(str, files)), "mode": mode}
    return await drive("node", "octopackjs.js", job)


async def _octopus_deploy_push(url: str, key: str, files: list[Path], mode: str) -> Told:
    job = {
        "operation": "push",
        "url": url,
        "apiKey": key,
        "space": "Default",
        "files": list(map(str, files)),
        "mode": mode,
    }
    return await drive("node", "octopus_deploy.js", job)


async def _swagger_read(url: str, key: str) -> dict[str, Told]:
    job = {"url": url, "apiKey": key}
    return {
        name: await drive(sys.executable, "swagger_client.py", {**job, "operation": name})
        for name in ("spaces", "nodes", "packages")
    }


async def _curl(url: str, key: str, file: Path, mode: str) -> Told:
    """Push with the command of the vendor's page on the built-in repository; the bash sample expects exactly 201."""
    if shutil.which("curl") is None:
        raise MissingProgramError("`curl` is not on PATH")
    target = f"{url}/api/Spaces-1/packages/raw?overwriteMode={mode}"
    code, out, err = await program(
        "curl",
        "-sS",
        "-X",
        "POST",
        target,
        "-H",
        f"X-Octopus-ApiKey: {key}",
        "-F",
        f"data=@{file}",
        "-w",
        "\n%{http_code}",
    )
    if code:
        return Told(ok=False, status=None, result=err.strip())
    body, _, status = out.rpartition("\n")
    return Told(ok=status in ("200", "201"), status=int(status), result=body)


def _each(
    push: Callable[[str, str, Path, str], Awaitable[Told]],
) -> Callable[[str, str, list[Path], str], Awaitable[Told]]:
    """A client that knows one file a call: several are several calls at once."""

    async def every(url: str, key: str, files: list[Path], mode: str) -> Told:
        outcomes = await asyncio.gather(*(push(url, key, file, mode) for file in files))
        return next((outcome for outcome in outcomes if not outcome.ok), outcomes[0])

    return every


def _wire(name: str, modes: tuple[str, ...], push: Push, delta: Push | None = None) -> Client:
    return Client(
        name=name, version="its bytes", modes=modes, push=_sent(push), delta=None if delta is None else _sent(delta)
    )


def _sent(push: Push) -> Callable[[str, str, list[Path], str], Awaitable[Told]]:
    async def one(url: str, key: str, file: Path, mode: str) -> Told:
        content = await asyncio.to_thread(file.read_bytes)
        return await told(push(url, key, File(name=file.name, content=content), mode))

    return _each(one)


CLIENTS = (
    Client(
        name="@octopusdeploy/api-client", version="3.11.0", modes=MODES, push=_api_client_push, read=_api_client_read
    ),
    Client(name="@octopusdeploy/octopackjs", version="0.2.4", modes=REPLACE, push=_octopackjs_push),
    Client(name="octopus-deploy (npm)", version="6.3.1", modes=REPLACE, push=_octopus_deploy_push),
    Client(name="octopus-deploy-swagger-client (PyPI)", version="1.1.0", read=_swagger_read),
    Client(name="curl, documented form", version="", modes=MODES, push=_each(_curl)),
    _wire("Go CLI", MODES, go_cli, functools.partial(go_cli, delta=True)),
    _wire("Octopus.Client, async", MODES, client_async, functools.partial(client_async, delta=True)),
    _wire("Octopus.Client, sync", MODES, client_sync),
    _wire("PowerShell sample", REPLACE, powershell),
    _wire("Python sample", REPLACE, python_sample),
    _wire("LINQPad sample", REPLACE, linqpad),
)
PUSHERS = tuple(client for client in CLIENTS if client.push is not None)
