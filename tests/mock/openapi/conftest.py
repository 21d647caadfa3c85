"""One cluster of one node, whose two APIs are fuzzed by their own documents."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.up_process import up


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `mocknode up --json` printed."""
    directory = tmp_path_factory.mktemp("fuzzed")
    with up(directory, "--nodes", "1", "--keep-packages") as document:
        yield document
    assert "Traceback" not in (directory / "run" / "log" / "node-1.log").read_text()


@pytest.fixture(autouse=True)
def as_new(cluster: dict[str, Any]) -> Iterator[None]:
    """Every operation is fuzzed on a node that is online and not in maintenance."""
    httpx.post(f"{cluster['control']}/reset", timeout=30).raise_for_status()
    yield
    httpx.post(f"{cluster['control']}/reset", timeout=30).raise_for_status()
