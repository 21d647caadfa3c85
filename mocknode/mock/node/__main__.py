"""`python -m mocknode.mock.node --control-fd N`: one node, as its agent starts it.

Exit codes: 0 told to stop or the controller is gone, 2 a configuration that cannot be used, 3 the store or an address cannot
be reached. An error is sent as the event `error` before the process ends.
"""

import argparse
import asyncio
import signal
import sys
from typing import Any, Final

import setproctitle

from mocknode.mock.data.directory import Directory
from mocknode.mock.data.store import Store, StoreError
from mocknode.mock.data.tasks import Tasks
from mocknode.mock.node import tuning
from mocknode.mock.node.config import parse_config
from mocknode.mock.node.control import ControlChannel
from mocknode.mock.node.journal import Journal
from mocknode.mock.node.node import Node
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.services import Services
from mocknode.system.this_process import raise_open_file_limit

# Answers in flight at a stop may take so long; what hangs on purpose is reset then.
STOP_GRACE_S: Final = 1.0


async def run(fd: int) -> int:
    """Run the node until it is told to stop, and return its exit code."""
    channel = await ControlChannel.open(fd)
    try:
        return await _live(channel)
    finally:
        await channel.close()


async def _live(channel: ControlChannel) -> int:
    try:
        first = await channel.read()
        if first is None:
            return 0
        config = parse_config(first.get("config") or {})
        directory = await asyncio.to_thread(lambda: Directory(Store(config.store)))
        tasks = await asyncio.to_thread(Tasks, directory.store)
        journal = Journal(config.run_dir, config.name, config.boot)

        async def ask_drain(name: str, draining: bool) -> dict[str, Any]:
            return await channel.ask("drain-request", node=name, draining=draining)

        node = Node(Services(config, journal, directory, channel.send), tasks, ask_drain)
        await node.start()
    except RefusedError as exc:
        channel.send({"event": "error", **exc.document()})
        return 2
    except (StoreError, OSError) as exc:
        channel.send({"event": "error", "detail": str(exc), "got": None, "allowed": []})
        return 3
    listeners = node.listeners
    channel.send({
        "event": "ready",
        "http_port": listeners.http.port if listeners.http else None,
        "https_port": listeners.https.port if listeners.https else None,
        "tentacle_port": listeners.tentacle.port if listeners.tentacle else None,
    })  # fmt: skip
    await channel.serve(node)
    await node.stop(STOP_GRACE_S)
    return 0


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m mocknode.mock.node", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--control-fd", type=int, required=True, help="inherited descriptor of the control channel")
    sys.exit(serve("", parser.parse_args().control_fd))


def serve(name: str, fd: int) -> int:
    """Run a node that is controlled over `fd`, and return its exit code.

    Args:
        name: For `ps` and `top`; empty leaves the command line as it is.
    """
    if name:
        setproctitle.setproctitle(f"mocknode.mock.node {name}")
    tuning.keep_read_buffers()
    raise_open_file_limit()  # Every Tentacle holds a connection.
    # A Ctrl-C in the terminal reaches the whole group; the controller decides when its nodes end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        return asyncio.run(run(fd))
    import uvloop

    return uvloop.run(run(fd))


if __name__ == "__main__":
    main()
