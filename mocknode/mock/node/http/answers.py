"""Bodies and heads of answers: the documented error document, and raw bytes for answers that HTTP machinery would refuse."""

import http
import json
from collections.abc import Iterable
from typing import Any, Final

import orjson

JSON_TYPE: Final = b"application/json; charset=utf-8"

Headers = list[tuple[bytes, bytes]]


def error_document(message: str, errors: Iterable[str] = ()) -> dict[str, Any]:
    """Return Octopus' error document. Source: `pkg/core/api_error.go` of OctopusDeploy/go-octopusdeploy."""
    return {
        "ErrorMessage": message,
        "Errors": list(errors),
        "FullException": None,
        "HelpText": None,
        "HelpLink": None,
        "ParsedHelpLinks": [],
        "Details": None,
    }


def json_bytes(document: Any) -> bytes:
    """Return a document as a JSON body."""
    try:
        return orjson.dumps(document)
    except TypeError:  # orjson refuses lone surrogates and huge numbers, which a client's own text may contain.
        return json.dumps(document, separators=(",", ":")).encode()


def json_headers(body: bytes, *more: tuple[bytes, bytes]) -> Headers:
    """Return the headers of a JSON answer; Octopus forbids caching."""
    return [
        (b"content-type", JSON_TYPE),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"private, no-cache, no-store"),
        *more,
    ]


def phrase(status: int) -> str:
    """Return the reason phrase of a status; empty for one without a name."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def error_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes | None) -> tuple[Headers, bytes]:
    """Return headers and body of an answer: the body given, or the error document that names the status."""
    if status in (204, 304):
        return [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers], b""
    extra = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers]
    if body is None:
        body = json_bytes(error_document(f"{status} {phrase(status)}".strip()))
    kept = [pair for pair in json_headers(body) if pair[0] not in {key for key, _ in extra}]
    return [*kept, *extra], body


def refusal_answer(status: int, allowed: bytes | None) -> bytes:
    """Return the answer of the web server itself to a request that it refuses: no body, and none of the application's headers."""
    allow = b"" if allowed is None else b"Allow: %b\r\n" % allowed
    line = f"HTTP/1.1 {status} {phrase(status)}\r\n".encode("latin-1")
    return line + allow + b"Content-Length: 0\r\nConnection: close\r\n\r\n"


def raw_answer(status: int, headers: Headers, declared: int, body: bytes) -> bytes:
    """Return a whole answer as bytes, under a Content-Length that may be wrong, announcing the end of the connection."""
    lines = [f"HTTP/1.1 {status} {phrase(status)}".encode("latin-1")]
    lines += [key + b": " + value for key, value in headers if key not in (b"content-length", b"connection")]
    lines += [b"content-length: " + str(declared).encode(), b"connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
