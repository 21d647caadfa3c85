"""Package content, its digest and its multipart forms."""

import hashlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.judge.traffic import Package, attempt_of_file_name, new_attempt_id, package_body, package_file_name
from mocknode.judge.traffic.package import BLOCK

OCTOPUS_NAME = re.compile(
    r"^(\w+([_.-]\w+)*?)\.(\d+(\.\d+){0,3}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?)$"
)
ATTEMPT = "0123456789abcdef0123456789abcdef"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 3 * BLOCK))
def test_content_has_its_size_and_digest(size: int) -> None:
    package = Package(attempt=ATTEMPT, size=size)
    content = b"".join(package.pieces())
    assert len(content) == size
    assert hashlib.sha1(content).hexdigest() == package.sha1()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2 * BLOCK), st.integers(0, 2 * BLOCK))
def test_content_does_not_depend_on_the_size(one: int, other: int) -> None:
    short, long = sorted((one, other))
    longer = b"".join(Package(attempt=ATTEMPT, size=long).pieces())
    assert b"".join(Package(attempt=ATTEMPT, size=short).pieces()) == longer[:short]


def test_every_block_and_every_attempt_differs() -> None:
    blocks = [
        bytes(b"".join(Package(attempt=attempt, size=3 * BLOCK).pieces())[n * BLOCK : (n + 1) * BLOCK])
        for attempt in (ATTEMPT, ATTEMPT[::-1])
        for n in range(3)
    ]
    assert len(set(blocks)) == 6
    assert blocks[0].startswith(f"mocknode {ATTEMPT} ".encode())


@pytest.mark.parametrize("form", ["multipart", "dotnet-async", "dotnet-sync", "unterminated", "raw"])
@given(total=st.integers(400, 5000))
def test_total_is_exact_in_every_form(form: str, total: int) -> None:
    body = package_body(ATTEMPT, total=total, form=form)  # type: ignore[arg-type]
    assert body.total == total == sum(map(len, body.pieces()))


def test_multipart_is_what_the_go_client_sends() -> None:
    body = package_body(ATTEMPT, 5, file_name="a.1.0.zip")
    boundary = f"mocknode-{ATTEMPT}"
    assert body.content_type == f"multipart/form-data; boundary={boundary}"
    assert (
        b"".join(body.pieces())
        == (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.1.0.zip"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\nmockn\r\n--{boundary}--\r\n"
        ).encode()
    )


def test_dotnet_sync_starts_with_a_line_end_and_quotes_nothing() -> None:
    body = package_body(ATTEMPT, 0, form="dotnet-sync", file_name="a.1.0.zip")
    assert body.prologue.startswith(b"\r\n--")
    assert b"name=file; filename=a.1.0.zip\r\n" in body.prologue
    assert body.content_type == f'multipart/form-data; boundary="mocknode-{ATTEMPT}"'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "size=None"), ({"size": 1, "total": 2}, "size=1 and total=2"), ({"total": 3}, "bytes, got 3")],
)
def test_impossible_sizes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        package_body(ATTEMPT, **arguments)


def test_unknown_form_names_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match="'zip' is not a form of upload; allowed: multipart, dotnet-async"):
        package_body(ATTEMPT, 1, form="zip")  # type: ignore[arg-type]


@pytest.mark.parametrize("attempt", ["", "a b", "x" * 41, "short"])
def test_attempt_ids_fit_a_file_name(attempt: str) -> None:
    with pytest.raises(ValueError, match="8 to 40"):
        Package(attempt=attempt, size=1)


@pytest.mark.parametrize("check", ["UP-01", "calibration", "traffic"])
def test_file_name_parses_and_gives_the_attempt_back(check: str) -> None:
    attempt = new_attempt_id(random.Random(7))
    name = package_file_name(check, 12, attempt)
    match = OCTOPUS_NAME.match(name.removesuffix(".zip"))
    assert match is not None
    assert (match[1], match[3]) == (f"mocknode-{check}", f"1.0.12-{attempt}")
    assert attempt_of_file_name(name) == attempt


@pytest.mark.parametrize("name", ["Octopus.Tentacle.6.3.417.zip", "mocknode-UP-01.1.0.1-.zip", ""])
def test_other_file_names_give_no_attempt(name: str) -> None:
    assert attempt_of_file_name(name) is None


def test_attempt_ids_are_repeatable_from_a_seed_and_unique_without() -> None:
    assert new_attempt_id(random.Random(1)) == new_attempt_id(random.Random(1))
    assert new_attempt_id() != new_attempt_id()
