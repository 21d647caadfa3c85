"""Bytes that are known: one message that the real implementation made, the others put together by its rules."""

import base64
import uuid
import zlib

import bson
import pytest

from mocknode.mock.halibut import RequestMessage, ResponseMessage
from mocknode.mock.halibut.envelope import compress, stream_parts
from mocknode.mock.halibut.lines import CLIENT, END, NEXT, PROCEED, SERVER, subscriber
from mocknode.mock.halibut.messages import (
    decode_document,
    encode_document,
    guid,
    request_of,
    response_of,
    stream_document,
    streams_in,
)

# Made by the real serializer; upstream's own test reads it to show that an extra element of an error is ignored.
FROM_DOTNET = base64.b64decode(
    "nY6xTgNBDESHDTR8xRakQ1dRICSaRIfSBCHIDyxZk1tpsz6tfQE+mP/AgQVRU7gYe96Mn06A2ZpEwo7Qm3AX+j4SrgCsQk7Pk3abGoqMXLV7qKy8"
    "5dw9ki2KUCMvffPCpYgzYyVKxIxq5YoP027fOk5NvDDDRdKQsuD2T1P/tqVRkyV3a9KB4z3rHU8lNsMyJyr667rxX0nt2B/LNsfnr/8fCbfIYfgZ"
    "zC3JAC+8NziVnR++Mf+acvZ0oGqbAwHnlWTKav5P"
)
ACTIVITY = uuid.UUID("8c381b65-bb84-4e47-a84b-d665b55f8b7f")
CALL = f"IEchoService::SayHelloAsync[1] / {ACTIVITY}"
STREAM = uuid.UUID("9a4b47b7-7463-4740-842e-eb1da0ade39b")


def text(value: str) -> bytes:
    data = value.encode() + b"\0"
    return len(data).to_bytes(4, "little") + data


def test_a_message_of_the_real_implementation_and_back() -> None:
    document = zlib.decompress(FROM_DOTNET, -15)
    assert (len(FROM_DOTNET), FROM_DOTNET[0], len(document)) == (198, 0x9D, 339)
    assert document.startswith(bytes.fromhex("53010000 03") + b"Message\0" + bytes.fromhex("45010000 02") + b"$type\0")
    found = decode_document(document)
    assert found is not None
    response = response_of(found)
    assert (response.id, response.result) == ("sdsd", None)
    assert response.error is not None
    assert (response.error.message, response.error.type) == (
        "foo",
        "Halibut.Exceptions.MethodNotFoundHalibutClientException",
    )
    assert compress(document) == FROM_DOTNET


def test_a_request() -> None:
    endpoint = {
        "PollingRequestQueueTimeout": "00:02:00",
        "RetryListeningSleepInterval": "00:00:01",
        "RetryCountLimit": 5,
        "ConnectionErrorRetryTimeout": "00:05:00",
        "TcpClientConnectTimeout": "00:01:00",
        "BaseUri": "poll://alice/",
        "RemoteThumbprint": None,
        "Proxy": None,
        "ForceResolveHost": None,
        "IsWebSocketEndpoint": False,
    }
    expected = b"".join(
        (
            bytes.fromhex("2c020000 03"), b"Message\0", bytes.fromhex("1e020000"),
            b"\x02$type\0", text("Halibut.Transport.Protocol.RequestMessage, Halibut"),
            b"\x02id\0", text(CALL),
            b"\x05activityId\0", bytes.fromhex("10000000 04 651b388c84bb474ea84bd665b55f8b7f"),
            b"\x03endpoint\0", bytes.fromhex("19010000"),
            b"\x02PollingRequestQueueTimeout\0", text("00:02:00"), b"\x02RetryListeningSleepInterval\0", text("00:00:01"),
            b"\x10RetryCountLimit\0", bytes.fromhex("05000000"), b"\x02ConnectionErrorRetryTimeout\0", text("00:05:00"),
            b"\x02TcpClientConnectTimeout\0", text("00:01:00"), b"\x02BaseUri\0", text("poll://alice/"),
            b"\x0aRemoteThumbprint\0", b"\x0aProxy\0", b"\x0aForceResolveHost\0", b"\x08IsWebSocketEndpoint\0\0", b"\0",
            b"\x02service\0", text("IEchoService"), b"\x02method\0", text("SayHello"),
            b"\x04params\0", bytes.fromhex("12000000"), b"\x020\0", text("World"), b"\0",
            b"\0\0",
        )
    )  # fmt: skip
    request = RequestMessage(
        id=CALL, activity_id=ACTIVITY, service="IEchoService", method="SayHello", params=("World",), endpoint=endpoint
    )
    assert len(expected) == 556
    assert encode_document(request) == expected
    found = decode_document(expected)
    assert found is not None
    assert request_of(found) == request


def test_a_response() -> None:
    expected = b"".join(
        (
            bytes.fromhex("bc000000 03"), b"Message\0", bytes.fromhex("ae000000"),
            b"\x02$type\0", text("Halibut.Transport.Protocol.ResponseMessage, Halibut"),
            b"\x02id\0", text(CALL), b"\x0aerror\0", b"\x02result\0", text("World..."), b"\0\0",
        )
    )  # fmt: skip
    response = ResponseMessage(id=CALL, result="World...")
    assert len(expected) == 188
    assert encode_document(response) == expected
    found = decode_document(expected)
    assert found is not None
    assert response_of(found) == response


def test_the_null_message() -> None:
    assert encode_document(None) == bytes.fromhex("0e0000000a4d6573736167650000")
    assert compress(encode_document(None)) == bytes.fromhex("e3636060e0f24d2d2e4e4c4f65600000")
    assert decode_document(encode_document(None)) is None


def test_the_envelope_of_a_bare_string() -> None:
    document = bytes.fromhex("17000000024d65737361676500050000005465737400 00")
    deflated = bytes.fromhex("1367606060f24d2d2e4e4c4f6560057242528b4b181800")
    assert bson.decode(document) == {"Message": "Test"}
    assert compress(document) == deflated
    assert zlib.decompress(deflated, -15) == document


def test_capabilities() -> None:
    kind = "Octopus.Tentacle.Contracts.Capabilities.CapabilitiesResponseV2, Octopus.Tentacle.Contracts"
    names = ["IScriptService", "IFileTransferService", "IScriptServiceV2"]
    expected = b"".join(
        (
            b"\x03result\0", bytes.fromhex("d1000000"), b"\x02$type\0", text(kind),
            b"\x04SupportedCapabilities\0", bytes.fromhex("4f000000"),
            b"\x020\0", text(names[0]), b"\x021\0", text(names[1]), b"\x022\0", text(names[2]), b"\0\0",
        )
    )  # fmt: skip
    call = f"ICapabilitiesServiceV2::GetCapabilitiesAsync[1] / {ACTIVITY}"
    document = encode_document(ResponseMessage(id=call, result={"$type": kind, "SupportedCapabilities": names}))
    assert expected in document
    assert len(document) == 401


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"State": 2}, "10 5374617465 00 02000000"),
        ({"NextLogSequence": bson.Int64(3)}, "12 4e6578744c6f6753657175656e6365 00 0300000000000000"),
        ({"params": []}, "04 706172616d73 00 05000000 00"),
    ],
)
def test_scalars(value: dict[str, object], expected: str) -> None:
    assert bytes.fromhex(expected) in encode_document(ResponseMessage(id="x", result=value))


def test_a_data_stream() -> None:
    head, payload, tail = stream_parts(STREAM, b"Halibut!")
    assert head == bytes.fromhex("b7474b9a63744047842eeb1da0ade39b 0800000000000000")
    assert (payload, tail) == (b"Halibut!", bytes.fromhex("0800000000000000"))
    document = bson.encode({"Contents": stream_document(STREAM, 8)})
    assert document[4:-1] == b"".join(
        (
            b"\x03Contents\0", bytes.fromhex("2e000000"), b"\x05id\0", bytes.fromhex("10000000 04"), head[:16],
            b"\x12length\0", bytes.fromhex("0800000000000000"), b"\0",
        )
    )  # fmt: skip
    assert streams_in([{"Files": [{"Name": "a", "Contents": stream_document(STREAM, 8)}]}]) == (STREAM,)
    assert bytes(guid(STREAM)) == head[:16]


def test_lines() -> None:
    assert subscriber("poll://alice/").hex(" ") == (
        "4d 58 2d 53 55 42 53 43 52 49 42 45 52 20 31 2e 30 20 70 6f 6c 6c 3a 2f 2f 61 6c 69 63 65 2f 0d 0a 0d 0a"
    )
    assert bytes.fromhex("4d582d434c49454e5420312e300d0a0d0a") == CLIENT
    assert bytes.fromhex("4d582d53455256455220312e300d0a0d0a") == SERVER
    assert bytes.fromhex("4e4558540d0a") == NEXT
    assert bytes.fromhex("50524f434545440d0a") == PROCEED
    assert bytes.fromhex("454e440d0a") == END
