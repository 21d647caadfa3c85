"""A large package, changed a little, pushed by delta through a real balancer: `python tests/mock/clients/client_delta.py`.

Method. Three nodes that keep bytes, HAProxy in mode recommended in front of them. Version 1 is random bytes, 200 MB; version 2
is the same with 1 % of them replaced, in pieces of 100 kB at random places. As Octopus.Client does: ask for the signature, make
the delta, push it; each request may reach another node. Beside it the same version 2 is pushed whole, under another id. What the
nodes then have is downloaded and digested.
"""

import argparse
import asyncio
import base64
import hashlib
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[1] / "node")]

from client_stage import staged  # noqa: E402 - found by what stands above
from octodiff_client import delta_of  # noqa: E402

PIECE = 100_000
BOUNDARY = "d74496d66958873e"


def changed(old: bytes, share: float) -> bytes:
    """The same with a share of its bytes replaced."""
    places, new = random.Random(2), bytearray(old)
    for _ in range(round(len(old) * share / PIECE)):
        at = places.randrange(len(old) - PIECE)
        new[at : at + PIECE] = places.randbytes(PIECE)
    return bytes(new)


async def push(client: httpx.AsyncClient, path: str, name: str, content: bytes) -> tuple[httpx.Response, int, float]:
    """Push; the answer, bytes sent and seconds."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield head
        for at in range(0, len(content), 256 * 1024):
            yield content[at : at + 256 * 1024]
        yield tail

    size = len(head) + len(content) + len(tail)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(size)}
    started = time.perf_counter()
    answer = await client.post(path, content=body(), headers=headers)
    if answer.status_code != 201:
        raise SystemExit(f"{name}: {answer.status_code} {answer.text}")
    return answer, size, time.perf_counter() - started


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What both ways cost; sizes in bytes, times in seconds. `nodes` answered version 1, signature and delta."""

    whole_bytes: int
    whole_s: float
    signature_bytes: int
    signature_s: float
    making_s: float
    delta_bytes: int
    delta_s: float
    sha1: str
    nodes: list[str]


async def compare(kind: str, size: int, share: float) -> Outcome:
    """Push both ways through a balancer.

    Raises:
        SystemExit: a push failed, or a node has something else than was sent.
    """
    old = random.Random(1).randbytes(size)
    new = changed(old, share)
    with tempfile.TemporaryDirectory(prefix="delta-") as directory:
        async with staged(Path(directory) / "stage", [kind], keep_packages=True) as stage:
            headers = {"X-Octopus-ApiKey": stage.api_key}
            base = f"{stage.fronts[kind]}/api/Spaces-1/packages/"
            async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=600) as client:
                first, _, _ = await push(client, "raw", "Big.Delta.1.0.0.zip", old)
                whole, whole_bytes, whole_s = await push(client, "raw", "Big.Whole.2.0.0.zip", new)
                started = time.perf_counter()
                answer = await client.get("Big.Delta/2.0.0/delta-signature")
                document = answer.raise_for_status().json()
                signature_s = time.perf_counter() - started
                started = time.perf_counter()
                delta = delta_of(base64.b64decode(document["Signature"]), new)
                making_s = time.perf_counter() - started
                path = f"Big.Delta/{document['BaseVersion']}/delta"
                made, delta_bytes, delta_s = await push(client, path, "Big.Delta.2.0.0.zip", delta)
                digest = hashlib.sha1(usedforsecurity=False)
                async with client.stream("GET", "packages-Big.Delta.2.0.0/raw") as download:
                    async for data in download.aiter_bytes():
                        digest.update(data)
    wanted = hashlib.sha1(new, usedforsecurity=False).hexdigest()
    if {made.json()["Hash"], whole.json()["Hash"], digest.hexdigest()} != {wanted}:
        raise SystemExit("the digests differ")
    return Outcome(
        whole_bytes=whole_bytes, whole_s=whole_s, signature_bytes=len(answer.content), signature_s=signature_s,
        making_s=making_s, delta_bytes=delta_bytes, delta_s=delta_s, sha1=wanted,
        nodes=[one.headers["octopus-node"] for one in (first, answer, made)],
    )  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--balancer", default="haproxy")
    parser.add_argument("--size", type=int, default=200_000_000, help="bytes (default 200 MB)")
    parser.add_argument("--share", type=float, default=0.01, help="of them replaced (default 0.01)")
    args = parser.parse_args()
    it = asyncio.run(compare(args.balancer, args.size, args.share))
    print(
        f"{args.size:,} bytes, {args.share:.0%} replaced, through {args.balancer}; version 1, signature and delta at "
        f"{', '.join(it.nodes)}\n"
        f"whole: {it.whole_bytes:,} bytes sent in {it.whole_s:.2f} s\n"
        f"delta: {it.delta_bytes:,} bytes sent in {it.delta_s:.2f} s ({it.delta_bytes / it.whole_bytes:.1%} of the whole), after a "
        f"signature of {it.signature_bytes:,} bytes in {it.signature_s:.2f} s and {it.making_s:.2f} s of making the delta\n"
        f"SHA-1 of both, and of what is downloaded: {it.sha1}"
    )


if __name__ == "__main__":
    main()
