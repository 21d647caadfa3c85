"""Child processes that share one import: a server imports a module once, and every child is a fork of it.

A node needs more processor time for its imports than for anything else at its start, and `check` starts a dozen of them. The
server is a process of its own, without threads and without an event loop, so forking it is safe. Each child leads a process
group, is known to the watchdog before it runs, and dies with the server, which dies with us. Its exit code stays with the
server until `ForkedChild.wait` asks for it, so that no other process can get its group's id before.

Linux only; elsewhere `mocknode.system.processes.spawn` starts the same program afresh.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final, NoReturn

from mocknode.system.this_process import die_with_parent

_MESSAGE_MAX: Final = 4096
"""Bytes of a request; it holds a name and numbers."""
_FDS: Final = 2
"""Descriptors of a request to fork: standard output and error, and the one that the child serves."""
ANSWER_LIMIT_S: Final = 30.0
"""An import takes a second; a cold disk or a loaded CI machine needs longer."""
GONE: Final = -signal.SIGKILL
"""Exit code of a child whose server is gone: the kernel has killed it, and nobody is left who could tell otherwise."""


class ForkServerError(OSError):
    """The server could not be started, or is gone."""


class ForkedChild:
    """A child of the server.

    Attributes:
        pid: Process id, which is also the id of its group.
    """

    def __init__(self, server: "ForkServerClient", pid: int) -> None:
        self.pid = pid
        self._server = server
        self._code: int | None = None

    def wait(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        if self._code is None:
            self._code = self._server.reap(self.pid)
        return self._code


class ForkServerClient:
    """Our end of the connection to a server.

    Args:
        sock: Connected to the server. Requests block: a fork takes milliseconds, and reaping a child that has ended takes less.
        process: The server.
    """

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._socket = sock
        self._ready = False
        self._starting = threading.Lock()
        sock.settimeout(ANSWER_LIMIT_S)

    @staticmethod
    def arguments(module: str, sock: socket.socket, watchdog: int) -> list[str]:
        """Return the command line of a server.

        Args:
            module: Has a function `serve(name, fd)` that returns an exit code.
            watchdog: The pipe on which children announce themselves.
        """
        words = ["--socket-fd", str(sock.fileno()), "--watchdog-fd", str(watchdog), module]
        return [sys.executable, "-m", __name__, *words]

    def close(self) -> None:
        """Kill the server, and with it the children that are left; a server that somebody stopped would not end by itself."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def wait_ready(self) -> None:
        """Wait until the server has imported its module; several threads may wait at once.

        Raises:
            ForkServerError: it ended instead.
        """
        with self._starting:
            if not self._ready:
                self._read()
                self._ready = True

    def fork(self, name: str, *, output: int, fd: int) -> ForkedChild:
        """Fork a child that serves `fd`, and writes standard output and error to `output`.

        Raises:
            ForkServerError: the server is gone.
        """
        self.wait_ready()
        request = json.dumps({"fork": name}).encode()
        try:
            socket.send_fds(self._socket, [request], [output, fd])
        except OSError as exc:
            raise ForkServerError(f"the process that forks children is gone: {exc}") from exc
        return ForkedChild(self, self._read()["pid"])

    def reap(self, pid: int) -> int:
        """Wait for the end of a child and return its exit code, `GONE` when the server is gone."""
        try:
            self._socket.sendall(json.dumps({"reap": pid}).encode())
            return int(self._read()["code"])
        except OSError:
            return GONE

    def _read(self) -> dict[str, Any]:
        try:
            data = self._socket.recv(_MESSAGE_MAX)
        except OSError as exc:
            raise ForkServerError(f"the process that forks children does not answer: {exc}") from exc
        if not data:
            raise ForkServerError("the process that forks children has ended")
        answer: dict[str, Any] = json.loads(data)
        return answer


def _run_server(sock: socket.socket, watchdog: int, serve: Callable[[str, int], int]) -> None:
    """Answer requests until our starter closes the socket, by its end at the latest."""
    # What is imported stays for good: the collector need not touch, and so copy, its pages in every child.
    gc.collect()
    gc.freeze()
    sock.sendall(b"{}")
    while True:
        data, fds, _, _ = socket.recv_fds(sock, _MESSAGE_MAX, _FDS)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            code = os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])
            sock.sendall(json.dumps({"code": code}).encode())
            continue
        prepared, prepares = os.pipe()
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            sock.close()
            os.close(prepared)
            _run_child(request["fork"], *fds, prepares=prepares, watchdog=watchdog, parent=parent, serve=serve)
        for fd in (*fds, prepares):
            os.close(fd)
        # A child that is stopped as soon as its id is known must have its group and its death signal by then.
        os.read(prepared, 1)
        os.close(prepared)
        sock.sendall(json.dumps({"pid": pid}).encode())


def _run_child(
    name: str, output: int, fd: int, *, prepares: int, watchdog: int, parent: int, serve: Callable[[str, int], int]
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.write(watchdog, b"?%d\n" % os.getpid())
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        os.close(prepares)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.close(watchdog)
        code = serve(name, fd)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001  # a fork must never return into the server's loop
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Import the module and serve."""
    parser = argparse.ArgumentParser(description="Fork children that share one import.")
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--watchdog-fd", type=int, required=True)
    parser.add_argument("module")
    options = parser.parse_args()
    serve: Callable[[str, int], int] = importlib.import_module(options.module).serve
    _run_server(socket.socket(fileno=options.socket_fd), options.watchdog_fd, serve)


if __name__ == "__main__":
    main()
