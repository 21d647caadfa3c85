"""The first screen as SVG, for README.md."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mocknode.judge.report.picture import main
from mocknode.judge.report.terminal import render


def test_it_says_what_the_terminal_says_and_asks_nobody_for_anything(document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(document))
    command = [sys.executable, "-m", "mocknode.judge.report.picture", "r.json"]
    svg = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    drawn = "".join(ElementTree.fromstring(svg).itertext()).replace("\N{NO-BREAK SPACE}", "").replace(" ", "")
    assert document["reproduce"].replace(" ", "") in drawn
    for line in render(document, files=["r.json"]).splitlines():
        assert line.replace(" ", "") in drawn.replace("\n", "")
    assert "@font-face" not in svg
    assert "url(http" not in svg


@pytest.mark.parametrize("arguments", [[], ["no-such.json"], ["a", "b"]])
def test_what_is_no_report_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err
