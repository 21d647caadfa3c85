"""Node processes for tests: `node` is shared and starts each test afresh, `start_node` makes one's own."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Test modules are imported by path (importlib mode), so what they share must be findable.
sys.path.insert(0, str(Path(__file__).parent))

from node_process import RunningNode

NodeFactory = Callable[..., RunningNode]


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[NodeFactory]:
    nodes: list[RunningNode] = []

    def start(*, ready: bool = True, **config: Any) -> RunningNode:
        node = RunningNode(tmp_path, **config)
        nodes.append(node)
        return node.wait_ready() if ready else node

    yield start
    for node in nodes:
        node.close()


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    node = RunningNode(tmp_path_factory.mktemp("node")).wait_ready()
    yield node
    node.close()


@pytest.fixture
def node(shared_node: RunningNode) -> RunningNode:
    shared_node.start_afresh()
    return shared_node
