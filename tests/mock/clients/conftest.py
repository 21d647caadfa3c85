"""What tests of real clients share: one cluster with every balancer in front of it, and the npm clients, installed."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Test modules are imported by path (importlib mode), so what they share must be findable.
sys.path.insert(0, str(Path(__file__).parent))

from client_programs import MissingProgramError, node_modules
from client_stage import Stage, staged

from mocknode.judge.balancers import KINDS


@pytest.fixture(scope="session")
def npm_clients() -> Path:
    """Installed from the lock file, or a skip that names what is missing."""
    try:
        return node_modules()
    except MissingProgramError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One loop for the stage and the tests on it."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def stage(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Three nodes, all five balancers in front of them."""
    context = staged(tmp_path_factory.mktemp("clients") / "stage", KINDS, keep_packages=True)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))
