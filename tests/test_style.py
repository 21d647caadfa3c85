"""Rules of style that a machine can check: sizes, names, how docstrings begin, commit subjects."""

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("mocknode", "loadtests", "tests") for path in (ROOT / top).rglob("*.py"))
PACKAGES = sorted(path for path in (ROOT / "mocknode").rglob("__init__.py"))

FUNCTION_LINES_MAX = 70
"""A function of this length still fits on one screen."""
SAME_NAME_MAX = 2
"""Files with one name; a third makes the name useless in a search or a traceback."""
SAME_NAME_ALLOWED = {"__init__.py", "__main__.py", "conftest.py"}
SUBJECT_MAX = 72
"""Characters of a commit subject; Git's own tools cut what is longer."""
FIRST_COMMIT = "ee64f3b"
"""The last commit before the rule for subjects; earlier ones stay as they are."""

RIDDLES = re.compile(
    r"(Of|So|As|Who|Whom|Whose|By|Such as|Here|Too|Then|What (is|was|are|were) that|What is|In which|From now on)\b"
)
"""Beginnings of docstrings that make sense only next to the code. A docstring begins with a verb or names the thing."""
BANNER = re.compile(r"#+\s*[-=*~#]{3,}")
"""A comment drawn as a headline; a file that needs one is two files."""
PRIVATE_WORDS = {"book", "desk", "hears", "owed", "passage", "rhythm", "spent", "standing"}
"""Words of the early code that only its author understood; each has a plain successor."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


parsed = cache(tree)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes, functions, and of the names that are assigned right before them."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = [node.body[0]]
            found += [after for before, after in zip(node.body, node.body[1:], strict=False) if _assigns(before)]
            for statement in found:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    value = statement.value.value
                    if isinstance(value, str):
                        yield statement.lineno, value.strip()


def entries(docstring: str) -> Iterator[str]:
    """Descriptions of arguments and attributes, which are read alone in a hover box."""
    return (match[1] for line in docstring.splitlines()[1:] if (match := re.match(r"\s+[\w, ]+: (.+)", line)))


def _assigns(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign)


def names(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that the module gives to something."""
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_functions_fit_on_a_screen():
    long = [
        f"{at(path, node.lineno)}: {node.name} has {length} lines"
        for path in FILES
        for node in functions(path)
        if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_comment_is_a_headline():
    found = [
        f"{at(path, line)}: {text}"
        for path in FILES
        for line, text in comments(path.read_text(encoding="utf-8"))
        if BANNER.match(text)
    ]
    assert found == []


def test_docstrings_name_the_thing_or_begin_with_a_verb():
    found = [
        f"{at(path, line)}: {text.splitlines()[0]}"
        for path in FILES
        for line, text in docstrings(parsed(path))
        if RIDDLES.match(text)
    ]
    assert found == []


def test_arguments_and_attributes_are_named_in_their_descriptions():
    found = [
        f"{at(path, line)}: {entry}"
        for path in FILES
        for line, text in docstrings(parsed(path))
        for entry in entries(text)
        if RIDDLES.match(entry)
    ]
    assert found == []


def test_no_file_name_is_used_three_times():
    counted = Counter(path.name for path in FILES if path.name not in SAME_NAME_ALLOWED)
    assert [name for name, count in counted.items() if count > SAME_NAME_MAX] == []


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_every_package_says_what_belongs_in_it(path):
    assert ast.get_docstring(parsed(path))


def test_names_use_no_private_words():
    found = [
        f"{at(path, line)}: {name}"
        for path in FILES
        for line, name in names(parsed(path))
        if words(name) & PRIVATE_WORDS
    ]
    assert found == []


def test_commit_subjects_are_short():
    git = ["git", "-C", str(ROOT)]
    known = subprocess.run([*git, "cat-file", "-e", f"{FIRST_COMMIT}^{{commit}}"], capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip(f"commit {FIRST_COMMIT} is not here: a shallow clone, or no repository")
    log = subprocess.run(
        [*git, "log", "--format=%h %s", f"{FIRST_COMMIT}..HEAD"], capture_output=True, text=True, check=True
    )
    subjects = [line.partition(" ") for line in log.stdout.splitlines()]
    assert [f"{commit} {subject}" for commit, _, subject in subjects if len(subject) > SUBJECT_MAX] == []


@pytest.mark.parametrize(
    ("text", "is_riddle"),
    [
        ("Of every fault that can be removed.", True),
        ("So is the acceptor.", True),
        ("As without this.", True),
        ("What is that, and why?", True),
        ("Official clients send these forms.", False),
        ("Asks every node.", False),
        ("Sort the records by time.", False),
        ("What a node's journal holds of a connection.", False),
    ],
)
def test_riddles_are_told_from_sentences(text, is_riddle):
    assert bool(RIDDLES.match(text)) == is_riddle


@pytest.mark.parametrize("text", ["# --- readers", "# -----------", "# ===== x =====", "## ---", "#####"])
def test_headlines_are_found(text):
    assert BANNER.match(text)


@pytest.mark.parametrize("text", ["# -I -S: nothing is read", "# a - b", "# == is what .NET compares with"])
def test_comments_are_no_headlines(text):
    assert not BANNER.match(text)


def test_a_long_function_and_a_private_word_are_found():
    source = "def desk(x):\n" + "    x\n" * FUNCTION_LINES_MAX
    module = ast.parse(source)
    (function,) = module.body
    assert (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES_MAX
    assert [name for _, name in names(module) if words(name) & PRIVATE_WORDS] == ["desk"]
