"""The balancer file is strict, and says where it is wrong."""

import datetime
from pathlib import Path

import pytest

from mocknode.judge.lab.balancer_file import BalancerFileError, load

CHECKS, KINDS = frozenset({"UP-04"}), frozenset({"haproxy"})


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "balancer.yaml"
    path.write_text(text)
    return load(path, CHECKS, KINDS)


def test_a_good_file(tmp_path: Path) -> None:
    found = load_good(tmp_path)
    assert (found.all_drained, found.upload_limit, found.timeouts.idle) == ("closed", 5 * 1024**3, 4000.0)
    assert found.accept[0].until.isoformat() == "2027-03-01"


def load_good(tmp_path: Path):  # type: ignore[no-untyped-def]
    return read(
        tmp_path,
        "mocknode-balancer: 1\nkind: haproxy\nall-drained: closed\nupload-limit: 5GiB\ntimeouts: {idle: 4000s}\n"
        "accept: [{id: UP-04, because: no large packages, until: 2027-03-01}]\n",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is a mapping that begins with"),
        ("- 1\n", "is a mapping that begins with"),
        ("kind: haproxy\n", "mocknode-balancer"),
        ("mocknode-balancer: 2\n", "got 2"),
        ("mocknode-balancer: 1\nkidn: haproxy\n", r"line 2: unknown key 'kidn'"),
        ("mocknode-balancer: 1\nkind: haproxy\nkind: nginx\n", r"line 3: 'kind' is given twice"),
        ("mocknode-balancer: 1\ntimeouts: {idle: 1s, idle: 2s}\n", r"line 2: 'idle' is given twice"),
        ("mocknode-balancer: 1\nkind: big-ip\n", r"line 2: no fixes are known for 'big-ip'"),
        ("mocknode-balancer: 1\nhooks: {}\n", "line 2: hooks are not supported yet"),
        (
            "mocknode-balancer: 1\ntentacles: {node-1: t1.corp.test}\n",
            "line 2: tentacles: .*'t1.corp.test', allowed: HOST:PORT",
        ),
        ("mocknode-balancer: 1\ntentacles: [t1.corp.test:10943]\n", "line 2: tentacles: "),
        ("mocknode-balancer: 1\nfailback: later\n", "line 2: failback"),
        ("mocknode-balancer: 1\nall-drained: ajar\n", "'ajar'"),
        ("mocknode-balancer: 1\nupload-limit: 5 stone\n", "KiB"),
        ("mocknode-balancer: 1\ntimeouts: {idle: 40}\n", "not a duration"),
        ("mocknode-balancer: 1\naccept: [{id: UP-99, because: x, until: 2027-01-01}]\n", "no check 'UP-99'"),
        ("mocknode-balancer: 1\naccept: [{id: UP-04, because: x, until: soon}]\n", "'soon'"),
        ("mocknode-balancer: 1\naccept: [{id: UP-04, until: 2027-01-01}]\n", "because"),
        ("mocknode-balancer: [\n", "is not YAML"),
        ("mocknode-balancer: 1\n--- \nkind: haproxy\n", "is not YAML"),
        ("mocknode-balancer: 1\nkind: !!python/name:os.system\n", "is not YAML"),
        ("mocknode-balancer: 1\nkind: \x00\n", "is not YAML"),
        ("mocknode-balancer: 1\n? [a, b]\n: 1\n", r"line 2: a key is a word, got \['a', 'b'\]"),
        ("mocknode-balancer: 1\n7: x\n", r"line 2: .*got 7"),
        ("mocknode-balancer: 1\nversion: 1\n", r"line 2: unknown key 'version'"),
        ("version: 1\n", "version"),
        ("mocknode-balancer: 1\nupload_limit: 5GiB\n", r"line 2: unknown key 'upload_limit'"),
        ("mocknode-balancer: 1\nlayer: l5\n", r"line 2: layer: .*'l5'"),
        ("mocknode-balancer: 1\ntimeouts: {total: 1s}\n", r"line 2: unknown key 'timeouts.total'"),
        ("mocknode-balancer: 1\naccept: [{id: UP-04, because: '', until: 2027-01-01}]\n", r"line 2: accept.0.because"),
        (
            "mocknode-balancer: 1\naccept: [{id: UP-04, because: x, until: 2027-13-45}]\n",
            "month must be in 1..12",
        ),
        (
            "mocknode-balancer: 1\naccept: [{id: UP-04, because: x, until: 2027-01-01 10:00:00}]\n",
            r"line 2: accept.0.until",
        ),
        ("mocknode-balancer: 1\naccept: [{id: UP-04, because: x, until: 2027-01-01, who: me}]\n", "accept.0.who"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BalancerFileError, match=message):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BalancerFileError, match="No such file"):
        load(tmp_path / "none.yaml", CHECKS, KINDS)


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BalancerFileError, match=r"line 3: layer.*; .*line 2: unknown key 'kidn'") as caught:
        read(tmp_path, "mocknode-balancer: 1\nkidn: x\nlayer: l5\n")
    assert "all-drained" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"mocknode-balancer: 1\nkind: \xff\n")
    with pytest.raises(BalancerFileError, match="is not YAML"):
        load(tmp_path / "b.yaml", CHECKS, KINDS)


@pytest.mark.parametrize(("today", "holds"), [("2027-02-28", True), ("2027-03-01", True), ("2027-03-02", False)])
def test_an_acceptance_ends_after_its_day(tmp_path: Path, today: str, holds: bool) -> None:
    assert load_good(tmp_path).accept[0].holds(datetime.date.fromisoformat(today)) is holds
