"""`tentacles` and `tentacle` as people type them, against a cluster that runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mocknode.cli import capacity
from mocknode.cli.tentacles import tentacles


def flags(cluster: dict[str, Any]) -> list[str]:
    return ["--control", cluster["control"]]


def test_a_fleet_registers_polls_every_node_and_answers(
    shell: Callable[..., Any], cluster: dict[str, Any], tmp_path: Path
) -> None:
    # An hour-long null message would be as good: that both sides are identified shows in `connected`.
    done = shell(
        "tentacles",
        "--count",
        "6",
        "--listening",
        "2",
        "--for",
        "3s",
        "--identities",
        str(tmp_path),
        "--json",
        *flags(cluster),
    )
    assert done.code == 0, done.err
    report = done.document
    assert [node["connected"] for node in report["nodes"]] == [6, 6]
    assert [node["mismatches"] + node["rejected"] + node["refused"] for node in report["nodes"]] == [0, 0]
    assert "6 of 6 registered" in done.err
    listed = shell("tentacle", "list", "--json", *flags(cluster)).document
    assert len(listed) == 8
    assert {t["style"] for t in listed} == {"TentacleActive", "TentaclePassive"}


def test_registering_calling_and_forgetting(typed: Callable[..., Any], cluster: dict[str, Any]) -> None:
    thumbprint = "ab" * 20
    assert typed("tentacle", "register", "web-9", thumbprint, "poll://nobody/", *flags(cluster)).code == 0
    shown = typed("tentacle", "list", *flags(cluster))
    assert re.search(rf"web-9 +poll://nobody/ +{thumbprint.upper()} +0 +0", shown.out)
    unanswered = typed("tentacle", "call", "web-9", "--collect", "100ms", *flags(cluster))
    assert unanswered.code == 2
    assert "did not collect the request within the allowed time" in unanswered.err
    assert typed("tentacle", "unregister", "web-9", *flags(cluster)).code == 0
    gone = typed("tentacle", "call", "web-9", *flags(cluster))
    assert gone.code == 2
    assert "Tentacle: got 'web-9'" in gone.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "nowhere"], "--to: got 'nowhere', allowed: HOST:PORT"),
        (["--to", "a:1,b:x"], "--to: got 'b:x', allowed: HOST:PORT"),
        (["--to", "a:1,b:2, a:1"], "--to: got 'a:1' more than once, allowed: each address once"),
        (["--thumbprint", "abc"], "--thumbprint: got 'abc', allowed: 40 hex digits"),
        (["--count", "0"], "allowed: at least one, polling or --listening"),
        (["--count", "20001"], "allowed: a whole number from 0 to 20000"),
        (["--interval", "soon"], "'soon' is not a duration"),
    ],
)
def test_bad_flags(words: list[str], says: str) -> None:
    result = CliRunner().invoke(tentacles, words)
    assert result.exit_code == 2
    assert says in result.output


def test_identities_that_cannot_be_kept_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["--to", "127.0.0.1:1", "--no-register", "--identities", str(tmp_path / "file" / "below")]
    result = CliRunner().invoke(tentacles, words)
    assert result.exit_code == 3
    assert "--identities: " in result.output
    assert "doctor" not in result.output


def test_a_fleet_that_does_not_fit_this_machine_is_refused_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity.resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(capacity.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(capacity, "ephemeral_range", lambda: (32768, 33767))
    both = capacity.lacking(3000, 3, per_connection=2, what="a balancer")
    assert len(both) == 1
    assert "a balancer needs 6064 file descriptors, the hard limit is 1024; raise it with" in both[0]
    ports = capacity.lacking(900, 1) + capacity.lacking(1001, 1)
    assert [text.partition(";")[0] for text in ports] == [
        "this process needs 1065 file descriptors, the hard limit is 1024",
        "this process needs 1001 ephemeral ports to one address, there are 1000 (32768 to 33767)",
    ]
    result = CliRunner().invoke(
        tentacles, ["--to", "127.0.0.1:1", "--no-register", "--count", "3000", "--thumbprint", "ab" * 20]
    )
    assert result.exit_code == 3
    assert "--count 3000: this process needs 3064 file descriptors" in result.output
