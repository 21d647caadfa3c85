"""A refusal names the line of the very key or value, however deep it lies, and what is known there."""

from pathlib import Path

import pytest

from mocknode.judge.lab.balancer_file import BalancerFileError, load

ACCEPT = """mocknode-balancer: 1
accept:
  - id: UP-04
    because: no package over 100 MB
    until: 2027-03-01
  - id: {id}
    because: {because}
    {until}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mocknode-balancer: 1\ntimeouts:\n\n  idel: 3s\n", r"line 4: unknown key 'timeouts.idel'; allowed in timeouts: idle$"),
        ("mocknode-balancer: 1\ntimeouts:\n  idle: 40\n", r"line 3: timeouts.idle: .*not a duration"),
        ("mocknode-balancer: 1\ntimeouts:\n  # note\n  idle: 1s\n  idle: 2s\n", r"line 5: 'idle' is given twice"),
        (ACCEPT.format(id="UP-99", because="x", until="until: 2027-03-01"), r"line 6: no check 'UP-99'"),
        (ACCEPT.format(id="UP-04", because="''", until="until: 2027-03-01"), r"line 7: accept.1.because"),
        (ACCEPT.format(id="UP-04", because="x", until="until: 20270301"), r"line 8: accept.1.until: .*not a day; .*got 20270301"),
        (ACCEPT.format(id="UP-04", because="x", until="until: true"), r"line 8: accept.1.until: .*not a day"),
        (ACCEPT.format(id="UP-04", because="x", until="till: 2027-03-01"), r"line 8: unknown key 'accept.1.till'; allowed in accept: because"),
        (ACCEPT.format(id="UP-04", because="x", until=""), r"line 6: accept.1.until: Field required"),
        ("mocknode-balancer: 1\naccept:\n  id: UP-04\n", r"line 2: accept: Input should be a valid tuple"),
        ("# a comment\n\nmocknode-balancer: true\n", r"line 3: mocknode-balancer: .*got True"),
        ("mocknode-balancer: 1.0\n", r"line 1: mocknode-balancer: .*got 1.0"),
        ("mocknode-balancer: 1\n\nupload-limit: 5 stone\n", r"line 3: upload-limit"),
        ("mocknode-balancer: 1\naccept: &a [*a]\n", r"line 2: got the alias \*a, allowed: the value itself"),
    ],
)  # fmt: skip
def test_where_a_file_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "balancer.yaml"
    path.write_text(text)
    with pytest.raises(BalancerFileError, match=message) as caught:
        load(path, frozenset({"UP-04"}), frozenset({"haproxy"}))
    assert str(caught.value).startswith(str(path))


def test_a_day_may_be_quoted_and_everything_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "balancer.yaml"
    path.write_text(ACCEPT.format(id="UP-04", because="x", until="until: '2027-03-02'"))
    found = load(path, frozenset({"UP-04"}), frozenset({"haproxy"}))
    assert [a.until.isoformat() for a in found.accept] == ["2027-03-01", "2027-03-02"]
    assert (found.kind, found.layer, found.all_drained, found.upload_limit, found.timeouts.idle) == (
        None,
        "l7",
        None,
        None,
        None,
    )
