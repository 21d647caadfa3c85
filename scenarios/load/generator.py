"""The generator's process: locust, headless, with our locustfile, ended with us whatever ends us.

Nothing of it is imported here: gevent patches the process that it runs in.
"""

import asyncio
import importlib.util
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mocknode.processes import Process, spawn
from scenarios.traffic import FrontDoor

FINISH_S: Final = 600
"""How long uploads under way may finish after the run's time; as long as a client waits for one."""
TAIL: Final = 12
"""Lines of the log that are shown when it fails."""


class GeneratorError(Exception):
    """The generator cannot run, or failed; the message says why, in its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the generator is told.

    Attributes:
        sizes: Distribution as `loadtests.sizes` reads it.
        forms: `chunked`, `length`, or both by comma.
        link: Bytes a second of each pusher; 0 is no limit.
        duration_s: For how long uploads are started.
    """

    users: int
    duration_s: float
    sizes: str
    forms: str
    link: float
    seed: int

    def arguments(self, front: FrontDoor, records: Path) -> list[str]:
        """Options of locust."""
        return [
            "--host", front.url, "--users", str(self.users), "--spawn-rate", str(self.users),
            "--run-time", f"{self.duration_s:.0f}s", "--stop-timeout", str(FINISH_S), "--headless", "--only-summary",
            "--exit-code-on-error", "0", "--skip-log-setup", "--records", str(records), "--sizes", self.sizes,
            "--forms", self.forms, "--link", str(self.link), "--seed", str(self.seed),
            *(["--ca", front.ca] if front.ca else []),
            *(["--accept-any-certificate"] if front.insecure else []),
            *(["--connect-to", front.connect_host] if front.connect_host else []),
            *(["--ask-for", front.host_header] if front.host_header else []),
        ]  # fmt: skip


def locustfile() -> Path:
    """The installed locustfile.

    Raises:
        GeneratorError: locust or the file is not installed.
    """
    found = importlib.util.find_spec("loadtests")
    if found is None or found.origin is None:
        raise GeneratorError("the package loadtests is not installed beside mocknode; install mocknode again")
    if importlib.util.find_spec("locust") is None:
        raise GeneratorError("load tests need locust: pip install 'mocknode[load]'")
    return Path(found.origin).with_name("locustfile.py")


class Generator:
    """A running generator."""

    def __init__(self, processes: Sequence[Process], log: Path) -> None:
        self._processes = list(processes)
        self._log = log

    @classmethod
    def start(cls, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> "Generator":
        """Start locust; secrets go through `environment`, where other users of the machine do not see them."""
        argv = [sys.executable, "-m", "locust", "-f", str(locustfile()), *arguments]
        # LOCUST_... of the caller's shell, and a locust.conf in its directory, would silently change the load.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "MOCKNODE_LOAD_"))}
        return cls([spawn(argv, name="locust", log=log, env={**env, **environment}, cwd=log.parent)], log)

    @property
    def running(self) -> bool:
        """Its first process still runs."""
        return self._processes[0].returncode is None

    @property
    def pid(self) -> int:
        """Of its first process."""
        return self._processes[0].pid

    async def ended(self, timeout_s: float) -> bool:
        """Wait for its end, at most so long."""
        try:
            await asyncio.wait_for(self._processes[0].wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def check(self) -> None:
        """Refuse an end that was none.

        Raises:
            GeneratorError: with the tail of its log.
        """
        if code := self._processes[0].returncode:
            raise GeneratorError(f"the load generator ended with code {code}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of its log."""
        with self._log.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=TAIL)).rstrip()

    async def stop(self) -> None:
        """End it now, with what it had under way."""
        await asyncio.gather(*(process.end(grace_s=2.0) for process in self._processes))
