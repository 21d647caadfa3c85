"""The nodes' side of the ledger: deliveries are whole bodies, counted once."""

import asyncio
import json
from pathlib import Path
from typing import Any

from mocknode.mock.cluster.journal_files import path_of
from mocknode.mock.cluster.node_ledger import NodeLedger


def request(node: str, req: int, phase: str, **facts: Any) -> dict[str, Any]:
    return {"kind": "request", "node": node, "boot": 1, "req": req, "phase": phase, **facts}


def ledger(run_dir: Path, records: list[dict[str, Any]]) -> NodeLedger:
    for record in records:
        path = path_of(run_dir, record["node"])
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    made = NodeLedger(run_dir, ["node-1", "node-2"])
    asyncio.run(made.refresh())
    return made


def test_a_delivery_survives_without_its_end_and_counts_once_with_it(tmp_path: Path) -> None:
    made = ledger(
        tmp_path,
        [
            request("node-1", 1, "head", attempt="a"),
            request("node-1", 1, "body", sha1="d1"),
            request("node-2", 1, "head", attempt="a"),
            request("node-2", 1, "body", sha1="d1"),
            request("node-2", 1, "end", complete=True, sha1="d1", status=201),
            request("node-1", 2, "head", attempt="torn"),
            request("node-1", 2, "end", complete=False, status=None),
            request("node-1", 3, "whole", attempt="get", complete=True, status=200),
            request("node-1", 4, "whole", attempt=None, complete=True, status=200),
        ],
    )
    entries, following = made.page(0, 10, None)
    assert following is None
    assert entries == [
        {
            "attempt": "a",
            "requests": 2,
            "deliveries": 2,
            "nodes": ["node-1", "node-2"],
            "digests": ["d1"],
            "statuses": [201],
        },
        {"attempt": "torn", "requests": 1, "deliveries": 0, "nodes": ["node-1"], "digests": [], "statuses": []},
        {"attempt": "get", "requests": 1, "deliveries": 1, "nodes": ["node-1"], "digests": [], "statuses": [200]},
    ]
    assert made.page(0, 2, None)[1] == 2
    assert made.page(0, 10, "torn")[0][0]["deliveries"] == 0
    assert made.page(0, 10, "none") == ([], None)


def test_dropped_entries_are_summed_over_boots(tmp_path: Path) -> None:
    dropped = {"kind": "dropped", "node": "node-1", "bytes": 1}
    lines = [
        {**dropped, "boot": 1, "entries": 1},
        {**dropped, "boot": 1, "entries": 4},
        {**dropped, "boot": 2, "entries": 3},
    ]
    assert ledger(tmp_path, lines).dropped == 7
