"""The wheel: what it installs, and that it runs where a project has directories named `scenarios` and `loadtests`."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DATA = (
    "mocknode/load/page.html.j2",
    "mocknode/load/users/locustfile.py",
    "mocknode/guide/load.md",
    "mocknode/script/library/rolling-patch.yaml",
    "mocknode/script/time_axis.html.j2",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this repository, built without the network."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(directory)]
    subprocess.run([*command, str(REPOSITORY)], check=True, timeout=100)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def project(wheel: Path) -> Path:
    """A user's project with packages named as directories of this repository; beside it the installed wheel."""
    project = wheel.parent / "project"
    for name in ("scenarios", "loadtests"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").touch()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "installed")
    return project


def run(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # Found before the checkout, which is installed for development.
    installed = {**os.environ, "PYTHONPATH": str(project.parent / "installed")}
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=installed, capture_output=True, text=True, timeout=100, check=False
    )


def test_it_installs_one_package_and_its_data(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mocknode"}
    assert [name for name in DATA if name not in names] == []


@pytest.mark.balancer
def test_check_and_load_run_beside_directories_of_the_same_names(project: Path) -> None:
    assert str(project.parent / "installed") in run(project, "-c", "import mocknode; print(mocknode.__file__)").stdout
    check = run(project, "-m", "mocknode", "check", "--with", "haproxy", "--quick", "--only", "UP-02")
    assert check.returncode == 0, check.stdout + check.stderr
    words = ["--users", "2", "--duration", "2s", "--sizes", "64KiB"]
    load = run(project, "-m", "mocknode", "load", "--with", "haproxy", *words)
    assert load.returncode == 0, load.stdout + load.stderr


@pytest.mark.balancer
def test_the_pytest_fixture_runs_beside_directories_of_the_same_names(project: Path) -> None:
    (project / "test_balancer.py").write_text("def test_it(balancer):\n    assert balancer.url\n")
    done = run(
        project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--mocknode-balancer", "haproxy", "test_balancer.py"
    )
    assert done.returncode == 0, done.stdout + done.stderr
