"""Writing a report: whole or not at all."""

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from mocknode.judge.report import load, write
from mocknode.judge.report.files import replace


def test_every_format_is_written_where_asked(tmp_path: Path, document: dict[str, Any]) -> None:
    paths = {name: tmp_path / "new" / f"report.{name}" for name in ("json", "html", "junit", "markdown")}
    write(document, **paths)
    assert load(paths["json"]) == document
    assert paths["html"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert paths["junit"].read_text(encoding="utf-8").startswith("<?xml")
    assert paths["markdown"].read_text(encoding="utf-8").startswith("## mocknode")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(path.name for path in paths.values())


def test_nothing_is_written_where_nothing_was_asked(tmp_path: Path, document: dict[str, Any]) -> None:
    write(document)
    assert list(tmp_path.iterdir()) == []


def test_reader_never_sees_half_a_report(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    write(document, json=path)
    done = threading.Event()

    def write_often() -> None:
        for seed in range(60):
            write({**document, "seed": seed}, json=path)
        done.set()

    writer = threading.Thread(target=write_often)
    writer.start()
    reads = 0
    while not done.is_set():
        assert load(path)["nodes"] == document["nodes"]
        reads += 1
    writer.join()
    assert reads > 0
    assert load(path)["seed"] == 59


def test_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "report.json"
    write(document, json=path)
    with pytest.raises(TypeError):
        write({**document, "seed": object()}, json=path)
    assert load(path) == document
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_folder_in_the_place_of_the_report_is_an_error_and_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        replace(tmp_path, "text")
    assert tmp_path.is_dir()


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("", encoding="utf-8")
    replace(tmp_path / "report", "text")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "report")]
    assert modes[0] == modes[1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    replace(pipe, json.dumps({"a": 1}))
    reader.join()
    assert got == ['{"a": 1}']
    assert stat.S_ISFIFO(pipe.stat().st_mode)
