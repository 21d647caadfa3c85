"""The cluster of a test run: `mocknode up` as a child process, and its control API without `await`.

The control API's client is asynchronous, and tests may or may not be, so its calls run in an event loop in a thread of its own.
"""

import asyncio
import contextlib
import json
import select
import shlex
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from mocknode.mock.cluster.client import ControlClient, ControlError, ControlUnreachableError
from mocknode.pytest_plugin.timeline import timeline

_T = TypeVar("_T")
_START_LIMIT_S: Final = 60.0
"""A cluster starts in two seconds, and with thirty-two nodes on a busy machine in less than this."""
_END_LIMIT_S: Final = 15.0
_PAGE: Final = 5000


class ClusterStartError(Exception):
    """The cluster did not start; the message holds its output."""


class Background:
    """An event loop in a thread that lives until `close`; child processes that it starts die with the thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mocknode", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the thread and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Stop the loop and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class MockNode:
    """A node of the cluster.

    Attributes:
        name: Name of the node, as in the `Octopus-Node` header and the ledger.
        url: Its own address, not the balancer's.
        api_key: API key that it accepts.
    """

    def __init__(self, cluster: "MockCluster", document: dict[str, Any]) -> None:
        self._cluster = cluster
        self.name: str = document["name"]
        self.url: str = document["http"]
        self.api_key = cluster.api_key

    def drain(self, *, after: str | None = None) -> None:
        """Answer 418 to pings and serve everything else; `after` is `5s`, `3 pings`, `30% of an upload`."""
        self._set("draining", after=after)

    def resume(self) -> None:
        """End the drain."""
        self._set("online")

    def offline(self, how: str = "refuse", *, after: str | None = None) -> None:
        """Go down: refuse, stop, crash, freeze, blackhole, status:NNN or garbage."""
        self._set("offline", how, after)

    def online(self) -> None:
        """Put the node online from any state."""
        self._set("online")

    def fault(self, kind: str, *, on: str = "all", first: int | None = None, **options: Any) -> str:
        """Set a fault and return its id; `mocknode fault --help` lists the kinds and their options."""
        client = self._cluster.control
        return self._cluster.call(client.add_fault(self.name, kind, options=options, on=on, first=first))

    def clear_faults(self) -> None:
        """Remove the node's faults."""
        self._cluster.call(self._cluster.control.clear_faults(self.name))

    def _set(self, state: str, how: str | None = None, after: str | None = None) -> None:
        self._cluster.call(self._cluster.control.set_state(self.name, state, how, after))


class MockCluster:
    """A running cluster; only `started` makes one.

    Attributes:
        nodes: The nodes in order of their names.
        api_key: API key that every node accepts.
        control_url: URL of the control API, for verbs such as `mocknode status --control`.
        control: Client of the control API; run its coroutines with `call`.
    """

    def __init__(
        self, document: dict[str, Any], background: Background, control: ControlClient, begins_with: str
    ) -> None:
        self._begins_with = begins_with
        self.api_key: str = document["api_key"]
        self.control_url: str = document["control"]
        self.control = control
        self.nodes = [MockNode(self, node) for node in document["nodes"]]
        self._background = background
        self._cursor: str | None = None
        self._begun_ns = 0

    def node(self, name: str) -> MockNode:
        """Return the node with that name.

        Raises:
            KeyError: no node has it; the message lists the names.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"node: got {name!r}, allowed: {', '.join(node.name for node in self.nodes)}")

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine of `control` and return its result."""
        return self._background.run(work)

    def reset(self) -> None:
        """Put every node online and remove faults, triggers and tasks; the data stay."""
        self.call(self.control.reset())

    def begin(self) -> None:
        """Put every node online, restore the data from the start of the cluster, and ignore everything recorded so far."""
        self.call(self.control.reset(self._begins_with))
        self.mark()

    def mark(self) -> None:
        """Ignore everything recorded so far."""
        self._cursor, _, self._begun_ns = self.call(self._read(self._cursor))

    def seen(self, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Return the journal records since the test began.

        Args:
            wait_s: How long to wait for another record.
        """
        return self.call(self._seen(wait_s))

    def timeline(self) -> str:
        """Return the same records as a text for people."""
        try:
            return timeline(self.seen(), self._begun_ns)
        except (ControlError, ControlUnreachableError) as exc:
            return f"the nodes' journals cannot be read: {exc}"

    async def _read(self, cursor: str | None) -> tuple[str, list[dict[str, Any]], int]:
        records: list[dict[str, Any]] = []
        while True:
            page = await self.control.journal(cursor, limit=_PAGE)
            records += page.records
            cursor = page.cursor
            if not page.more:
                return cursor, records, page.monotonic_ns

    async def _seen(self, wait_s: float) -> list[dict[str, Any]]:
        cursor, records, _ = await self._read(self._cursor)
        if wait_s > 0:
            records += (await self.control.journal(cursor, wait_for=1, timeout_s=wait_s)).records
        return records


@contextlib.contextmanager
def started(directory: Path, *, nodes: int, flags: Sequence[str]) -> Iterator[MockCluster]:
    """Run a cluster on free ports while the block runs.

    Args:
        directory: Directory for its run directory, identity and log.
        flags: More flags for `mocknode up`.

    Raises:
        ClusterStartError: the cluster did not start; the message holds its output.
    """
    command = [
        sys.executable, "-m", "mocknode", "up", "--json", "--with-parent", "--nodes", str(nodes),
        "--http-port", "0", "--control-port", "0", "--run-dir", str(directory / "run"),
        "--identity-dir", str(directory / "identity"), *flags,
    ]  # fmt: skip
    log = directory / "up.log"
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stack.enter_context(log.open("wb"))
        )
        stack.callback(_end, process)
        document = _first_line(process, log, command)
        background = Background()
        stack.callback(background.close)
        control = ControlClient(document["control"])
        stack.callback(lambda: background.run(control.aclose()))
        # Ask the cluster: fixtures may come from `--mocknode-up` or from the environment.
        loaded = any(snapshot["name"] == "fixtures" for snapshot in background.run(control.snapshots()))
        yield MockCluster(document, background, control, "fixtures" if loaded else "nothing")


def _first_line(process: "subprocess.Popen[bytes]", log: Path, command: list[str]) -> dict[str, Any]:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_LIMIT_S)
    line = process.stdout.readline() if readable else b""
    if not line:
        why = "ended" if readable else f"said nothing for {_START_LIMIT_S:.0f} s"
        raise ClusterStartError(
            f"{shlex.join(command)} {why}: {log.read_text(errors='replace').strip() or 'no message'}"
        )
    document: dict[str, Any] = json.loads(line)
    return document


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        # Its watchdog ends the nodes.
        process.kill()
        process.communicate()
