"""Recipes of ARCHITECTURE.md, built as they stand there in a scratch copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mocknode

ROOT = Path(mocknode.__file__).parent.parent
PAGE = ROOT / "mocknode" / "ARCHITECTURE.md"
# One command with its cluster and balancer; a busy machine needs about 20 s.
LIMIT_S = 90.0

_FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Return the text of one section of ARCHITECTURE.md."""
    text = PAGE.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {title}\n")
    assert rest, f"ARCHITECTURE.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def build(title: str, scratch: Path) -> list[str]:
    """Copy the repository to `scratch`, write each fenced block there, and return the paths that the recipe touches.

    The first line of a block names its language and its file. A block of language `diff` changes a file that exists: its
    lines without the added ones must stand there exactly once.
    """
    for name in ("mocknode", "tests"):
        shutil.copytree(ROOT / name, scratch / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", scratch)
    touched = []
    for language, path, text in _FENCE.findall(section(title)):
        file = scratch / path
        touched.append(path)
        if language == "diff":
            _change(file, text)
        else:
            assert not file.exists(), f"the recipe creates {path}, which exists"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return touched


def _change(file: Path, diff: str) -> None:
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"the recipe changes lines that stand {text.count(old)} times in {file.name}:\n{old}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with the package of the scratch copy."""
    # The calling test has its place on a core already (tests/conftest.py). Tests that it runs must not wait for another
    # one: where all places were taken by tests like it, each waited for the others until its limit.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=scratch,
        env={**inherited, "PYTHONPATH": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def run_tests(scratch: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests of the scratch copy, one after another, and leave no cache."""
    return run(scratch, "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *arguments)
