"""The comparison of two answers, apart from values that must differ; no I/O."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from mocknode.mock.comparing.table import MUST_DIFFER, Asked

Aspect = Literal["answer", "status", "content type", "document", "shape", "value"]
_SHOWN: Final = 80
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a server.

    Attributes:
        status: HTTP status; 0 when no answer came, and then `error` says why.
        content_type: Value of the header; empty without one.
    """

    status: int
    content_type: str = ""
    body: bytes = b""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference between two answers.

    Attributes:
        at: Path into the document; empty for the answer as a whole.
        mock, server: Value of each side, as text.
    """

    aspect: Aspect
    at: str
    mock: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The comparison of the answers to one request.

    Attributes:
        unseen: Paths that could not be compared, as one side had an empty list or null.
    """

    differences: tuple[Difference, ...]
    unseen: tuple[str, ...]


def compare(asked: Asked, mock: Answer, server: Answer) -> Comparison:
    """Compare two answers; documents are compared only if status and media type are equal."""
    if not mock.status or not server.status:
        # Two missing answers are not equal: nothing was compared.
        return Comparison(differences=(_answer(mock, server),), unseen=())
    found: list[Difference] = []
    if mock.status != server.status:
        found.append(Difference(aspect="status", at="", mock=str(mock.status), server=str(server.status)))
    ours, theirs = _media_type(mock.content_type), _media_type(server.content_type)
    if ours != theirs:
        found.append(Difference(aspect="content type", at="", mock=ours or "none", server=theirs or "none"))
    if found or "json" not in ours or asked.method == "HEAD":
        return Comparison(differences=tuple(found), unseen=())
    return _documents(asked, mock, server)


def _answer(mock: Answer, server: Answer) -> Difference:
    words = [f"none: {answer.error}" if not answer.status else str(answer.status) for answer in (mock, server)]
    return Difference(aspect="answer", at="", mock=words[0], server=words[1])


def _media_type(text: str) -> str:
    """Return a content type in lower case and without spaces: `application/json;charset=utf-8`."""
    return "".join(text.lower().split())


def _documents(asked: Asked, mock: Answer, server: Answer) -> Comparison:
    if not mock.body and not server.body:
        return Comparison(differences=(), unseen=())
    try:
        ours, theirs = _parsed(mock), _parsed(server)
    except _NoJSONError:
        words = [_kind(answer.body) for answer in (mock, server)]
        return Comparison(
            differences=(Difference(aspect="document", at="", mock=words[0], server=words[1]),), unseen=()
        )
    unseen: list[str] = []
    found = list(_shapes(ours, theirs, "", unseen))
    for path in asked.equal:
        found += _values(path, _at(ours, path), _at(theirs, path))
    return Comparison(differences=tuple(found), unseen=tuple(unseen))


class _NoJSONError(ValueError):
    """A body that is declared as JSON is not JSON."""


def _parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise _NoJSONError from exc


def _kind(body: bytes) -> str:
    if not body:
        return "empty"
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return f"no JSON: {body[:_SHOWN]!r}"
    return "JSON"


def _shapes(ours: Any, theirs: Any, at: str, unseen: list[str]) -> Iterator[Difference]:
    ours_type, theirs_type = _type(ours), _type(theirs)
    if ours_type != theirs_type:
        if "null" in (ours_type, theirs_type):
            unseen.append(at or ".")
        else:
            yield Difference(aspect="shape", at=at, mock=ours_type, server=theirs_type)
    elif ours_type == "object":
        yield from _objects(ours, theirs, at, unseen)
    elif ours_type == "array":
        if bool(ours) != bool(theirs):
            unseen.append(f"{at}[]")
        elif ours:
            yield from _shapes(_together(ours), _together(theirs), f"{at}[]", unseen)


def _objects(ours: dict[str, Any], theirs: dict[str, Any], at: str, unseen: list[str]) -> Iterator[Difference]:
    for key in sorted(ours.keys() | theirs.keys()):
        inside = f"{at}.{key}" if at else key
        if key in ours and key in theirs:
            yield from _shapes(ours[key], theirs[key], inside, unseen)
        else:
            words = [_type(side[key]) if key in side else "absent" for side in (ours, theirs)]
            yield Difference(aspect="shape", at=inside, mock=words[0], server=words[1])


def _together(items: list[Any]) -> Any:
    """Return one item with the keys of all items, each with its first value that is not null."""
    if not all(isinstance(item, dict) for item in items):
        return next((item for item in items if item is not None), None)
    merged: dict[str, Any] = {}
    for item in items:
        for key, value in item.items():
            if merged.get(key) is None:
                merged[key] = value
    return merged


def _type(value: Any) -> str:
    if value is None:
        return "null"
    for type_, word in ((bool, "boolean"), (int | float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, type_):
            return word
    return "object"


_ABSENT: Final = object()


def _at(document: Any, path: str) -> Any:
    """Return the value at a path of keys, or `_ABSENT`."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return _ABSENT
        document = document[key]
    return document


def _values(path: str, ours: Any, theirs: Any) -> Iterator[Difference]:
    if ours is _ABSENT and theirs is _ABSENT:
        # The value that must be equal is missing on both sides: the table is wrong, or both servers are.
        yield Difference(aspect="value", at=path, mock="absent", server="absent")
    elif ours is not _ABSENT and theirs is not _ABSENT:
        left, right = _neutral(ours), _neutral(theirs)
        if left != right:
            yield Difference(aspect="value", at=path, mock=left[:_SHOWN], server=right[:_SHOWN])


def _neutral(value: Any) -> str:
    """Return the value's JSON with placeholders for what must differ."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    for pattern, placeholder in MUST_DIFFER:
        text = pattern.sub(placeholder, text)
    return text
