"""The pytest plugin: a mock cluster, a real balancer in front of it, and what the nodes saw, as fixtures.

pytest imports this module in everybody's runs, so that it imports nothing but pytest; the rest comes with the first fixture.
A run, or under xdist each worker, has one cluster on free ports, started with the first test that asks for it.
"""

import shlex
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from mocknode.pytest_plugin.front import Balancer
    from mocknode.pytest_plugin.ledger import Ledger
    from mocknode.pytest_plugin.running import MockCluster, MockNode

_NODES: Final = 3
_BALANCER: Final = "haproxy"
_CLUSTER: Final = pytest.StashKey["MockCluster"]()
"""At an item: the cluster that its test used, for the section of a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("mocknode", "mock Octopus cluster (mocknode)")
    group.addoption("--mocknode-nodes", type=int, default=_NODES, metavar="N", help=f"nodes of the cluster ({_NODES})")
    group.addoption(
        "--mocknode-balancer", default=_BALANCER, metavar="KIND", help=f"the `balancer` fixture's kind ({_BALANCER})"
    )
    group.addoption(
        "--mocknode-fixtures",
        metavar="FILE",
        help="YAML file with the data that every test begins with (`mocknode up --fixtures`)",
    )
    group.addoption(
        "--mocknode-up",
        default="",
        metavar="FLAGS",
        help="more flags of `mocknode up`: --mocknode-up='--keep-packages --seed 2'",
    )


@pytest.fixture(scope="session")
def mock_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MockCluster]":
    """A mock Octopus cluster: `nodes`, `node(name)`, `api_key`, `control_url`. Healthy when a test begins, and empty or with
    the fixtures' data."""
    from mocknode.pytest_plugin.running import started

    option = request.config.getoption
    directory = tmp_path_factory.mktemp("mocknode")
    flags = shlex.split(option("--mocknode-up"))
    if option("--mocknode-fixtures"):
        flags += ["--fixtures", option("--mocknode-fixtures")]
    with started(directory, nodes=option("--mocknode-nodes"), flags=flags) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _mocknode_fresh(request: pytest.FixtureRequest) -> None:
    """Reset the cluster for a test that uses it, and remember it for the section of a failure."""
    if "mock_cluster" in request.fixturenames:
        cluster: MockCluster = request.getfixturevalue("mock_cluster")
        cluster.begin()
        request.node.stash[_CLUSTER] = cluster


@pytest.fixture
def mock_node(mock_cluster: "MockCluster") -> "MockNode":
    """The cluster's first node: `url`, `api_key`, `drain()`, `resume()`, `offline()`, `online()`, `fault()`."""
    return mock_cluster.nodes[0]


@pytest.fixture(scope="session")
def _mocknode_front(
    request: pytest.FixtureRequest, mock_cluster: "MockCluster", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Balancer]":
    from mocknode.pytest_plugin.front import NotInstalledError, UnknownKindError, standing

    try:
        with standing(
            request.config.getoption("--mocknode-balancer"), mock_cluster, tmp_path_factory.mktemp("balancer")
        ) as front:
            yield front
    except UnknownKindError as exc:
        raise pytest.UsageError(f"--mocknode-balancer: {exc}") from exc
    except NotInstalledError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def balancer(_mocknode_front: "Balancer", mock_cluster: "MockCluster") -> "Balancer":
    """A real balancer in front of the nodes (`url`), which has seen all of them healthy. Skips where it is not installed."""
    _mocknode_front.wait_in_service()
    mock_cluster.mark()
    return _mocknode_front


@pytest.fixture
def ledger(mock_cluster: "MockCluster") -> "Ledger":
    """What the nodes received in this test: `deliveries(file)`, `requests()`."""
    from mocknode.pytest_plugin.ledger import Ledger

    return Ledger(mock_cluster.seen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the timeline of what the nodes saw to a failure."""
    report = yield
    if report.failed and call.when != "teardown" and _CLUSTER in item.stash:
        report.sections.append(("mocknode", item.stash[_CLUSTER].timeline()))
    return report
