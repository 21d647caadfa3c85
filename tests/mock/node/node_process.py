"""A real node process, driven through its control channel as an agent would, and what tests send to it."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mocknode.system.fork_server import ForkedChild
from mocknode.system.processes import fork_server

KEY = "API-TEST1234"
WAIT_S = 10.0


def until(condition: Callable[[], bool]) -> None:
    """Wait until something that cannot be waited on is so."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        select.select([], [], [], 0.01)


class Forked:
    """A forked node with those methods of `subprocess.Popen` that the tests use."""

    def __init__(self, child: ForkedChild) -> None:
        self.pid = child.pid
        self.returncode: int | None = None
        self._child = child
        self._handle = os.pidfd_open(child.pid)

    def wait(self, timeout_s: float | None = None) -> int:
        if self._handle >= 0:
            if not select.select([self._handle], [], [], timeout_s)[0]:
                raise subprocess.TimeoutExpired("node", timeout_s or 0.0)
            os.close(self._handle)
            self._handle = -1
        self.returncode = self._child.wait()
        return self.returncode

    def kill(self) -> None:
        if self._handle >= 0:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)


class RunningNode:
    """A node process and the agent's end of its control channel; `root` is where its package `mocknode` is, if not here."""

    def __init__(self, run_dir: Path, *, root: Path | None = None, **config: Any) -> None:
        self.run_dir = run_dir
        ours, theirs = socket.socketpair()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the node
        self.process: subprocess.Popen[bytes] | Forked
        if root is None and sys.platform == "linux":
            server = fork_server("mocknode.mock.node.__main__")
            self.process = Forked(server.fork("node", output=self.errors.fileno(), fd=theirs.fileno()))
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mocknode.mock.node", "--control-fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=self.errors,
                cwd=root,  # `python -m` looks there first
            )
        theirs.close()
        self.socket = ours
        ours.settimeout(WAIT_S)
        self._lines = ours.makefile("rb")
        self.events: list[dict[str, Any]] = []
        self._ids = self._faults = self._journal_at = 0
        self.name = config.get("name", "node-1")
        store = f"sqlite:///{run_dir}/store.db"
        document = {"name": "node-1", "http_port": 0, "run_dir": str(run_dir), "store": store, "api_key": KEY, **config}
        self.send({"config": document})

    def send(self, document: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(document).encode() + b"\n")

    def read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise EOFError("the node closed its control channel")
        document: dict[str, Any] = json.loads(line)
        return document

    def event(self, kind: str) -> dict[str, Any]:
        """The next event of a kind; others are kept in `events`."""
        for index, document in enumerate(self.events):
            if document["event"] == kind:
                return self.events.pop(index)
        while (document := self.read()).get("event") != kind:
            if "event" in document:
                self.events.append(document)
        return document

    def wait_ready(self) -> "RunningNode":
        ready = self.event("ready")
        self.port, self.https_port = ready["http_port"], ready["https_port"]
        return self

    def ask(self, do: str, **facts: Any) -> dict[str, Any]:
        """The answer to a command, errors included."""
        self._ids += 1
        self.send({"id": self._ids, "do": do, **facts})
        while (document := self.read()).get("id") != self._ids or "event" in document:
            self.events.append(document)
        return document

    def do(self, command: str, **facts: Any) -> dict[str, Any]:
        """The result of a command that succeeds."""
        answer = self.ask(command, **facts)
        assert answer["ok"], answer
        result: dict[str, Any] = answer["result"]
        return result

    def state(self, state: str, how: str | None = None, after: str | None = None) -> None:
        self.do("state", state=state, how=how, after=after)

    def fault(self, kind: str, options: dict[str, Any] | None = None, **facts: Any) -> str:
        id_ = facts.pop("id", f"f{self._faults}")
        self._faults += 1
        self.do("fault-add", fault={"id": id_, "kind": kind, "options": options or {}, **facts})
        return str(id_)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, lower-case headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request(method, target, body, {"X-Octopus-ApiKey": KEY, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def ping(self) -> int:
        return self.request("GET", "/api/octopusservernodes/ping")[0]

    def journal(self, kind: str | None = None) -> list[dict[str, Any]]:
        path = self.run_dir / "journal" / f"{self.name}.jsonl"
        # The node may be in the middle of a write: what follows the last newline is not yet a line.
        whole, _, _ = path.read_bytes()[self._journal_at :].rpartition(b"\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if kind in (None, line["kind"])]

    def journaled(self, kind: str, found: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first line of a kind for which `found` holds, as soon as it is there."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for line in self.journal(kind):
                if found(line):
                    return line
            select.select([], [], [], 0.01)
        raise AssertionError(f"no such {kind}: {self.journal(kind)}")

    def ended(self, phase: str = "end") -> dict[str, Any]:
        return self.journaled("request", lambda line: line["phase"] == phase)

    def start_afresh(self) -> None:
        """Forget what happened before: nothing set, nothing open, nothing stored, the journal from here on."""
        self.do("reset")
        deadline = time.monotonic() + WAIT_S
        while self.do("status")["connections"] and time.monotonic() < deadline:
            select.select([], [], [], 0.005)
        with contextlib.closing(sqlite3.connect(self.run_dir / "store.db", timeout=WAIT_S)) as store, store:
            store.execute("DELETE FROM packages")
        self.events.clear()
        self._faults = 0
        self._journal_at = (self.run_dir / "journal" / f"{self.name}.jsonl").stat().st_size

    def close(self) -> None:
        """End the process by closing its channel, as a controller that dies would."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)  # A frozen node cannot notice.
        self._lines.close()
        self.socket.close()
        try:
            self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            with self.errors:
                self.errors.seek(0)
                errors = self.errors.read().decode()
        assert "Traceback" not in errors, errors


def read_answer(sock: socket.socket) -> bytes:
    """One whole answer with a Content-Length, and not a byte of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _some(sock, 1)
    left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < left:
        body += _some(sock, left - len(body))
    return head + body


def _some(sock: socket.socket, most: int) -> bytes:
    data = sock.recv(most)
    if not data:
        raise EOFError("the answer is cut")
    return data


def multipart(
    content: bytes, file_name: str = "Acme.Web.1.0.0.zip", *, boundary: str = "b0undary"
) -> tuple[bytes, dict[str, str]]:
    """An upload's body and headers, as curl makes them."""
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
