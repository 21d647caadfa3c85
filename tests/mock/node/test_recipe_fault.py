"""The recipe "Add a fault" of ARCHITECTURE.md, followed to the letter."""

from pathlib import Path

import pytest
from node_process import RunningNode, multipart

from tests import recipe


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fault")
    touched = recipe.build("Add a fault", folder)
    assert set(touched) == {"mocknode/mock/node/faults/busy.py", "mocknode/mock/node/faults/kinds.py"}
    return folder


def test_the_example_acts_on_a_real_node(scratch: Path, tmp_path: Path) -> None:
    node = RunningNode(tmp_path, root=scratch).wait_ready()
    try:
        node.fault("busy", {"retry-after": "1500ms"}, on="api", first=1)
        body, headers = multipart(b"PK" * 100)
        status, answer, _ = node.request("POST", "/api/packages/raw", body, headers)
        assert (status, answer["retry-after"]) == (503, "2")
        assert node.ping() == 200
        status, answer, _ = node.request("POST", "/api/packages/raw", body, headers)
        assert (status, answer.get("retry-after")) == (201, None)
        hit = node.journaled("fault", lambda line: line["phase"] == "hit")
        assert hit["fault"]["kind"] == "busy"
    finally:
        node.close()


def test_the_example_is_in_the_help(scratch: Path) -> None:
    done = recipe.run(scratch, "mocknode", "fault", "--help")
    assert done.returncode == 0, done.stderr
    assert "busy: Read the whole request, then answer 503 with a Retry-After header." in done.stdout
    assert "--retry-after" in done.stdout


def test_the_example_passes_the_tests_of_every_fault(scratch: Path) -> None:
    done = recipe.run_tests(scratch, "tests/mock/node/test_fault_options.py", "-k", "busy or registry or refuses")
    assert done.returncode == 0, done.stdout + done.stderr
