"""The plugin in the suites of others; the suites here are its examples."""

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

PUSHES = """
import httpx


def test_a_push_through_the_balancer_arrives_once(balancer, mock_cluster, ledger):
    package = b"bytes of a package"
    answer = httpx.post(
        f"{balancer.url}/api/Spaces-1/packages/raw",
        files={"file": ("Acme.Web.1.0.0.zip", package)},
        headers={"X-Octopus-ApiKey": mock_cluster.api_key},
        trust_env=False,
    )
    assert answer.status_code == 201
    assert len(ledger.deliveries(package)) == 1
    [delivery] = ledger.deliveries("Acme.Web.1.0.0.zip", at_least=1)
    assert delivery.node in {node.name for node in mock_cluster.nodes}
    assert delivery.status == 201


def test_the_next_test_has_an_empty_cluster(mock_node, ledger):
    packages = f"{mock_node.url}/api/Spaces-1/packages"
    page = httpx.get(packages, headers={"X-Octopus-ApiKey": mock_node.api_key}, trust_env=False).json()
    assert page["TotalResults"] == 0
    assert ledger.deliveries("Acme.Web.1.0.0.zip") == []
    [request] = ledger.requests(at_least=1)
    assert (request.method, request.target) == ("GET", "/api/Spaces-1/packages")
"""

DRAINS = """
import httpx
import pytest

PING = "/api/octopusservernodes/ping"


def status(node):
    return httpx.get(node.url + PING, trust_env=False).status_code


# Before the first test with a balancer, whose pings would use up the fault.
def test_what_a_node_can_be(mock_node, mock_cluster):
    assert status(mock_node) == 200
    mock_node.drain()
    assert status(mock_node) == 418
    mock_node.resume()
    assert status(mock_node) == 200
    mock_node.fault("status", code=503, on="ping", first=1)
    assert [status(mock_node), status(mock_node)] == [503, 200]
    mock_node.offline()
    with pytest.raises(httpx.ConnectError):
        status(mock_node)
    with pytest.raises(KeyError, match="node-1, node-2, node-3"):
        mock_cluster.node("node-9")


def test_and_it_is_back(mock_node):
    assert status(mock_node) == 200


def test_a_drained_node_gets_no_requests(balancer, mock_cluster, mock_node, ledger):
    mock_node.drain()
    balancer.wait_in_service("node-2", "node-3")
    before = len(ledger.requests())
    for _ in range(30):
        assert httpx.get(f"{balancer.url}/api", trust_env=False).status_code == 200
    assert {request.node for request in ledger.requests(at_least=before + 30)[before:]} == {"node-2", "node-3"}
"""

FAILS = """
import httpx


def test_fails(mock_node):
    mock_node.drain()
    for path in ("/api", "/api/octopusservernodes/ping", "/api/octopusservernodes/ping"):
        httpx.get(mock_node.url + path, trust_env=False)
    assert not "this one fails on purpose"


def test_passes(mock_node):
    pass


def test_fails_without_a_cluster():
    assert not "nor has this one a section"
"""


def inner(pytester: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Their run, where a warning of ours would be an error as well."""
    return pytester.runpytest_subprocess("-p", "no:locust", "-W", "error", "-rs", *words, timeout=100)


def test_an_upload_and_the_ledger(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PUSHES)
    inner(pytester).assert_outcomes(passed=2)


def test_states_under_xdist_where_each_worker_has_a_cluster(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_drains=DRAINS, test_pushes=PUSHES)
    result = inner(pytester, "-n", "2", "--dist", "loadfile")
    result.assert_outcomes(passed=5)


def test_a_failure_says_what_the_nodes_saw(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILS)
    result = inner(pytester, "--mocknode-nodes", "1")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.re_match_lines_random([
        r"-+ mocknode -+",
        r"\+ +\d+\.\d+ s  node-1     is draining",
        r"\+ +\d+\.\d+ s  node-1     GET /api  200",
        r"\+ +\d+\.\d+ s  node-1     GET /api/octopusservernodes/ping  418  2 times until \+\d+\.\d+ s",
    ])  # fmt: skip
    assert result.stdout.str().count("- mocknode -") == 1


def test_a_balancer_that_is_not_installed_skips(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PUSHES)
    # No wheel and an empty PATH: the machine of somebody who did not install the extra.
    pytester.makeconftest("""
        import importlib.metadata
        import os

        def no_wheels(name):
            raise importlib.metadata.PackageNotFoundError(name)

        importlib.metadata.files = no_wheels
        os.environ["PATH"] = ""
    """)
    result = inner(pytester, "-k", "push")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["SKIPPED*HAProxy was not found*pip install*"])


def test_a_balancer_that_there_is_not_is_an_error_with_what_is_allowed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PUSHES)
    result = inner(pytester, "-k", "push", "--mocknode-balancer", "haprox")
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*--mocknode-balancer: *haprox*haproxy*"])


CHOSEN = """
import pytest


@pytest.mark.parametrize("balancer", ["haproxy", ("nginx", "stock")], indirect=True)
def test_with_each(balancer, ledger):
    print(f"ran {balancer.kind} {balancer.mode}")
    assert balancer.kind == "haproxy" or not ledger.pings()  # stock nginx does not probe, and no other balancer runs beside it


def test_with_the_default_again(balancer):
    print(f"ran {balancer.kind} {balancer.mode}")


@pytest.mark.parametrize("balancer", ["no-such", ("nginx", "no-mode"), 3], indirect=True)
def test_with_one_that_there_is_not(balancer):
    pass
"""


def test_a_parameter_chooses_the_balancer(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CHOSEN)
    result = inner(pytester, "-rA")
    result.assert_outcomes(passed=3, errors=3)
    ran = [line for line in result.stdout.lines if line.startswith("ran ")]
    assert ran == ["ran haproxy recommended", "ran nginx stock", "ran haproxy recommended"]
    result.stdout.fnmatch_lines_random(
        [
            "*balancer: 'no-such' is not a balancer that can be started; there are *haproxy*",
            "*balancer: nginx has no mode 'no-mode'; it has *stock*",
            "*balancer: got 3, allowed: a kind such as 'nginx', or a kind and a mode, ('nginx', 'stock')*",
        ]
    )


def test_flags_of_up_and_what_is_wrong_with_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(mock_cluster):\n    pass")
    result = inner(pytester, "--mocknode-up=--no-such-flag")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ClusterStartError*--no-such-flag*"])


SCENARIO = """
import pytest

NIGHT = '''
mocknode-scenario: 1
name: night
claim: A drained node gets nothing new.
parameters:
  node: {type: node, default: node-2, about: Which node is drained.}
workload:
  builds: {push: {users: 2, sizes: 64KiB}}
schedule:
  - drain: $node
  - wait: {quiet: $node}
    within: 20s
  - resume: $node
expect:
  always: [{ledger: builds, lost: LOST}]
'''


@pytest.mark.parametrize("node", ["node-1", "node-3"])
def test_a_drain(scenario, tmp_path, node):
    (tmp_path / "night.yaml").write_text(NIGHT.replace("LOST", "0"))
    report = scenario(str(tmp_path / "night.yaml"), {"node": node})
    assert f"{node} draining" in [event["text"] for event in report["events"]]


def test_it_fails(scenario, tmp_path):
    (tmp_path / "night.yaml").write_text(NIGHT.replace("{ledger: builds, lost: LOST}", "{latency: builds, p50: '< 1ms'}"))
    scenario(str(tmp_path / "night.yaml"))
"""


@pytest.mark.balancer
def test_a_scenario_runs_against_the_cluster_and_the_balancer_of_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SCENARIO)
    result = inner(pytester)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*FAILED*night*", "*latency builds, p50 < 0.001s*"])


FIXTURES = """
import httpx


def packages(node):
    url = f"{node.url}/api/Spaces-1/packages"
    with httpx.Client(headers={"X-Octopus-ApiKey": node.api_key}, trust_env=False) as client:
        found = [item["Id"] for item in client.get(url).json()["Items"]]
        client.delete(f"{url}/packages-Acme.Web.1.0.0").raise_for_status()
    return found


def test_it_has_the_package_and_deletes_it(mock_node):
    assert packages(mock_node) == ["packages-Acme.Web.1.0.0"]


def test_the_next_one_has_it_again(mock_node):
    assert packages(mock_node) == ["packages-Acme.Web.1.0.0"]
"""


def test_each_test_begins_with_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FIXTURES)
    pytester.makefile(".yaml", f="mocknode-fixtures: 1\npackages: [{id: Acme.Web, version: 1.0.0, size: 1KiB}]\n")
    inner(pytester, "--mocknode-nodes", "1", "--mocknode-fixtures", "f.yaml").assert_outcomes(passed=2)


def test_loading_the_plugin_imports_nothing_else() -> None:
    asked = "import sys, pytest; before = set(sys.modules); import mocknode.pytest_plugin; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60, env={**os.environ}
    )
    assert done.stdout.split() == ["mocknode", "mocknode.pytest_plugin"]


def test_pytest_finds_it_by_its_entry_point() -> None:
    [found] = [entry for entry in entry_points(group="pytest11") if entry.name == "mocknode"]
    assert found.value == "mocknode.pytest_plugin"
