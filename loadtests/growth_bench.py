"""Measures how a cluster scales with its nodes and with concurrent uploads to one node: `python loadtests/growth_bench.py`.

Method for nodes: clusters of each size run at the same time, and one of them works at a time. It takes 64 KiB packages as in
push_bench, and large uploads, `--streams` at a time spread over the nodes. Method for uploads: one cluster of one node for each
number of concurrent uploads. Every number sends the same sum of bytes, each upload in its own thread with its own bytes. A turn
counts only if the catalogue then holds every upload with the digest of what was sent. Memory is the node's peak minus its peak
before the first turn. Client, nodes and catalogue share the machine's cores, so more nodes than cores cannot be faster, but they
should not be slower either.
"""

import argparse
import contextlib
import hashlib
from collections.abc import Sequence

from alternating import Figures, Subject, alternate, begin, median, ratios, script, table
from clients import Pattern, at_once, pattern_file, send
from push_bench import push
from stage import Up, cluster, peak_rss

from mocknode.text.units import format_size, parse_size


def measure(words: Sequence[str]) -> str:
    """Measure both and return three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", default="1,2,4,8", help="sizes of clusters (default 1,2,4,8)")
    parser.add_argument("--packages", type=int, default=2000, help="packages of 64 KiB a turn (default 2000)")
    parser.add_argument("--clients", type=int, default=48, help="clients that push them (default 48)")
    parser.add_argument("--streams", type=int, default=8, help="large uploads at a time to a cluster (default 8)")
    parser.add_argument(
        "--uploads", default="1,4,16,64,256", help="uploads at a time to one node (default 1,4,16,64,256)"
    )
    parser.add_argument("--bytes", default="2GiB", help="sum of the uploads of a turn (default 2GiB)")
    parser.add_argument("--runs", type=int, default=3, help="turns of each (default 3)")
    args = parser.parse_args(words)
    total = parse_size(args.bytes)
    with pattern_file() as pattern:
        digests = Digests(pattern)
        with contextlib.ExitStack() as stack:
            clusters = {int(count): begin(stack, lambda n=int(count): cluster(n)) for count in args.nodes.split(",")}
            small = [_pushes(_plural(count), up, args.packages, args.clients) for count, up in clusters.items()]
            large = [_uploads(_plural(count), up, digests, args.streams, total) for count, up in clusters.items()]
            alternate(small, args.runs)
            alternate(large, args.runs)
        with contextlib.ExitStack() as stack:
            at_a_time = [
                _uploads(f"{number} at a time", begin(stack, lambda: cluster(1)), digests, int(number), total)
                for number in args.uploads.split(",")
            ]
            alternate(at_a_time, args.runs)
    return "\n".join(
        [
            _ratios("64 KiB packages", small),
            _ratios("large uploads", large),
            _ratios("uploads at a time to one node", at_a_time),
            "",
            f"{args.packages:,} packages of 64 KiB by {args.clients} clients, median of {args.runs}, every digest right:",
            "",
            table(small, "packages to", small[0]),
            "",
            f"{args.streams} uploads at a time of {format_size(total // args.streams)} each, spread over the nodes, every digest right:",
            "",
            table(large, "uploads to", large[0]),
            "",
            f"Uploads to one node, {format_size(total)} in sum, every one stored with the right digest:",
            "",
            table(at_a_time, "uploads", at_a_time[0]),
        ]
    )


class Digests:
    """SHA-1 digests of parts of the pattern, each computed once."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._known: dict[tuple[int, int], str] = {}

    def of(self, offset: int, size: int) -> str:
        """Return the digest of these bytes."""
        if (offset, size) not in self._known:
            digest = hashlib.sha1(usedforsecurity=False)
            for view in self.pattern.part(offset, size):
                digest.update(view)
            self._known[offset, size] = digest.hexdigest()
        return self._known[offset, size]


def _pushes(name: str, up: Up | str, packages: int, clients: int) -> Subject:
    if isinstance(up, str):
        return Subject(name, None, failure=up)

    def turn(number: int) -> Figures:
        return push(up, number, packages, 64 << 10, clients)

    return Subject(name, turn)


def _uploads(name: str, up: Up | str, digests: Digests, streams: int, total: int) -> Subject:
    if isinstance(up, str):
        return Subject(name, None, failure=up)
    before = sum(map(peak_rss, up.node_pids))

    def turn(number: int) -> Figures:
        size = total // streams if number else min(1 << 16, total // streams)
        elapsed = upload(up, digests, f"Large.T{number}", streams, size)
        grown = sum(map(peak_rss, up.node_pids)) - before
        return {"GB/s": size * streams / elapsed / 1e9, "peak growth of nodes, MiB": grown / (1 << 20)}

    return Subject(name, turn)


def upload(up: Up, digests: Digests, package_id: str, streams: int, size: int) -> float:
    """Send `streams` uploads at the same time, spread over the nodes, each with its own bytes; return the seconds.

    Raises:
        SystemExit: the catalogue does not hold exactly these uploads with their digests.
    """
    offsets = [stream * 4096 for stream in range(streams)]
    sent = {f"{stream}.0.0": digests.of(offset, size) for stream, offset in enumerate(offsets)}

    def one(stream: int) -> None:
        port = up.ports[stream % len(up.ports)]
        name = f"{package_id}.{stream}.0.0.zip"
        send(port, digests.pattern, size, key=up.key, name=name, offset=offsets[stream])

    elapsed = at_once([lambda stream=stream: one(stream) for stream in range(streams)])
    stored = up.stored(package_id)
    if stored != sent:
        right = len(set(stored.items()) & set(sent.items()))
        raise SystemExit(f"the catalogue has {len(stored)} uploads, {right} of the {streams} sent with their digest")
    return elapsed


def _plural(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def _ratios(what: str, subjects: list[Subject]) -> str:
    first, *others = subjects
    return ratios(f"{what}, rate relative to {first.name}", {one.name: median(one, first) for one in others})


if __name__ == "__main__":
    script(measure)
