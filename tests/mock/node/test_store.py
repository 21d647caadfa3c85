import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.mock.data.store import NodeRow, Package, Store, StoreError, timestamp

PACKAGE = Package(
    space="Spaces-1", package_id="Acme.Web", version="1.0.0", extension=".zip", file_name="Acme.Web.1.0.0.zip",
    size=1, sha1="0" * 40, published="2026-01-01T00:00:00.000+00:00", node="node-1",
)  # fmt: skip


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url):
    made = Store(url)
    yield made
    made.close()


def test_an_existing_package_fails_is_kept_or_replaced(store):
    second = replace(PACKAGE, size=2, package_id="ACME.web")
    assert store.add_package(PACKAGE, "fail") == ("created", PACKAGE, None)
    assert store.add_package(second, "fail") == ("exists", PACKAGE, None)
    assert store.add_package(second, "keep") == ("kept", PACKAGE, None)
    assert store.add_package(second, "replace") == ("replaced", second, PACKAGE)
    assert store.packages("Spaces-1") == [second]
    assert store.package("Spaces-1", "acme.WEB.1.0.0") == second
    assert store.package("Spaces-2", "acme.WEB.1.0.0") is None
    assert store.delete_package("Spaces-1", "Acme.Web.1.0.0")
    assert not store.delete_package("Spaces-1", "Acme.Web.1.0.0")


@given(
    batch=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["fail", "keep", "replace"])), min_size=1, max_size=8
    )
)
@settings(deadline=None, max_examples=40)
def test_a_batch_is_what_its_packages_would_be_one_after_another(batch):
    wanted = [
        (replace(PACKAGE, package_id=name, size=size), existing) for size, (name, existing) in enumerate(batch, 1)
    ]
    with tempfile.TemporaryDirectory() as directory:
        together, apart = (Store(f"sqlite:///{directory}/{name}.db") for name in ("together", "apart"))
        together.add_package(*wanted[0])
        apart.add_package(*wanted[0])
        assert together.add_packages(wanted) == [apart.add_package(*one) for one in wanted]
        assert together.packages("Spaces-1") == apart.packages("Spaces-1")
        together.close()
        apart.close()


def test_of_the_same_upload_at_many_stores_one_wins(url):
    stores = [Store(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda s: s.add_package(PACKAGE, "fail")[0], stores))
    assert sorted(results) == ["created", "exists", "exists", "exists"]
    for one in stores:
        one.close()


def test_stores_can_be_opened_at_the_same_time(url):
    with ThreadPoolExecutor(6) as threads:
        for one in threads.map(lambda _: Store(url), range(6)):
            one.close()


def test_heartbeats_keep_the_task_cap(store):
    store.heartbeat(NodeRow(name="node-1", version="1", last_seen=1.0))
    store.set_task_cap("node-1", 9)
    store.heartbeat(NodeRow(name="node-1", version="1", last_seen=2.0, draining=True))
    assert store.nodes() == [NodeRow(name="node-1", version="1", last_seen=2.0, draining=True, max_concurrent_tasks=9)]
    assert store.delete_node("node-1")
    assert store.nodes() == []


def test_nothing_begins_while_the_store_is_locked(store):
    done = threading.Event()

    def write():
        store.heartbeat(NodeRow(name="node-1", version="1", last_seen=1.0))
        done.set()

    with store.locked():
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(10)
    thread.join()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all.db", r"^store sqlite:////nowhere/at/all\.db cannot be reached: unable to open"),
        ("nonsense", r"^store 'nonsense' cannot be reached: "),
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", r"^store postgresql\+psycopg://me:\*\*\*@127"),
    ],
)
def test_an_unreachable_store_is_named_without_its_password(url, message):
    with pytest.raises(StoreError, match=message) as caught:
        Store(url)
    assert "secret" not in str(caught.value)


def test_time_is_written_as_octopus_does():
    assert timestamp(1671653520.354) == "2022-12-21T20:12:00.354+00:00"
    assert timestamp(time.time()).endswith("+00:00")
