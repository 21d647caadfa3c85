"""Measures the speed of large uploads through each load balancer: `python loadtests/balancers_bench.py`.

Method: one node that digests, and in front of it all installed balancers in mode recommended at the same time; the client is that of
upload_bench. Uploads go directly to the node, then through each balancer, in turns. Over HTTPS the balancers terminate TLS and use
plain HTTP to the node. A ratio divides the rate through the balancer by the direct rate of the turn next to it, over the same scheme.
"""

import argparse
import asyncio
import contextlib
import ssl
from collections.abc import Sequence

from alternating import Subject, alternate, begin, median, ratios, script, table
from clients import WARM_UP_BYTES, Form, Pattern, pattern_file, send
from stage import Front, balancer, cluster

from mocknode.judge.balancers import KINDS
from mocknode.text.units import format_size, parse_size


def measure(words: Sequence[str]) -> str:
    """Start everything, upload in turns, and return a table for each scheme."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1GiB", help="bytes of each upload, such as 512MiB (default 1GiB)")
    parser.add_argument("--runs", type=int, default=5, help="uploads on each path (default 5)")
    args = parser.parse_args(words)
    size = parse_size(args.size)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        pattern = stack.enter_context(pattern_file())
        up = stack.enter_context(cluster(1, "--https-port", "0"))
        tls = ssl.create_default_context(cafile=up.ca)
        node = Front("directly to the node", "", up.pid, up.ports[0], up.https_ports[0])
        fronts = {
            node.kind: node,
            **{kind: begin(stack, lambda kind=kind: balancer(kind, up, runner)) for kind in KINDS},
        }
        by_scheme = {
            "HTTP": [path(kind, front, pattern, size, up.key, None) for kind, front in fronts.items()],
            "HTTPS": [path(kind, front, pattern, size, up.key, tls) for kind, front in fronts.items()],
        }
        alternate([one for paths in by_scheme.values() for one in paths], args.runs)
    lines = [
        ratios(f"rate relative to the node alone, {scheme}", {one.name: median(one, paths[0]) for one in paths[1:]})
        for scheme, paths in by_scheme.items()
    ]
    lines += ["", f"One upload of {format_size(size)} with Content-Length, SHA-1 by the node, median of {args.runs}."]
    for scheme, paths in by_scheme.items():
        lines += ["", table(paths, scheme, paths[0])]
    return "\n".join(lines)


def path(kind: str, front: Front | str, pattern: Pattern, size: int, key: str, tls: ssl.SSLContext | None) -> Subject:
    """Return the subject of uploads through a balancer, or one that says why there are none."""
    if isinstance(front, str):
        return Subject(kind, None, failure=front)
    port = front.http_port if tls is None else front.https_port
    label = f"{kind.replace(' ', '-')}.{'http' if tls is None else 'https'}"

    def turn(number: int) -> dict[str, float]:
        count = size if number else WARM_UP_BYTES
        return {
            "GB/s": count
            / send(port, pattern, count, key=key, name=f"{label}.{number}.0.zip", form=Form(tls=tls))
            / 1e9
        }

    return Subject(f"{kind} {front.version}".strip(), turn)


if __name__ == "__main__":
    script(measure)
