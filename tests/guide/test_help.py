"""`mocknode help`: the list of topics, a page on a terminal and through a pipe, and what is not a topic."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mocknode import guide

HELP = [sys.executable, "-m", "mocknode", "help"]


def printed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HELP, *words], capture_output=True, text=True, check=False)


def test_without_a_topic_every_page_has_a_line() -> None:
    done = printed()
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for topic, heading in guide.topics().items():
        assert any(line.split(None, 1) == [topic, heading] for line in lines)


def test_every_page_has_a_topic() -> None:
    assert {path.stem for path in Path(guide.__file__).parent.glob("*.md")} == set(guide.topics())


def test_a_pipe_gets_the_page_as_it_is_written() -> None:
    assert printed("load").stdout == guide.page("load")


def test_a_terminal_gets_it_laid_out() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.Popen([*HELP, "load"], stdout=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "90"})
    os.close(theirs)
    text = ""
    # A terminal whose other end is closed reads as an error.
    while True:
        try:
            text += os.read(ours, 65536).decode(errors="replace")
        except OSError:
            break
    os.close(ours)
    assert done.wait() == 0
    assert "\x1b[" in text
    assert "```" not in text
    assert "mocknode load --with haproxy" in re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("lod", "did you mean load?"),
        ("check", "for the command: mocknode check --help"),
        ("zzz", "allowed: own-config, "),
    ],
)
def test_what_is_no_topic_is_refused_with_what_is(topic: str, message: str) -> None:
    done = printed(topic)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
