"""Requests and responses, and the BSON documents that contain them.

The document is always `{"Message": <object or null>}`. Integers are 32 bits wide unless they are `bson.Int64`; GUIDs are
binaries of subtype 4 in the byte order of .NET; properties that are null are written. `$type` is the first element
wherever the declared type differs from the real one: of the message, of objects among the parameters, of the result.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

import bson
from bson.binary import UUID_SUBTYPE, Binary, UuidRepresentation
from bson.codec_options import CodecOptions

from mocknode.mock.halibut.elements import too_many_elements
from mocknode.mock.halibut.limits import ELEMENTS_MAX, STREAMS_MAX

REQUEST_TYPE: Final = "Halibut.Transport.Protocol.RequestMessage, Halibut"
RESPONSE_TYPE: Final = "Halibut.Transport.Protocol.ResponseMessage, Halibut"
STREAM_TYPE: Final = "Halibut.DataStream, Halibut"

# Binaries stay as they are: this module decides how GUIDs are laid out.
_CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED, tz_aware=True
)


class DocumentError(ValueError):
    """A document that does not fit its place in the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMessage:
    """A call. Documents in `params` and `endpoint` are as on the wire.

    Attributes:
        id: Opaque; the response repeats it.
        service: Name of the contract, such as `IScriptServiceV2`.
        method: Name of the method without the suffix Async.
        endpoint: The Tentacle that the caller meant; the executor never uses it.
    """

    id: str
    activity_id: uuid.UUID
    service: str
    method: str
    params: tuple[Any, ...] = ()
    endpoint: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the message as it is sent."""
        return {
            "$type": REQUEST_TYPE,
            "id": self.id,
            "activityId": guid(self.activity_id),
            "endpoint": None if self.endpoint is None else dict(self.endpoint),
            "service": self.service,
            "method": self.method,
            "params": list(self.params),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError:
    """The error of a failed call.

    Attributes:
        details: Never null when we send it, as the real caller fails on null.
        type: Full name of the exception; only for exceptions of Halibut itself.
    """

    message: str
    details: str | None = ""
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseMessage:
    """The answer to the request with the same `id`."""

    id: str
    result: Any = None
    error: ServerError | None = field(default=None)

    def document(self) -> dict[str, Any]:
        """Return the message as it is sent."""
        error = self.error
        return {
            "$type": RESPONSE_TYPE,
            "id": self.id,
            "error": error and {"message": error.message, "details": error.details, "HalibutErrorType": error.type},
            "result": self.result,
        }


Message = RequestMessage | ResponseMessage


def guid(value: uuid.UUID) -> Binary:
    """Return a GUID as .NET writes it: the first three groups little-endian."""
    return Binary(value.bytes_le, UUID_SUBTYPE)


def stream_document(id_: uuid.UUID, length: int, *, declared: bool = False) -> dict[str, Any]:
    """Return the reference to a data stream in a document; `declared` when it is itself a parameter or a result."""
    head = {"$type": STREAM_TYPE} if declared else {}
    return {**head, "id": guid(id_), "length": bson.Int64(length)}


def encode_document(message: Message | None) -> bytes:
    """Return the BSON of a message, or of the null message for None."""
    return bson.encode({"Message": None if message is None else message.document()}, codec_options=_CODEC)


def decode_document(data: bytes) -> dict[str, Any] | None:
    """Return the message's object, or None for the null message.

    Raises:
        DocumentError: the data are no BSON, have too many elements, or hold no message.
    """
    if too_many_elements(data):
        raise DocumentError(f"a document of more than {ELEMENTS_MAX} elements")
    try:
        # Deep nesting raises RecursionError; every other defect raises one of the other errors.
        document = bson.decode(data, codec_options=_CODEC)
    except (bson.errors.InvalidBSON, ValueError, RecursionError, OverflowError) as error:
        raise DocumentError(f"the message is no BSON document: {error}") from None
    if "Message" not in document:
        raise DocumentError(f"a document has the element Message; got {_element_names(document)}")
    message = document["Message"]
    if message is not None and not isinstance(message, dict):
        raise DocumentError(f"Message is an object or null; got {type(message).__name__}")
    return message


def request_of(document: Mapping[str, Any]) -> RequestMessage:
    """Return the request in a message's object; unknown elements are ignored, as by the real reader.

    Raises:
        DocumentError: an element is missing or wrong; the message names it.
    """
    _of_type(document, REQUEST_TYPE)
    params, endpoint = document.get("params"), document.get("endpoint")
    if not isinstance(params, list):
        raise DocumentError(f"params is an array; got {type(params).__name__}")
    if endpoint is not None and not isinstance(endpoint, dict):
        raise DocumentError(f"endpoint is an object or null; got {type(endpoint).__name__}")
    return RequestMessage(
        id=_text(document, "id"),
        activity_id=_guid(document, "activityId"),
        service=_text(document, "service"),
        method=_text(document, "method"),
        params=tuple(params),
        endpoint=endpoint,
    )


def response_of(document: Mapping[str, Any]) -> ResponseMessage:
    """Return the response in a message's object; unknown elements are ignored, as by the real reader.

    Raises:
        DocumentError: an element is missing or wrong; the message names it.
    """
    _of_type(document, RESPONSE_TYPE)
    error = document.get("error")
    if error is not None and not isinstance(error, dict):
        raise DocumentError(f"error is an object or null; got {type(error).__name__}")
    return ResponseMessage(
        id=_text(document, "id"),
        result=document.get("result"),
        error=None
        if error is None
        else ServerError(
            message=_text(error, "message"),
            details=_text_or_null(error, "details"),
            type=_text_or_null(error, "HalibutErrorType"),
        ),
    )


def streams_in(value: Any) -> tuple[uuid.UUID, ...]:
    """Return the ids of the data streams that follow a message, in order of appearance.

    Raises:
        DocumentError: there are more than `limits.STREAMS_MAX`.
    """
    found: list[uuid.UUID] = []
    for id_ in _streams_in(value):
        found.append(id_)
        if len(found) > STREAMS_MAX:
            raise DocumentError(f"a message carries at most {STREAMS_MAX} data streams")
    return tuple(found)


def _streams_in(value: Any) -> Iterator[uuid.UUID]:
    if isinstance(value, Mapping):
        id_ = value.get("id")
        # `DataStream` has two properties, and no other contract has exactly these two.
        if value.keys() - {"$type"} == {"id", "length"} and _is_guid(id_):
            yield uuid.UUID(bytes_le=bytes(id_))
            return
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from _streams_in(item)


def _is_guid(value: Any) -> TypeGuard[Binary]:
    return isinstance(value, Binary) and value.subtype == UUID_SUBTYPE and len(value) == 16


def _of_type(document: Mapping[str, Any], wanted: str) -> None:
    got = document.get("$type", wanted)
    if got != wanted:
        raise DocumentError(f"here a message is a {wanted}; got {got!r}")


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise DocumentError(f"{name} is a string; got {type(value).__name__}")
    return value


def _text_or_null(document: Mapping[str, Any], name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)


def _guid(document: Mapping[str, Any], name: str) -> uuid.UUID:
    value = document.get(name)
    if not _is_guid(value):
        raise DocumentError(f"{name} is a GUID (binary of subtype 4); got {type(value).__name__}")
    return uuid.UUID(bytes_le=bytes(value))


def _element_names(document: Mapping[str, Any]) -> str:
    return ", ".join(list(document)[:5]) or "an empty one"
