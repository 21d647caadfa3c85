"""Plans as text and JSON: the same bytes for the same file and seed, whatever else differs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

from mocknode.script import drawing
from mocknode.script.parsing import parse
from mocknode.script.planning import plan

CHAOS = "- chaos: {for: 2m, every: 5s..30s, lasting: 2s..40s, pick: {drain: 4, crash: 2, fault think: 1}}"
SCRIPT = """
import json, sys
from mocknode.script import drawing
from mocknode.script.parsing import parse
from mocknode.script.planning import plan
found = plan(parse(sys.stdin.read()), seed=11)
print(drawing.text(found))
print(json.dumps(drawing.document(found)))
"""


def test_the_text_has_every_part(patch: str) -> None:
    text = drawing.text(plan(parse(patch), seed=4))
    assert text.splitlines()[:12] == [
        "patch: Patching the nodes in turn costs no build its package.",
        "seed 4, nodes node-1, node-2, node-3",
        "needs active-health-check",
        "",
        "workload",
        "  builds  push users 8, as build, sizes 64KiB..16MiB, forms [chunked, length], link 8MiB, rate 0",
        "  people  browse users 5",
        "  work    tasks every 10s, duration 45s",
        "",
        "steady state, within 30s",
        "  fair-share",
        "  errors people, is 0",
    ]
    assert "  node-2\n    1.2.1  wait upload-on node-2, at 30%, within 60s\n" in text
    assert "  eventually  errors people, is 0, within 30s\n" in text


def test_chaos_is_drawn_on_a_line_of_time(with_schedule: Callable[[str], str]) -> None:
    lines = drawing.text(plan(parse(with_schedule(CHAOS)), seed=2)).splitlines()
    strips = [line.split()[-1] for line in lines if line.strip().startswith("node-")]
    assert [len(strip) for strip in strips] == [60, 60, 60]
    assert set("".join(strips)) <= set(".dxf")
    assert set("".join(strips)) - {"."}
    assert sum(" at " in line and " node-" in line for line in lines) >= 1


def test_branches_are_drawn_one_under_the_other(with_schedule: Callable[[str], str]) -> None:
    text = drawing.text(plan(parse(with_schedule("- parallel:\n  - [{mark: a}]\n  - [{mark: b}, {mark: c}]"))))
    assert "  1  parallel, 2 branches\n    branch 1\n      1.1.1  mark a\n    branch 2\n      1.2.1  mark b\n" in text


def test_an_empty_schedule_says_so(with_schedule: Callable[[str], str]) -> None:
    text = with_schedule("[]").replace("schedule:\n  []", "schedule: []")
    assert "  nothing is done to the nodes\n" in drawing.text(plan(parse(text)))


def test_the_document_has_every_step(patch: str) -> None:
    found = drawing.document(plan(parse(patch), seed=4))
    assert json.loads(json.dumps(found)) == found
    assert (found["seed"], found["calibrated"], len(found["steps"])) == (4, True, 16)
    assert found["steps"][0] == {
        "id": "1.1.1",
        "verb": "wait",
        "text": "wait upload-on node-1, at 30%, within 60s",
        "condition": {"condition": "upload-on", "at": 0.3, "node": "node-1"},
        "within": 60.0,
        "line": 16,
    }
    assert found["steps"][2]["within"] == "calibrated"


def test_another_process_with_another_hash_seed_prints_the_same_bytes(with_schedule: Callable[[str], str]) -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=with_schedule(CHAOS),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1
