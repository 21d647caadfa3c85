"""The load generator: locust with our locustfile, in processes that end when this one does.

Its code is never imported here, because gevent patches the process that it runs in.
"""

import asyncio
import contextlib
import importlib.util
import math
import os
import signal
import site
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mocknode.judge.traffic import FrontDoor
from mocknode.mock.cluster import ports
from mocknode.system.processes import Process, spawn

FINISH_S: Final = 600
"""How long uploads in progress may take to finish after the run's time: as long as a client waits for one."""
HOST: Final = "127.0.0.1"
TAIL: Final = 12
"""Lines of the log to show when the generator fails."""


class GeneratorError(Exception):
    """The generator cannot run, or has failed; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What the generator is to send.

    Attributes:
        sizes: Distribution of package sizes, as `mocknode.load.users.sizes` reads it.
        forms: `chunked`, `length`, or both by comma.
        link: Bytes a second that each pusher can send; 0 means no limit.
        users: Pushers that send one package at a time.
        actions, deltas: Pushers that send several packages in parallel, and pushers that send only what changed.
        browsers, monitors: Users that do not push.
        rate: Uploads started a second (open loop); 0 is a closed loop.
        shape: How many pushers are active over time, as `mocknode.load.users.shapes` reads it. `storm` without times takes them from
            the schedule.
        uploads: How many uploads in all; 0 means no limit.
        space, space_name: Id and name of the space to push to.
        workers: Processes that generate load; with more than 1, locust's master is one more.
        duration_s: For how long uploads are started.
    """

    users: int
    duration_s: float
    sizes: str
    forms: str
    link: float
    seed: int
    actions: int = 0
    deltas: int = 0
    browsers: int = 0
    monitors: int = 0
    rate: float = 0.0
    workers: int = 1
    shape: str = "steady"
    uploads: int = 0
    space: str = "Spaces-1"
    space_name: str = "Default"

    @property
    def run_time(self) -> str:
        """The duration as locust takes it: in whole seconds, and at least one, since 0 would mean a run without an end."""
        return f"{math.ceil(self.duration_s)}s"

    @property
    def pushers(self) -> int:
        """How many users upload."""
        return self.users + self.actions + self.deltas

    def arguments(self, front: FrontDoor, records: Path | None) -> list[str]:
        """Options for locust; without `records` the generator keeps no record of its attempts."""
        kinds = {
            "CiPusher": self.users,
            "ActionPusher": self.actions,
            "DeltaPusher": self.deltas,
            "PortalBrowser": self.browsers,
            "Monitor": self.monitors,
        }
        return [
            *(name for name, count in kinds.items() if count),
            "--host", front.url, "--skip-log-setup", "--pushers", str(self.users), "--actions", str(self.actions),
            "--deltas", str(self.deltas), "--browsers", str(self.browsers), "--monitors", str(self.monitors),
            "--rate", str(self.rate), "--sizes", self.sizes, "--forms", self.forms,
            *(["--records", str(records)] if records else []),
            "--link", str(self.link), "--seed", str(self.seed), "--shape", self.shape, "--uploads", str(self.uploads),
            "--space", self.space, "--space-name", self.space_name,
            # Locust runs in the run's directory, not in the one that the user's path is relative to.
            *(["--ca", str(Path(front.ca).absolute())] if front.ca else []),
            *(["--accept-any-certificate"] if front.insecure else []),
            *(["--connect-to", front.connect_host] if front.connect_host else []),
            *(["--ask-for", front.host_header] if front.host_header else []),
        ]  # fmt: skip


def locustfile() -> Path:
    """Return the path of the installed locustfile.

    Raises:
        GeneratorError: locust is not installed.
    """
    if importlib.util.find_spec("locust") is None:
        raise GeneratorError("load tests need locust: pip install 'mocknode[load]'")
    return Path(__file__).with_name("users") / "locustfile.py"


class Generator:
    """A running generator: one process, or locust's master with its workers.

    Args:
        left_idle: The master may end and leave its workers running, with nothing to do.
    """

    def __init__(self, processes: Sequence[Process], log: Path, *, left_idle: bool = False) -> None:
        self._processes = list(processes)
        self._log = log
        self._left_idle = left_idle
        self._finish_by_s = math.inf

    @classmethod
    def start(
        cls,
        workload: Workload,
        front: FrontDoor,
        records: Path | None,
        log: Path,
        environment: Mapping[str, str],
        web: tuple[str, int] | None = None,
    ) -> "Generator":
        """Start locust. Secrets belong in `environment`, which other users of the machine cannot see.

        Args:
            web: Where locust's own web UI listens; None serves none.
        """
        argv = [sys.executable, "-m", "locust", "-f", str(locustfile()), *workload.arguments(front, records)]
        argv += ["--exit-code-on-error", "0"]
        # LOCUST_ variables of the caller's shell, or a locust configuration in the directory or at home, would silently change the load.
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "MOCKNODE_LOAD_"))}
        # With another HOME, Python would not find packages of `pip install --user`.
        env |= {
            "PYTHONUSERBASE": site.getuserbase(),
            **dict.fromkeys(("HOME", "USERPROFILE"), str(log.parent)),
            **environment,
        }
        total = workload.pushers + workload.browsers + workload.monitors
        lead = ["--headless"] if web is None else ["--autostart", "--autoquit", "0"]
        lead += [] if web is None else ["--web-host", web[0], "--web-port", str(web[1])]
        lead += ["--only-summary", "--stop-timeout", str(FINISH_S)]
        lead += ["--users", str(total), "--spawn-rate", str(total), "--run-time", workload.run_time]
        if workload.workers == 1:
            return cls([spawn([*argv, *lead], name="locust", log=log, env=env, cwd=log.parent)], log)
        (picked,) = ports.free("--workers", HOST, ["port of locust's master"])
        expect, port = ["--expect-workers", str(workload.workers)], str(picked)
        lead += [*expect, "--master", "--master-bind-host", HOST, "--master-bind-port", port]
        follow = [*expect, "--worker", "--master-host", HOST, "--master-port", port]
        processes = [spawn([*argv, *lead], name="locust master", log=log, env=env, cwd=log.parent)]
        for number in range(1, workload.workers + 1):
            own_log = log.with_name(f"locust-{number}.log")
            processes.append(
                spawn([*argv, *follow], name=f"locust worker {number}", log=own_log, env=env, cwd=log.parent)
            )
        return cls(processes, log, left_idle=web is not None)

    @property
    def pids(self) -> list[int]:
        """Ids of the generator's processes, the master's first."""
        return [process.pid for process in self._processes]

    async def ended(self, timeout_s: float) -> bool:
        """Wait until all processes have ended, at most this long. Workers finish their uploads after their master has ended."""
        leader, *workers = self._processes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await leader.wait()
                self._finish_by_s = min(self._finish_by_s, time.monotonic() + FINISH_S)
                self._dismiss(workers)
                await asyncio.gather(*(worker.wait() for worker in workers))
                return True
        return bool(leader.returncode) or time.monotonic() > self._finish_by_s

    def _dismiss(self, workers: Sequence[Process]) -> None:
        """Stop the workers of a master that had a web UI. It does not tell them that it ends, and they would only notice after a minute
        without its heartbeat."""
        if self._left_idle:
            self._left_idle = False
            for worker in workers:
                worker.signal(signal.SIGTERM)

    def finish(self, within_s: float) -> None:
        """Start no more uploads; those in progress may finish within this time."""
        self._left_idle = False  # A master that gets SIGTERM stops its workers itself.
        self._finish_by_s = min(self._finish_by_s, time.monotonic() + within_s)
        self._processes[0].signal(signal.SIGTERM)

    def dead_workers(self) -> list[str]:
        """Describe each worker that did not end normally."""
        return [f"{p.name} ended with code {p.returncode}" for p in self._processes[1:] if p.returncode]

    def check(self) -> None:
        """Check that the generator ended normally.

        Raises:
            GeneratorError: it failed; the message holds the end of its log.
        """
        if code := self._processes[0].returncode:
            raise GeneratorError(f"the load generator ended with code {code}:\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of the log."""
        with self._log.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=TAIL)).rstrip()

    def kill(self) -> None:
        """Kill all processes immediately."""
        for process in self._processes:
            process.kill()

    async def stop(self) -> None:
        """Stop all processes now, and break off the uploads in progress."""
        await asyncio.gather(*(process.end(grace_s=2.0) for process in self._processes))
