"""Snapshots at the store: everything comes back as it was, ids with it, whoever writes meanwhile."""

import contextlib
import functools
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mocknode.mock.data import snapshots
from mocknode.mock.data.directory import Directory, Space
from mocknode.mock.data.machine_store import POLLING, Machine, Machines, NameTakenError
from mocknode.mock.data.snapshots import SNAPSHOTS_MAX, Snapshots, TooManySnapshotsError, UnknownSnapshotError
from mocknode.mock.data.store import NodeRow, Package, RestoredError, Store, draw
from mocknode.mock.data.tasks import Tasks

PACKAGE = Package(
    space="Spaces-1", package_id="Acme.Web", version="1.0.0", extension=".zip", file_name="Acme.Web.1.0.0.zip",
    size=1, sha1="0" * 40, published="2026-01-01T00:00:00.000+00:00", node="node-1",
)  # fmt: skip
NODES = [NodeRow(name="node-1", version="1", last_seen=1.0)]


@contextlib.contextmanager
def opened():
    with tempfile.TemporaryDirectory() as directory:
        store = Store(f"sqlite:///{directory}/store.db")
        yield store
        store.close()


@pytest.fixture
def store():
    with opened() as made:
        yield made


def act(store, directory, tasks, machines, what, number):
    """One change of the data, as nodes and control API make them; what was answered."""
    match what:
        case "push":
            kept_as = f"Spaces-1/{number}" if number % 2 else None
            return store.add_package(replace(PACKAGE, version=f"1.0.{number}", kept_as=kept_as), "replace")[0]
        case "delete":
            return store.delete_package("Spaces-1", f"Acme.Web.1.0.{number}")
        case "key":
            secret = f"API-{number}"
            with store.transaction() as connection:
                taken = connection.execute(sa.text("SELECT 1 FROM api_keys WHERE hint = :hint"), {"hint": secret[:7]})
                if taken.first():
                    return None
            return directory.add_key("Users-1", secret, purpose="", now_s=1.0).id
        case "space":
            return directory.put(Space(id=f"Spaces-{2 + number}", name=f"{number}", slug=f"{number}"))
        case "setting":
            return directory.set_setting("maintenance", f"{number}")
        case "queue":
            return [task.id for task in tasks.add("deploy", 1.0, 1 + number % 3, 1.0)]
        case "take":
            return [task.id for task in tasks.take("node-1", NODES, float(number))]
        case "machine":
            machine = Machine(name=f"m{number}", style=POLLING, uri="poll://a/", thumbprint="A" * 40)
            with contextlib.suppress(NameTakenError):
                return machines.add(machine).id
        case "unregister":
            return machines.remove(number)


def content(store):
    """Every row of every table of data, and nothing else."""
    with store.transaction() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table).where(rows))))
            for table, _, rows in snapshots._COPIED
        }


actions = st.lists(
    st.tuples(
        st.sampled_from(["push", "delete", "key", "space", "setting", "queue", "take", "machine", "unregister"]),
        st.integers(0, 5),
    ),
    max_size=8,
)


@given(before=actions, after=actions)
# Explaining a failure runs hundreds of further examples, each with a store of its own.
@settings(max_examples=20, deadline=None, phases=set(Phase) - {Phase.explain})
def test_what_was_put_aside_comes_back_and_the_same_changes_give_the_same_answers(before, after):
    with opened() as store:
        kept = Snapshots(store)
        parts = store, Directory(store), Tasks(store), Machines(store)
        secret = parts[1].token_secret
        for what, number in before:
            act(*parts, what, number)
        # What runs will wait again, so that it is no part of the comparison.
        with store.transaction() as connection:
            snapshots.tasks.begin_again(connection)
        there = content(store)
        kept.take("a", 1.0)
        first = [act(*parts, what, number) for what, number in after]
        then = content(store)
        kept.restore("a")
        assert content(store) == there
        assert [act(*parts, what, number) for what, number in after] == first
        assert content(store) == then
        kept.clear()
        assert content(store) == fresh()
        kept.restore("a")
        assert content(store) == there
        assert Directory(store).token_secret == secret
        assert store.restores() == 3


@functools.cache
def fresh():
    with opened() as store:
        Snapshots(store)
        return content(store)


def test_nodes_are_no_data(store):
    kept = Snapshots(store)
    store.heartbeat(NODES[0])
    kept.take("a", 1.0)
    store.heartbeat(replace(NODES[0], last_seen=2.0))
    kept.restore("a")
    assert [node.last_seen for node in store.nodes()] == [2.0]
    kept.clear()
    assert len(store.nodes()) == 1


def test_files_stay_as_long_as_anything_names_them(store):
    kept = Snapshots(store)
    old, new = replace(PACKAGE, kept_as="Spaces-1/old"), replace(PACKAGE, kept_as="Spaces-1/new")
    store.add_package(old, "fail")
    assert kept.take("a", 1.0).unneeded == set()
    store.add_package(new, "replace")
    assert store.needs_file(old)
    assert store.needs_file(new)
    assert kept.take("b", 2.0).unneeded == set()
    assert kept.restore("a").unneeded == set()
    assert kept.forget("b").unneeded == {"Spaces-1/new"}
    assert not store.needs_file(new)
    assert kept.clear().unneeded == set()
    assert kept.take("a", 3.0).unneeded == {"Spaces-1/old"}
    assert not store.needs_file(old)


def test_a_package_that_began_to_arrive_before_is_refused(store):
    kept = Snapshots(store)
    kept.take("a", 1.0)
    began = store.restores()
    assert store.add_packages([(PACKAGE, "fail")], began) == [("created", PACKAGE, None)]
    kept.restore("a")
    for batch in ([PACKAGE], [PACKAGE, PACKAGE]):  # The second goes the way of those that exist.
        with pytest.raises(RestoredError) as late:
            store.add_packages([(package, "replace") for package in batch], began)
        assert late.value.restores == store.restores() == 1
        assert store.packages("Spaces-1") == []
    assert store.add_packages([(PACKAGE, "fail")], 1)[0][0] == "created"


def test_restoring_among_writers_leaves_what_was_there_and_what_began_later(store):
    kept = Snapshots(store)
    kept.take("a", 1.0)
    barrier = threading.Barrier(4, timeout=30)

    def push(node):
        mine = Store(str(store._url))
        acknowledged = []
        barrier.wait()
        for number in range(40):
            package, began = replace(PACKAGE, package_id=f"n{node}", version=f"1.{number}"), mine.restores()
            with contextlib.suppress(RestoredError):
                mine.add_packages([(package, "fail")], began)
                acknowledged.append((began, package.key))
        mine.close()
        return acknowledged

    with ThreadPoolExecutor(3) as threads:
        pushing = [threads.submit(push, node) for node in range(3)]
        barrier.wait()
        for _ in range(5):
            kept.restore("a")
        acknowledged = [one for pushed in pushing for one in pushed.result()]
    assert {key for began, key in acknowledged if began == 5} == {package.key for package in store.packages("Spaces-1")}


def test_nobody_gets_a_number_twice(store):
    Snapshots(store)
    stores = [Store(str(store._url)) for _ in range(4)]

    def many(one):
        with contextlib.closing(one):
            return [Directory(one).add_key("Users-1", f"API-{id(one)}{n}", purpose="", now_s=1.0).id for n in range(15)]

    with ThreadPoolExecutor(4) as threads:
        ids = [id_ for found in threads.map(many, stores) for id_ in found]
    assert sorted(ids) == sorted(f"apikeys-{number}" for number in range(1, 61))


def test_a_counter_begins_after_rows_that_are_older_than_it(store):
    machines = Machines(store)
    machine = Machine(name="a", style=POLLING, uri="poll://a/", thumbprint="A" * 40)
    assert machines.add(machine).number == 1
    with store.transaction() as connection:
        connection.execute(sa.text("DELETE FROM counters"))
        connection.execute(sa.text("UPDATE machines SET number = 7"))
    assert machines.add(replace(machine, name="b")).number == 8
    machines.remove(8)
    assert machines.add(replace(machine, name="c")).number == 9
    with store.transaction() as connection:
        assert [draw(connection, "x", 3), draw(connection, "x"), draw(connection, "y", first=2)] == [1, 4, 2]


def test_a_task_that_ran_waits_again_and_its_end_is_not_heard(store):
    kept, tasks = Snapshots(store), Tasks(store)
    tasks.add("deploy", 1.0, 1, 1.0)
    [old] = tasks.take("node-1", NODES, 2.0)
    kept.take("a", 1.0)
    kept.restore("a")
    assert [(task.state, task.node, task.started) for task in tasks.all()] == [("Queued", None, None)]
    assert not tasks.finish(old, 3.0)
    [new] = tasks.take("node-1", NODES, 4.0)
    assert not tasks.finish(old, 5.0)
    assert tasks.finish(new, 5.0)


def test_what_is_not_there_and_what_is_too_much(store):
    kept = Snapshots(store)
    for name in range(SNAPSHOTS_MAX):
        kept.take(f"s{name}", 1.0)
    with pytest.raises(TooManySnapshotsError):
        kept.take("more", 1.0)
    kept.take("s1", 2.0)
    for action in (kept.restore, kept.forget):
        with pytest.raises(UnknownSnapshotError) as unknown:
            action("more")
        assert len(unknown.value.names) == SNAPSHOTS_MAX
    assert store.restores() == 0
    assert [(one.name, one.taken, one.packages) for one in kept.all() if one.taken > 1] == [("s1", 2.0, 0)]
