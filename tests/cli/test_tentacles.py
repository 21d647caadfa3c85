"""`tentacles` and `tentacle` as people type them, against a cluster that runs."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mocknode.cli.fleet_table import fleet_table
from mocknode.cli.tentacle import tentacle
from mocknode.cli.tentacles import tentacles
from mocknode.mock.cluster import capacity
from mocknode.mock.tentacle.fleet import AddressRow, FleetReport
from mocknode.mock.tentacle.fleet_session import progress_text


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
    assert done.err.count("8 of 8 certificates") == 1
    assert "8 Tentacles stay registered" in done.err
    assert report["all_connected"]
    # They said END and left, which the node has not read: it waits for work.
    called = shell("tentacle", "call", "tentacle-00001", "--json", *flags(cluster))
    assert called.code == 1
    assert called.document["ok"] is False
    assert "the Tentacle had left (END) before the request was handed to that connection" in called.document["error"]
    unknown = shell("tentacle", "call", "zz", *flags(cluster))
    assert unknown.code == 2
    assert "Tentacle: got 'zz', allowed: tentacle-00001, tentacle-00002, " in unknown.err
    listed = shell("tentacle", "list", "--json", *flags(cluster)).document
    assert len(listed) == 8
    assert {t["style"] for t in listed} == {"TentacleActive", "TentaclePassive"}


def test_a_thumbprint_of_the_user_s_own_is_pinned_beside_registering(
    shell: Callable[..., Any], cluster: dict[str, Any], tmp_path: Path
) -> None:
    pinned = cluster["nodes"][0]["tentacle"]["thumbprint"].lower()
    words = ["--count", "2", "--prefix", "pinned", "--thumbprint", pinned, "--for", "2s", "--identities", str(tmp_path)]
    done = shell("tentacles", *words, "--json", *flags(cluster))
    assert "2 of 2 registered" in done.err
    assert (done.code, [node["connected"] for node in done.document["nodes"]]) == (0, [2, 2]), done.err


def test_registering_calling_and_forgetting(typed: Callable[..., Any], cluster: dict[str, Any]) -> None:
    thumbprint = "ab" * 20
    assert typed("tentacle", "register", "web-9", thumbprint, "poll://nobody/", *flags(cluster)).code == 0
    shown = typed("tentacle", "list", *flags(cluster))
    assert re.search(rf"web-9 +poll://nobody/ +{thumbprint.upper()} +0 +0", shown.out)
    unanswered = typed("tentacle", "call", "web-9", "--collect", "100ms", *flags(cluster))
    assert unanswered.code == 1
    assert "health of web-9 failed: " in unanswered.err
    assert "did not collect the request within the allowed time" in unanswered.err
    assert typed("tentacle", "unregister", "web-9", *flags(cluster)).code == 0
    gone = typed("tentacle", "call", "web-9", *flags(cluster))
    assert gone.code == 2
    assert "Tentacle: got 'web-9'" in gone.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["script"], "--body: got none, allowed for `script`: the text of the script"),
        (["health", "--body", "ls"], "--body: got 'ls', allowed: a text with `script` only"),
    ],
)
def test_a_body_and_a_script_go_together(words: list[str], says: str) -> None:
    result = CliRunner().invoke(tentacle, ["call", "web-1", *words])
    assert result.exit_code == 2
    assert says in result.output


def report(**facts: Any) -> FleetReport:
    row = {
        "address": "lb:10943", "connected": 0, "polled": 0, "on_time": 0, "reconnects": 40, "refused": 0, "rejected": 0,
        "broken": 7, "mismatches": 1, "failed_reconnects": 8, "cut": 60, "shortest_cut_silence_s": 19.98,
        "longest_cut_silence_s": 20.02, "longest_silence_s": 20.02, "slowest_return_s": 5.4,
        "trouble": "cut after 20.0 s of silence; lb:10943: the connection ended (fin by peer) before a message", **facts,
    }  # fmt: skip
    return FleetReport(
        tentacles=20, rows=[AddressRow(**row)], seconds=75.4, all_connected_s=0.7, wire_bytes=0, rss_bytes=None,
        descriptors=None,
    )  # fmt: skip


def test_the_table_of_a_fleet_that_is_cut_says_so() -> None:
    text = fleet_table(report())
    assert re.search(
        r"0/20 +0 +0 +60 after 20.0 s of silence +40 +8 +7 broken off, 1 mismatches +20.0 s +5.4 s\n", text
    )
    assert "\nlb:10943: cut after 20.0 s of silence; the connection ended (fin by peer) before a message\n" in text
    assert "20 Tentacles in 75.4 s, not all connected at the end, though all were after 0.7 s; " in text
    assert "60 after 3.0 to 20.0 s of silence" in fleet_table(report(shortest_cut_silence_s=3.0))
    whole = fleet_table(
        report(connected=20, cut=0, shortest_cut_silence_s=None, longest_cut_silence_s=None, trouble="")
    )
    assert "75.4 s, all connected after 0.7 s; " in whole
    assert re.search(r"20/20 +0 +0 +0 +40", whole)


def test_progress_names_only_addresses_where_somebody_is_missing_in_lines_that_fit() -> None:
    lines = progress_text(report()).splitlines()
    assert lines[0] == "0/20 connections up, 0 polled"
    assert lines[1].strip().startswith("lb:10943 0/20: cut after 20.0 s of silence; ")
    assert max(map(len, lines)) < 120
    assert progress_text(report(connected=20)) == "20/20 connections up, 0 polled"


def test_the_help_explains_every_column() -> None:
    header = fleet_table(report()).splitlines()[0]
    columns = CliRunner().invoke(tentacles, ["--help"]).output.partition("Columns of the table:\n")[2]
    explained = re.findall(r"^  (\S+(?: \S+)*)(?:  |$)", columns, re.MULTILINE)
    assert explained == re.split(" {2,}", header.strip())


def test_a_fleet_that_is_not_connected_at_the_end_fails(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        # Bound, and nobody listens: refused, and nobody else can have it.
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        words = ["--to", address, "--no-register", "--count", "1", "--for", "300ms", "--identities", str(tmp_path)]
        result = CliRunner().invoke(tentacles, words)
        assert result.exit_code == 1
        assert f"not every Tentacle is connected at the end: 0/1 at {address}" in result.stderr
        assert "never all connected" in result.stdout
        assert result.stdout.count(address) == 2
        until = CliRunner().invoke(tentacles, [*words, "--until-polled", "--json"])
        assert until.exit_code == 1
        assert f"not every Tentacle got a message: 0/1 at {address}" in until.stderr


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
    both = capacity.shortages(3000, 3, per_connection=2, what="a balancer")
    assert len(both) == 1
    assert "a balancer needs 6064 file descriptors, the hard limit is 1024; raise it with" in both[0]
    ports = capacity.shortages(900, 1) + capacity.shortages(1001, 1)
    assert [text.partition(";")[0] for text in ports] == [
        "this process needs 1065 file descriptors, the hard limit is 1024",
        "this process needs 1001 ephemeral ports to one address, there are 1000 (32768 to 33767)",
    ]
    result = CliRunner().invoke(
        tentacles, ["--to", "127.0.0.1:1", "--no-register", "--count", "3000", "--thumbprint", "ab" * 20]
    )
    assert result.exit_code == 3
    assert "--count 3000: this process needs 3064 file descriptors" in result.output
