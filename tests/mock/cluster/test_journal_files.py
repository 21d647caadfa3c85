"""Reading journals by cursor: every line once, torn lines never, whatever the page size."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.cluster.journal_files import READ_LIMIT, Cursor, CursorError, decode_cursor, last_boot, path_of, read

NODES = ["node-1", "node-2"]


def anything(_: dict[str, Any]) -> bool:
    return True


def write(run_dir: Path, node: str, *records: dict[str, Any], tail: str = "") -> None:
    path = path_of(run_dir, node)
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records) + tail)


def read_all(run_dir: Path, limit: int) -> list[dict[str, Any]]:
    word: str | None = None
    records: list[dict[str, Any]] = []
    more = True
    while more:
        cursor = decode_cursor(word, NODES)
        page, more = read(run_dir, cursor, anything, limit=limit, nodes=NODES)
        assert len(page) <= limit
        records += page
        word = cursor.encode()
    return records


@given(st.lists(st.tuples(st.sampled_from(NODES), st.integers(0, 3000)), max_size=60), st.integers(1, 20))
def test_every_record_once_in_the_order_of_its_node(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, int]], limit: int
) -> None:
    run_dir = tmp_path_factory.mktemp("run")
    for number, (node, padding) in enumerate(lines):
        write(run_dir, node, {"node": node, "n": number, "pad": "x" * padding})
    records = read_all(run_dir, limit)
    for node in NODES:
        assert [r["n"] for r in records if r["node"] == node] == [n for n, (at, _) in enumerate(lines) if at == node]


def test_files_larger_than_a_step(tmp_path: Path) -> None:
    write(tmp_path, "node-1", *({"n": number, "pad": "x" * 1000} for number in range(600)))
    write(tmp_path, "node-1", {"n": 600, "pad": "x" * (2 * READ_LIMIT)}, {"n": 601})
    assert [r["n"] for r in read_all(tmp_path, 10_000)] == list(range(602))


def test_a_line_being_written_is_left_alone_and_a_torn_one_is_skipped(tmp_path: Path) -> None:
    cursor = Cursor()
    write(tmp_path, "node-1", {"n": 1}, tail='{"n": 2')
    assert read(tmp_path, cursor, anything, limit=10, nodes=NODES) == ([{"n": 1}], False)
    assert read(tmp_path, cursor, anything, limit=10, nodes=NODES) == ([], False)
    write(tmp_path, "node-1", tail="\n")
    write(tmp_path, "node-1", {"n": 3})
    assert read(tmp_path, cursor, anything, limit=10, nodes=NODES) == ([{"n": 3}], False)


def test_a_busy_node_hides_no_other(tmp_path: Path) -> None:
    write(tmp_path, "node-1", *({"node": "node-1", "n": n} for n in range(100)))
    write(tmp_path, "node-2", *({"node": "node-2", "n": n} for n in range(100)))
    page, more = read(tmp_path, Cursor(), anything, limit=10, nodes=NODES)
    assert more
    assert {record["node"] for record in page} == set(NODES)


def test_following_an_attempt_across_phases_and_pages(tmp_path: Path) -> None:
    def phase(name: str, req: int, attempt: str | None = None) -> dict[str, Any]:
        named = {"attempt": attempt} if attempt else {}
        return {"kind": "request", "node": "node-1", "boot": 1, "req": req, "phase": name, **named}

    write(tmp_path, "node-1", phase("head", 1, "a"), phase("head", 2, "b"), phase("body", 1))
    write(tmp_path, "node-1", phase("body", 2), phase("end", 1), phase("whole", 3, "a"), phase("end", 2))
    word, found, more = None, [], True
    while more:
        cursor = decode_cursor(word, NODES)
        follows = cursor
        page, more = read(tmp_path, cursor, lambda r, c=follows: c.follows(r, "a"), limit=1, nodes=NODES)
        found += [(record["req"], record["phase"]) for record in page]
        word = cursor.encode()
    assert found == [(1, "head"), (1, "body"), (1, "end"), (3, "whole")]


@pytest.mark.parametrize("word", ["x", "e30", "!!!", "eyJhdCI6eyJub2RlLTkiOjF9LCJpbiI6W119", "ü"])
def test_cursors_that_are_none_of_ours(word: str) -> None:
    with pytest.raises(CursorError, match="cursor: got"):
        decode_cursor(word, NODES)


@given(st.text())
def test_any_text_is_a_cursor_or_a_clear_error(word: str) -> None:
    with contextlib.suppress(CursorError):
        assert decode_cursor(word, NODES) == Cursor()


def test_boots_go_on_where_an_earlier_run_ended(tmp_path: Path) -> None:
    assert last_boot(tmp_path, "node-1") == 0
    write(tmp_path, "node-1", {"boot": 1}, {"boot": 4}, {"boot": 2}, tail='{"boot": 9')
    assert last_boot(tmp_path, "node-1") == 4
