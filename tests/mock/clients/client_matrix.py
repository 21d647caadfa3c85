"""The client matrix: each client, each thing it does, through each balancer, judged by the nodes' journals and catalogue.

`python tests/mock/clients/client_matrix.py [--balancers haproxy,nginx] [--markdown FILE]` runs it (about five minutes for all) and
prints the table of `mocknode/FIDELITY.md`. Nothing here believes a client: what it was told is held against what is stored.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from client_programs import CLIENTS, FAIL, IGNORE, OVERWRITE, Client, MissingProgramError
from client_stage import DIRECT, LIMIT_S, Stage, catalogue_id, digest, staged
from client_wire import Told, override_delete, override_modify, told

from mocknode.judge.balancers import KINDS, probes

WRONG_KEY = "API-0000000000000000000000000"
# Small enough to be quick, large enough that a node can crash in its middle.
CRASH_BYTES = 2 * 1024 * 1024
# In bytes: a share of a chunked body, whose length nobody knows, comes only with its end.
CRASH_AT = "512KiB"
PUSHES_WHILE_DISTURBED = 4
DELTA_BYTES = 64 * 1024


class BrokenPromiseError(AssertionError):
    """What a client was told and what the nodes have do not agree."""


def promise(holds: object, what: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise BrokenPromiseError(what)


async def account(stage: Stage, pushed: list[tuple[Path, Told]]) -> Counter[str]:
    """Hold every outcome against the nodes: told stored is stored, once; nothing is stored twice or delivered twice."""
    listed, deliveries = Counter(await stage.catalogue()), await stage.deliveries()
    outcomes: Counter[str] = Counter()
    for file, outcome in pushed:
        entry = (catalogue_id(file), digest(file))
        times, delivered = listed[entry], deliveries[entry[1]]
        promise(times <= 1, f"{file.name} is in the catalogue {times} times")
        promise(delivered <= 1, f"{file.name} was delivered {delivered} times")
        if outcome.ok:
            promise(times == 1, f"{file.name}: the client was told it is stored, the catalogue lacks it ({outcome})")
            promise(delivered == 1, f"{file.name}: stored, and no journal has its body")
        outcomes["stored" if outcome.ok else "stored, told an error" if times else "refused"] += 1
    return outcomes


async def read(stage: Stage, front: str, client: Client) -> str:
    """Spaces, nodes and packages are what the cluster has."""
    if client.read is None:
        return ""
    told_ = await client.read(stage.fronts[front], stage.api_key)
    for name, outcome in told_.items():
        promise(outcome.ok, f"{name}: {outcome}")
    if "spaces" in told_:
        promise("Default" in told_["spaces"].result, f"spaces: {told_['spaces']}")
    if "nodes" in told_:
        promise(told_["nodes"].result == ["node-1", "node-2", "node-3"], f"nodes: {told_['nodes']}")
    return f"{len(told_)} kinds"


async def push(stage: Stage, front: str, client: Client) -> str:
    """One package, then several at once."""
    if client.push is None:
        return ""
    files = stage.packages("Matrix.Push", 1) + stage.packages("Matrix.Several", 4)
    pushed = [(files[0], await client.push(stage.fronts[front], stage.api_key, files[:1], FAIL))]
    several = await client.push(stage.fronts[front], stage.api_key, files[1:], FAIL)
    pushed += [(file, several) for file in files[1:]]
    promise(all(outcome.ok for _, outcome in pushed), f"{pushed}")
    return f"{(await account(stage, pushed))['stored']} of 5"


async def modes(stage: Stage, front: str, client: Client) -> str:
    """The same name with other bytes: refused, kept or replaced, as the mode says."""
    if client.push is None:
        return ""
    done = []
    for mode in client.modes:
        (file,) = stage.packages("Matrix.Mode", 1)
        first = digest(file)
        url, key = stage.fronts[front], stage.api_key
        promise((await client.push(url, key, [file], FAIL)).ok, f"{mode}: the first push")
        file.write_bytes(b"other bytes of " + file.read_bytes())
        outcome = await client.push(url, key, [file], mode)
        promise(outcome.ok is (mode != FAIL), f"{mode}: {outcome}")
        wanted = digest(file) if mode == OVERWRITE else first
        promise((catalogue_id(file), wanted) in await stage.catalogue(), f"{mode}: the catalogue has other bytes")
        if mode == FAIL:
            promise(outcome.status in (409, None), f"{mode}: {outcome}")
            promise(
                "same ID and version already exists" in str(outcome.result) or client.name == "octopus-deploy (npm)",
                f"{mode}: {outcome}",
            )
        done.append({FAIL: "fail", IGNORE: "ignore", OVERWRITE: "overwrite"}[mode])
    return ", ".join(done)


async def refusal(stage: Stage, front: str, client: Client) -> str:
    """A wrong key and a name that is no package's: told an error, nothing stored."""
    if client.push is None:
        return ""
    (file,) = stage.packages("Matrix.Refused", 1)
    before = await stage.catalogue()
    outcome = await client.push(stage.fronts[front], WRONG_KEY, [file], FAIL)
    promise(not outcome.ok and outcome.status in (401, None), f"wrong key: {outcome}")
    unversioned = file.rename(file.with_name("NoVersion.zip"))
    outcome = await client.push(stage.fronts[front], stage.api_key, [unversioned], FAIL)
    promise(not outcome.ok and outcome.status in (400, None), f"no version: {outcome}")
    promise(await stage.catalogue() == before, "something was stored")
    return "401, 400"


async def draining(stage: Stage, front: str, client: Client) -> str:
    """Pushes that begin while a node starts to drain and while it is out."""
    if client.push is None:
        return ""
    node = stage.behind(front)[-1]
    files = stage.packages("Matrix.Drain", PUSHES_WHILE_DISTURBED)
    during = asyncio.create_task(client.push(stage.fronts[front], stage.api_key, files[:-1], FAIL))
    await stage.control.set_state(node, "draining")
    outcome = await during
    # One that does not probe, such as open-source nginx, leaves the node in; it serves as before, so nothing is waited for.
    if front != DIRECT and probes(front, "recommended"):
        await stage.in_service(front, [name for name in stage.behind(front) if name != node])
    last = await client.push(stage.fronts[front], stage.api_key, files[-1:], FAIL)
    pushed = [(file, outcome) for file in files[:-1]] + [(files[-1], last)]
    promise(all(outcome.ok for _, outcome in pushed), f"{pushed}")
    return f"{(await account(stage, pushed))['stored']} of {PUSHES_WHILE_DISTURBED}"


async def crashing(stage: Stage, front: str, client: Client) -> str:
    """A node is killed in the middle of a push; what was told stored is, and the next push succeeds."""
    if client.push is None:
        return ""
    node = stage.behind(front)[-1]
    await stage.control.set_state(node, "offline", "crash", CRASH_AT)
    # Among three nodes that are taken in turn, a client of three requests a push has one node for its uploads.
    others = random.Random(0)
    pushed: list[tuple[Path, Told]] = []
    deadline = time.monotonic() + LIMIT_S
    while (await _alive(stage, node)) and time.monotonic() < deadline:
        (file,) = stage.packages("Matrix.Crash", 1, CRASH_BYTES)
        pushed.append((file, await client.push(stage.fronts[front], stage.api_key, [file], FAIL)))
        for _ in range(others.randrange(3)):
            await stage.visit(front)
    promise(not await _alive(stage, node), "no push reached the node that was to crash")
    # An early verdict may still send one or two to the dead node; what counts is that none of them is lost.
    for _ in range(2):
        (file,) = stage.packages("Matrix.Crash", 1)
        pushed.append((file, await client.push(stage.fronts[front], stage.api_key, [file], FAIL)))
    await stage.control.set_state(node, "online")
    await stage.in_service(front, stage.behind(front))
    (file,) = stage.packages("Matrix.Crash", 1)
    pushed.append((file, await client.push(stage.fronts[front], stage.api_key, [file], FAIL)))
    promise(pushed[-1][1].ok, f"after the crash: {pushed[-1][1]}")
    outcomes = await account(stage, pushed)
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items(), reverse=True))


async def _alive(stage: Stage, node: str) -> bool:
    return node in await stage.node_urls()


async def overriding(stage: Stage, front: str, client: Client) -> str:
    """PUT and DELETE as POST with a header."""
    if client.push is None or not client.name.startswith("Octopus.Client"):
        return ""
    (file,) = stage.packages("Matrix.Override", 1)
    url, key = stage.fronts[front], stage.api_key
    await client.push(url, key, [file], FAIL)
    outcome = await told(override_delete(url, key, catalogue_id(file)))
    promise(outcome.ok, f"DELETE: {outcome}")
    promise(catalogue_id(file) not in dict(await stage.catalogue()), "DELETE: it is still there")
    for cap in (7, 5):
        outcome = await told(override_modify(url, key, "node-2", cap))
        promise(outcome.ok and outcome.result == cap, f"PUT: {outcome}")
    return "DELETE, PUT"


async def by_delta(stage: Stage, front: str, client: Client) -> str:
    """A second version that differs a little: it is sent as a delta, and is the whole of it."""
    if client.push is None or client.delta is None:
        return ""
    old, new = stage.packages("Matrix.Delta", 2, DELTA_BYTES)
    new.write_bytes(old.read_bytes()[: DELTA_BYTES // 2] + b"a change" + old.read_bytes()[DELTA_BYTES // 2 + 500 :])
    pushed = [(old, await client.push(stage.fronts[front], stage.api_key, [old], FAIL))]
    before = await _deltas(stage)
    pushed.append((new, await client.delta(stage.fronts[front], stage.api_key, [new], FAIL)))
    promise(all(outcome.ok for _, outcome in pushed), f"{pushed}")
    promise(await _deltas(stage) == before + 1, "no node was sent a delta")
    return f"{(await account(stage, pushed))['stored']} of 2"


async def _deltas(stage: Stage) -> int:
    return sum(record["target"].partition("?")[0].endswith("/delta") for record in await stage.requests("head"))


Operation = Callable[[Stage, str, Client], Awaitable[str]]
OPERATIONS: dict[str, Operation] = {
    "read": read,
    "push": push,
    "modes": modes,
    "refused": refusal,
    "override": overriding,
    "delta": by_delta,
    "drain": draining,
    "crash": crashing,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One client, one operation, one front door."""

    client: Client
    operation: str
    front: str
    holds: bool
    text: str


async def one(stage: Stage, front: str, client: Client, operation: str) -> Cell:
    """Run one cell; the cluster is healthy again afterwards."""
    try:
        text, holds = await OPERATIONS[operation](stage, front, client), True
    except MissingProgramError as exc:
        text, holds = f"skipped: {exc}", True
    except (BrokenPromiseError, RuntimeError, AssertionError, KeyError, ValueError) as exc:
        text, holds = f"{type(exc).__name__}: {exc}", False
    if operation in ("drain", "crash") and client.push is not None:
        await stage.reset([front])
    return Cell(client, operation, front, holds, text)


async def run(kinds: list[str], directory: Path) -> list[Cell]:
    """Every cell."""
    cells = []
    async with staged(directory, kinds, keep_packages=True) as stage:
        for front in stage.fronts:
            for operation in OPERATIONS:
                for client in CLIENTS:
                    cell = await one(stage, front, client, operation)
                    if cell.text:
                        cells.append(cell)
                        print(f"{front}: {client.name}: {operation}: {cell.text}"[:300], file=sys.stderr, flush=True)
    return cells


def table(cells: list[Cell], fronts: list[str]) -> str:
    """Markdown: a row for each client and operation, a column for each front door."""
    by_row: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        by_row.setdefault((cell.client.name, cell.operation), {})[cell.front] = cell
    lines = [f"| client | operation | {' | '.join(fronts)} |", "|---|---|" + "---|" * len(fronts)]
    for (name, operation), row in sorted(by_row.items(), key=lambda item: [c.name for c in CLIENTS].index(item[0][0])):
        texts = [_shown(row.get(front)) for front in fronts]
        lines.append(f"| {name} | {operation} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return cell.text if cell.holds else f"**fails**: {cell.text[:80]}".replace("|", "/").replace("\n", " ")


def main() -> int:
    """Run and print; 1 if a cell does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--balancers", default=",".join(KINDS), help="which, separated by commas (default: all)")
    parser.add_argument("--markdown", type=Path, help="also write the table there")
    args = parser.parse_args()
    kinds = [kind for kind in args.balancers.split(",") if kind]
    with tempfile.TemporaryDirectory(prefix="client-matrix-") as directory:
        cells = asyncio.run(run(kinds, Path(directory) / "stage"))
    text = table(cells, [DIRECT, *kinds])
    print(text)
    if args.markdown is not None:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    failed = [cell for cell in cells if not cell.holds]
    print(f"{len(cells)} cells, {len(failed)} do not hold", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
