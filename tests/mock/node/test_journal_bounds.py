import json
import os

from mocknode.mock.node.journal import Journal


def lines(journal):
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_entries_are_bounded_and_the_loss_is_told_at_every_doubling(tmp_path):
    journal = Journal(tmp_path, "node-1", 1, entries_max=3)
    for number in range(13):
        journal.add("probe", number)
    journal.close()
    kinds = [(line["kind"], line.get("entries")) for line in lines(journal)]
    assert kinds[:3] == [("probe", None)] * 3
    assert kinds[3:] == [("dropped", n) for n in (1, 2, 4, 8, 10)]


def test_bytes_are_bounded_over_all_boots(tmp_path):
    limit = 20_000
    for boot in (1, 2):
        journal = Journal(tmp_path, "node-1", boot, bytes_max=limit)
        for number in range(300):
            journal.add("probe", number, filler="x" * 50)
        assert journal.dropped
        journal.close()
        assert journal.path.stat().st_size <= limit
    assert {line["boot"] for line in lines(journal) if line["kind"] == "dropped"} == {1, 2}


def test_one_line_is_one_write(tmp_path, monkeypatch):
    journal = Journal(tmp_path, "node-1", 1)
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or real(fd, data))
    journal.add("state", 1, state="online", how="ä")
    journal.close()
    (written,) = writes
    assert written.endswith(b"\n")
    assert json.loads(written) == {
        "kind": "state",
        "node": "node-1",
        "boot": 1,
        "t_ns": 1,
        "state": "online",
        "how": "ä",
    }


def test_a_full_disk_is_a_loss_that_is_counted(tmp_path, monkeypatch):
    journal = Journal(tmp_path, "node-1", 1)

    def full(_fd, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    journal.add("probe", 1)
    assert (journal.entries, journal.dropped) == (0, 1)
    monkeypatch.undo()
    journal.close()
    assert lines(journal)[-1]["kind"] == "dropped"
