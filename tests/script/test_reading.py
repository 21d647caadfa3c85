"""Text to a tree with positions: what YAML has and scenarios do not, and files that no one should open."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.script.reading import DEPTH_MAX, FILE_MAX, Listing, Mistake, Scalar, ScenarioError, Table, load, read

BOMB = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


def mistakes(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read(text, "f.yaml")
    return caught.value.lines()


def found_in(text: str) -> Sequence[Mistake]:
    """The mistakes of a text; none if it is a tree."""
    try:
        read(text, "f.yaml")
    except ScenarioError as exc:
        return exc.mistakes or pytest.fail("an error without a mistake")
    return ()


def test_every_part_knows_its_place() -> None:
    root = read("name: x\nlist:\n  - 'a b'\n  - {k: 30}\n", "f.yaml")
    assert isinstance(root, Table)
    listed = root.pairs[1][1]
    assert isinstance(listed, Listing)
    first, second = listed.items
    assert isinstance(first, Scalar)
    assert (first.text, first.quoted, first.at.line, first.at.column) == ("a b", True, 3, 5)
    assert isinstance(second, Table)
    value = second.pairs[0][1]
    assert isinstance(value, Scalar)
    assert (value.text, value.quoted, value.at.line, value.at.column) == ("30", False, 4, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: *x\n", "f.yaml:2:4: got the alias *x, allowed: parameters, written $name"),
        ("a: &x 1\n", "f.yaml:1:4: got the anchor &x, allowed: parameters, written $name"),
        ("a: !!python/object 1\n", "f.yaml:1:4: got the tag tag:yaml.org,2002:python/object, allowed: values without a tag"),
        ("a: 1\na: 2\n", "f.yaml:2:1: got 'a' twice; it is given in line 1 already"),
        ("? [1]\n: 2\n", "f.yaml:1:3: got a list as a key, allowed: a word"),
        ("a:\n\t- b\n", "f.yaml:2:1: got a tab, allowed: spaces for indentation"),
        ("a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: got a second document, allowed: one scenario in a file"),
        ("a:\n  b: \x01\n", "f.yaml:2:6: got a control character: control characters are not allowed"),
    ],
)  # fmt: skip
def test_what_scenarios_do_not_have_is_refused_with_its_place(text: str, expected: str) -> None:
    assert expected in mistakes(text)


def test_all_of_them_are_found_at_once() -> None:
    assert len(mistakes("a: &x 1\nb: *x\nb: 2\n")) == 3


def test_anchors_that_explode_are_refused_before_they_do() -> None:
    assert "f.yaml:1:4: got the anchor &a, allowed: parameters, written $name" in mistakes(BOMB)


def test_deep_nesting_ends_early() -> None:
    assert mistakes("[" * 100_000) == [
        f"f.yaml:1:{DEPTH_MAX + 1}: got more than {DEPTH_MAX} levels, one inside the other; allowed: {DEPTH_MAX}"
    ]


def test_a_byte_order_mark_and_line_ends_of_windows_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nclaim: y\r\n")
    root = read(load(path), "s.yaml")
    assert isinstance(root, Table)
    assert [(key.text, key.at.line, key.at.column) for key, _ in root.pairs] == [("name", 1, 1), ("claim", 2, 1)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x" * (10 << 20), ":1:1: got a file of 10 MiB, allowed: up to 256 KiB"),
        (b"a: 1\nb: \xff\n", ":2:4: got byte 0xff, allowed: UTF-8 text"),
        ("a: 1\n".encode("utf-16"), ":1:1: got byte 0xff, allowed: UTF-8 text"),
    ],
)
def test_files_that_are_no_text_or_too_large(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert caught.value.lines() == [f"{path}{expected}"]


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"a" * FILE_MAX)
    assert len(load(path)) == FILE_MAX


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ScenarioError, match=reason):
            load(path)


@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_a_mistake(text: str) -> None:
    assert all(mistake.at.line >= 1 and mistake.at.column >= 1 for mistake in found_in(text))


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \t\n\r,?$", max_size=60))
def test_any_text_made_of_what_yaml_reads_is_a_tree_or_a_mistake(text: str) -> None:
    assert all(mistake.text for mistake in found_in(text))
