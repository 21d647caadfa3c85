"""What counts as the same, without a server."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.comparing.shapes import Answer, Difference, compare
from mocknode.mock.comparing.table import READING, WRITING, Asked

PATH = "/api/x"
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
DOCUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=5),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_size=5,
)  # fmt: skip


def answer(document: Any, status: int = 200, content_type: str = "application/json; charset=utf-8") -> Answer:
    return Answer(status=status, content_type=content_type, body=json.dumps(document).encode())


def differences(mine: Any, other: Any, *equal: str) -> list[Difference]:
    return list(compare(Asked(path=PATH, equal=equal), answer(mine), answer(other)).differences)


@given(DOCUMENTS)
def test_an_answer_is_the_same_as_itself(document: dict[str, Any]) -> None:
    compared = compare(Asked(path=PATH), answer(document), answer(document))
    assert compared.differences == ()
    assert compared.unseen == ()


@given(DOCUMENTS.filter(bool), st.data())
def test_a_key_that_one_side_lacks_is_the_one_difference(document: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(document)))
    [found] = differences(document, {name: value for name, value in document.items() if name != key})
    assert (found.aspect, found.at, found.server) == ("shape", key, "absent")


def test_values_differ_only_where_the_table_looks() -> None:
    mine, other = {"Name": "a", "Size": 1}, {"Name": "b", "Size": 1}
    assert differences(mine, other) == []
    assert differences(mine, other, "Size") == []
    [found] = differences(mine, other, "Name")
    assert (found.aspect, found.mock, found.server) == ("value", '"a"', '"b"')


def test_what_must_differ_is_no_difference() -> None:
    mine = {"At": "2026-11-26T03:01:07.014+00:00", "Url": "http://a:1/x/Spaces-1", "Is": "2026.2.1", "Id": "Users-1"}
    other = {"At": "2020-01-01T00:00:00Z", "Url": "https://b.test/x/Spaces-42", "Is": "2025.1.14389", "Id": "Users-9"}
    assert differences(mine, other, "At", "Url", "Is", "Id") == []
    assert differences(mine, {**other, "Url": "https://b.test/y/Spaces-42"}, "Url") != []


def test_types_statuses_media_types_and_bodies() -> None:
    assert [(d.aspect, d.mock, d.server) for d in differences({"A": 1}, {"A": "1"})] == [("shape", "number", "string")]
    assert [(d.aspect, d.mock, d.server) for d in differences({"A": True}, {"A": 1})] == [
        ("shape", "boolean", "number")
    ]
    asked = Asked(path=PATH)
    compared = compare(asked, answer({}), answer({}, status=503, content_type="text/html"))
    assert [found.aspect for found in compared.differences] == ["status", "content type"]
    spelled = answer({}, content_type="Application/JSON;charset=UTF-8")
    assert compare(asked, answer({}), spelled).differences == ()
    no_json = Answer(status=200, content_type="application/json;charset=utf-8", body=b"<html>")
    assert [found.aspect for found in compare(asked, answer({}), no_json).differences] == ["document"]


def test_what_could_not_be_looked_at_is_named_and_no_answer_is_never_the_same() -> None:
    compared = compare(Asked(path=PATH), answer({"A": None, "L": []}), answer({"A": 1, "L": [{"B": 1}]}))
    assert compared.differences == ()
    assert compared.unseen == ("A", "L[]")
    silent = Answer(status=0, error="ReadTimeout")
    assert [found.aspect for found in compare(Asked(path=PATH), silent, silent).differences] == ["answer"]
    assert [found.aspect for found in compare(Asked(path=PATH, equal=("A",)), answer({}), answer({})).differences] == [
        "value"
    ]


def test_reading_only_reads() -> None:
    assert {asked.method for asked in READING} == {"GET", "HEAD"}
    assert [asked.method for asked in WRITING] == ["POST", "POST", "GET", "DELETE", "GET"]
