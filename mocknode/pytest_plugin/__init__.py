"""The pytest plugin: fixtures for a mock cluster, a real balancer in front of it, and the requests that the nodes received.

pytest imports this module in every run of every project, so it imports nothing but pytest; everything else is imported with the
first fixture. Each run, or each xdist worker, has one cluster on free ports, started with the first test that asks for it.
"""

import shlex
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from mocknode.pytest_plugin.cluster import MockCluster, MockNode
    from mocknode.pytest_plugin.front import Balancer, Fronts
    from mocknode.pytest_plugin.ledger import Ledger
    from mocknode.pytest_plugin.running_scenarios import Scenarios

_NODES: Final = 3
_BALANCER: Final = "haproxy"
_CLUSTER: Final = pytest.StashKey["MockCluster"]()
"""Key under which a test item stores its cluster, for the report of a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
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
        help="more flags for `mocknode up`: --mocknode-up='--keep-packages --seed 2'",
    )


@pytest.fixture(scope="session")
def mock_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MockCluster]":
    """A mock Octopus cluster: `nodes`, `node(name)`, `api_key`, `control_url`. At the start of each test it is healthy, and empty
    or filled with the data of the fixtures file."""
    from mocknode.pytest_plugin.cluster import started

    option = request.config.getoption
    directory = tmp_path_factory.mktemp("mocknode")
    flags = shlex.split(option("--mocknode-up"))
    if option("--mocknode-fixtures"):
        flags += ["--fixtures", option("--mocknode-fixtures")]
    with started(directory, nodes=option("--mocknode-nodes"), flags=flags) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _mocknode_fresh(request: pytest.FixtureRequest) -> None:
    """Reset the cluster for a test that uses it, and remember it for the report of a failure."""
    if "mock_cluster" in request.fixturenames:
        cluster: MockCluster = request.getfixturevalue("mock_cluster")
        cluster.begin()
        request.node.stash[_CLUSTER] = cluster


@pytest.fixture
def mock_node(mock_cluster: "MockCluster") -> "MockNode":
    """The cluster's first node: `url`, `api_key`, `drain()`, `resume()`, `offline()`, `online()`, `fault()`."""
    return mock_cluster.nodes[0]


@pytest.fixture(scope="session")
def _mocknode_fronts(mock_cluster: "MockCluster", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Fronts]":
    from mocknode.pytest_plugin.front import Fronts

    fronts = Fronts(mock_cluster, tmp_path_factory.mktemp)
    yield fronts
    fronts.stop()


@pytest.fixture
def balancer(request: pytest.FixtureRequest, _mocknode_fronts: "Fronts", mock_cluster: "MockCluster") -> "Balancer":
    """A real balancer in front of the nodes (`url`) that has seen all of them healthy. Skips the test if it is not installed. An
    indirect parameter chooses another one: a kind, or a kind and a mode."""
    from mocknode.pytest_plugin.front import NotInstalledError, UnknownKindError

    asked = hasattr(request, "param")
    try:
        front = _mocknode_fronts.get(request.param if asked else request.config.getoption("--mocknode-balancer"))
    except UnknownKindError as exc:
        raise pytest.UsageError(f"{'balancer' if asked else '--mocknode-balancer'}: {exc}") from exc
    except NotInstalledError as exc:
        pytest.skip(str(exc))
    front.wait_in_service()
    mock_cluster.mark()
    return front


@pytest.fixture
def scenario(balancer: "Balancer", mock_cluster: "MockCluster") -> "Scenarios":
    """Runs a scenario script: `scenario("rolling-patch", {"away": "5s"})` fails the test if it does not hold. For tests that are no
    coroutines; needs the extra `load`."""
    from mocknode.pytest_plugin.running_scenarios import Scenarios

    return Scenarios(balancer, mock_cluster)


@pytest.fixture
def ledger(mock_cluster: "MockCluster") -> "Ledger":
    """The requests that the nodes received in this test: `deliveries(file)`, `requests()`."""
    from mocknode.pytest_plugin.ledger import Ledger

    return Ledger(mock_cluster.seen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the nodes' timeline to the report of a failure."""
    report = yield
    if report.failed and call.when != "teardown" and _CLUSTER in item.stash:
        report.sections.append(("mocknode", item.stash[_CLUSTER].timeline()))
    return report
