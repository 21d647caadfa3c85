"""Measures the memory of a large upload in a node and in other servers: `python loadtests/memory_bench.py`.

Method: every server is a process of its own, new in every turn. It takes one small upload, then a large one of the same kind; the
result is the growth of its peak resident memory.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import servers
from alternating import Figures, Subject, alternate, script, table
from clients import WARM_UP_BYTES, Form, Pattern, pattern_file
from servers import DIGEST, Receiver
from stage import peak_rss

from mocknode.text.units import format_size, parse_size

WANTED_MIB = 16


def measure(words: Sequence[str]) -> str:
    """Start a new server for every upload and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1GiB", help="bytes of the upload (default 1GiB)")
    parser.add_argument("--runs", type=int, default=3, help="fresh processes of each (default 3)")
    args = parser.parse_args(words)
    size = parse_size(args.size)
    with pattern_file() as pattern:
        rows = [
            *(_row(f"node, {name}", start, pattern, size, chunked=chunked, https=https)
              for name, start, chunked, https in (
                  ("HTTP", _node, False, False),
                  ("HTTP, chunked", _node, True, False),
                  ("HTTPS", _node, False, True),
                  ("HTTPS, chunked", _node, True, True),
                  ("kept on disk", _keeping, False, False),
              )),
            _row("Go net/http", _go, pattern, size, path=DIGEST),
            _row("Node http", servers.node_js, pattern, size, path=DIGEST),
            _row("granian", servers.granian, pattern, size, path=DIGEST),
            _row("uvicorn", lambda: servers.script("uvicorn", "uvicorn"), pattern, size, path=DIGEST),
        ]  # fmt: skip
        alternate(rows, args.runs)
    return "\n".join(
        [
            *_largest([row for row in rows if row.name.startswith("node,")]),
            "",
            f"Growth of the peak resident memory during one upload of {format_size(size)} that is digested, median of {args.runs}.",
            "",
            table(rows, "server"),
        ]
    )


def _largest(rows: list[Subject]) -> list[str]:
    grown = {row.name: max(row.main) for row in rows if row.main}
    if not grown:
        return []
    name = max(grown, key=lambda one: grown[one])
    return [f"- a node grows by **{grown[name]:.1f} MiB** at most ({name}; wanted: less than {WANTED_MIB})"]


def _row(
    name: str,
    start: Callable[[], AbstractContextManager[Receiver]],
    pattern: Pattern,
    size: int,
    *,
    chunked: bool = False,
    https: bool = False,
    path: str = "",
) -> Subject:
    def turn(number: int) -> Figures:
        if not number:
            return {}  # Every turn is a fresh process, which warms up by itself.
        with start() as receiver:
            form = Form(chunked=chunked, tls=receiver.tls if https else None)
            if path:
                form = Form(multipart=False, path=path)
            receiver.upload(pattern, WARM_UP_BYTES, "0", form, https=https)
            before = peak_rss(receiver.pid)
            receiver.upload(pattern, size, "1", form, https=https)
            after = peak_rss(receiver.pid)
        return {"growth, MiB": (after - before) / (1 << 20), "peak, MiB": after / (1 << 20)}

    return Subject(name, turn)


@contextlib.contextmanager
def _node() -> Iterator[Receiver]:
    with _work() as work, servers.node(work, https=True) as receiver:
        yield receiver


@contextlib.contextmanager
def _keeping() -> Iterator[Receiver]:
    with _work() as work, servers.node(work, keep=True) as receiver:
        yield receiver


@contextlib.contextmanager
def _go() -> Iterator[Receiver]:
    with _work() as work, servers.go(work) as receiver:
        yield receiver


@contextlib.contextmanager
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="memory-bench-") as directory:
        yield Path(directory)


if __name__ == "__main__":
    script(measure)
