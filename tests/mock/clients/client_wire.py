"""The bytes of clients that cannot be run here: the Go CLI, Octopus.Client in both forms, the vendor's samples.

Each takes a package's name and content and gives the requests it makes, in order, on one connection; what it needs from an
answer is checked as that client does. Sources: `pkg/cmd/package/upload` of OctopusDeploy/cli and `pkg/packages` of
go-octopusdeploy; `OctopusAsyncClient.cs` and `OctopusClient.cs` of OctopusClients; `REST/*/Feeds/PushPackage*` and
`Octopus.Client/LINQPad` of OctopusDeploy-Api.
"""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1] / "node"))

from octodiff_client import delta_of

LIMIT_S = 60.0
MODES = ("FailIfExists", "IgnoreIfExists", "OverwriteExisting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a client was told, as it understood it.

    Attributes:
        ok: It would report success.
        status: Status of the answer that decided, if it says.
        result: What it read, or its error.
    """

    ok: bool
    status: int | None
    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A package."""

    name: str
    content: bytes


class RefusedError(Exception):
    """An answer that the client takes for a failure."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Line:
    """One connection of a client, kept alive; HTTP/1.1 as sent, no library between."""

    def __init__(self, url: str, key: str, headers: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"Host: {parts.netloc}\r\nX-Octopus-ApiKey: {key}\r\n{headers}"
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, method: str, target: str, headers: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """One request as it stands; status and body of its answer.

        Raises:
            RefusedError: the connection failed or broke off.
        """
        try:
            async with asyncio.timeout(LIMIT_S):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
                self._writer.write(f"{method} {target} HTTP/1.1\r\n{self._head}{headers}\r\n".encode() + body)
                return await self._answer()
        except (OSError, EOFError, TimeoutError) as exc:
            raise RefusedError(None, f"{type(exc).__name__}: {exc}") from exc

    async def get(self, target: str) -> Any:
        """The JSON document there.

        Raises:
            RefusedError: it is not 200.
        """
        status, body = await self.send("GET", target)
        if status != 200:
            raise RefusedError(status, body.decode("utf-8", "replace"))
        return json.loads(body)

    async def _answer(self) -> tuple[int, bytes]:
        status = 100
        head = b""
        while status == 100:  # `Expect: 100-continue` is not waited for, as HttpWebRequest does after 350 ms.
            head = await self._reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if length is not None:
            return status, await self._reader.readexactly(int(length[1]))
        if b"chunked" not in head.lower():
            return status, b""
        body = b""
        while size := int((await self._reader.readline()).split(b";")[0], 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return status, body

    def close(self) -> None:
        """Break off."""
        if self._writer is not None:
            self._writer.transport.abort()


def chunked(body: bytes, size: int = 32 * 1024) -> bytes:
    """A body in chunks, as io.Copy and HttpWebRequest cut it."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def form(
    boundary: str, disposition: str, part_type: str, content: bytes, *, first: str = "", last: str = "--"
) -> bytes:
    """One part; `first` precedes the opening boundary, `last` follows the closing one."""
    head = f"{first}--{boundary}\r\nContent-Disposition: form-data{disposition}\r\nContent-Type: {part_type}\r\n\r\n"
    return head.encode() + content + f"\r\n--{boundary}{last}\r\n".encode()


async def stored(line: Line, target: str, headers: str, body: bytes, *, accepts: tuple[int, ...] = (200, 201)) -> Any:
    """Push, and read the answer as every one of these clients does."""
    status, answer = await line.send("POST", target, headers, body)
    if status not in accepts:
        raise RefusedError(status, answer.decode("utf-8", "replace"))
    document = json.loads(answer)
    return {"created": status == 201, "hash": document["Hash"], "id": document["Id"]}


def of_length(body: bytes, boundary: str) -> str:
    """Headers of a body that says how long it is."""
    return f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n"


def whole(home: dict[str, Any], file: File) -> tuple[str, bytes]:
    """Where a whole file goes, and its bytes."""
    return home["Links"]["PackageUpload"].partition("{")[0], file.content


async def differing(line: Line, home: dict[str, Any], file: File) -> tuple[str, bytes]:
    """Where a delta goes, and its bytes; the whole file when there is nothing to differ from, or nearly all differs."""
    name = re.fullmatch(r"(\w+(?:[.-]\w+)*?)\.(\d+(?:\.\d+){0,3})\.zip", file.name)
    assert name is not None, file.name
    signature = home["Links"]["PackageDeltaSignature"].format(packageId=name[1], version=name[2])
    status, answer = await line.send("GET", signature)
    if status == 404:
        return whole(home, file)
    if status != 200:
        raise RefusedError(status, answer.decode("utf-8", "replace"))
    document = json.loads(answer)
    delta = delta_of(base64.b64decode(document["Signature"]), file.content)
    if len(delta) > 0.95 * len(file.content):
        return whole(home, file)
    path = home["Links"]["PackageDeltaUpload"].partition("{?")[0]
    return path.format(packageId=name[1], baseVersion=document["BaseVersion"]), delta


async def go_cli(url: str, key: str, file: File, mode: str, *, delta: bool = False) -> Any:
    """`octopus package upload`: six requests, the body chunked, of unknown length, not rewindable; seven with a delta."""
    agent = "User-Agent: go-octopusdeploy/2.80.0 (linux; amd64) go/1.24 NoneOrUnknown octopus-cli\r\n"
    line = Line(url, key, f"{agent}Accept: application/json\r\nAccept-Encoding: gzip\r\n")
    try:
        root = await line.get("/api/")
        page = await line.get("/api/spaces")
        while True:
            (default,) = [item for item in page["Items"] if item["IsDefault"]]
            if not page["Links"].get("Page.Next"):
                break
            page = await line.get(page["Links"]["Page.Next"])
        every = await line.get(root["Links"]["Spaces"].partition("{")[0] + "/all")
        (space,) = [item for item in every if item["Name"].lower() == default["Name"].lower()]
        await line.get("/api/")
        home = await line.get(f"/api/{space['Id']}")
        boundary = "6f1d3c1a5e9f4b0b8a7d2c3e4f5061728394a5b6c7d8e9f00112233445"
        path, content = await differing(line, home, file) if delta else whole(home, file)
        body = form(boundary, f'; name="file"; filename="{file.name}"', "application/octet-stream", content)
        kind = f"Content-Type: multipart/form-data; boundary={boundary}\r\nTransfer-Encoding: chunked\r\n"
        return await stored(line, f"{path}?overwriteMode={mode}", kind, chunked(body))
    finally:
        line.close()


async def _octopus_client_space(line: Line) -> dict[str, Any]:
    """What a repository of Octopus.Client reads before it does anything: the default space's root."""
    root = await line.get("/api")
    assert "3.0.0" <= root["ApiVersion"] <= "3.0.99"
    me = await line.get(root["Links"]["CurrentUser"])
    spaces = await line.get(me["Links"]["Spaces"])
    (default,) = [space for space in spaces if space["IsDefault"]]
    home: dict[str, Any] = await line.get(default["Links"]["SpaceHome"])
    # It decides by this text which parameter to send.
    assert "overwriteMode" in home["Links"]["PackageUpload"]
    return home


async def client_async(url: str, key: str, file: File, mode: str, *, delta: bool = False) -> Any:
    """Octopus.Client, async: unquoted names, `filename*`, a boundary in quotes, a declared length."""
    line = Line(url, key, "User-Agent: OctopusClient-dotnet/14.3.0 (Linux; x64; .NET)\r\nAccept: application/json\r\n")
    try:
        home = await _octopus_client_space(line)
        boundary = "7c3a7b1e-4c0e-4f7e-9d2a-0b6f1a2c3d4e"
        disposition = f"; name=file; filename={file.name}; filename*=utf-8''{file.name}"
        path, content = await differing(line, home, file) if delta else whole(home, file)
        body = form(boundary, disposition, "application/octet-stream", content)
        return await stored(line, f"{path}?overwriteMode={mode}", of_length(body, f'"{boundary}"'), body)
    finally:
        line.close()


async def client_sync(url: str, key: str, file: File, mode: str) -> Any:
    """Octopus.Client, sync: chunked, a CRLF first, nothing quoted, no `--` at the end, `Expect: 100-continue`."""
    line = Line(
        url, key, "User-Agent: OctopusClient-dotnet/14.3.0 (Windows; x64; .NET)\r\nAccept: application/json\r\n"
    )
    try:
        home = await _octopus_client_space(line)
        boundary = "----------------------------8dd0bcf5a1b2c3d"
        disposition = f"; name=file; filename={file.name}"
        body = form(boundary, disposition, "application/octet-stream", file.content, first="\r\n", last="")
        target = home["Links"]["PackageUpload"].partition("{")[0] + f"?overwriteMode={mode}"
        kind = f"Content-Type: multipart/form-data; boundary={boundary}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
        return await stored(line, target, kind, chunked(body))
    finally:
        line.close()


async def linqpad(url: str, key: str, file: File, mode: str) -> Any:
    """The old LINQPad sample: a part without a name, no `--` at the end, `replace=False` as C# writes it."""
    line = Line(url, key, "Accept: application/json\r\nExpect: 100-continue\r\n")
    try:
        boundary = "----------------------------8d3f1a2b3c4d5e6"
        disposition = f'; filename="{file.name}"'
        body = form(boundary, disposition, "application/octet-stream", file.content, first="\r\n", last="")
        target = f"/api/packages/raw?replace={mode == 'OverwriteExisting'}"
        return await stored(line, target, of_length(body, boundary), body)
    finally:
        line.close()


async def powershell(url: str, key: str, file: File, mode: str) -> Any:
    """The PowerShell sample: unquoted names, a part that calls itself `multipart/form-data`."""
    line = Line(url, key, "")
    try:
        (space,) = [item for item in await line.get("/api/spaces/all") if item["Name"] == "Default"]
        boundary = "f0b1e8e4-6a1f-4a0d-8f6b-7d3a4f1c2b5e"
        body = form(boundary, f"; name=fileData; filename={file.name}", "multipart/form-data", file.content)
        replace = "true" if mode == "OverwriteExisting" else "false"
        target = f"/api/{space['Id']}/packages/raw?replace={replace}"
        return await stored(line, target, of_length(body, f'"{boundary}"'), body)
    finally:
        line.close()


async def python_sample(url: str, key: str, file: File, mode: str) -> Any:
    """The Python sample: `requests` with `fileData`, quoted."""
    line = Line(url, key, "User-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n")
    try:
        (space,) = [item for item in await line.get("/api/spaces/all") if item["Name"] == "Default"]
        boundary = "3f2b8a7c6d5e4f3a2b1c0d9e8f7a6b5c"
        body = form(boundary, f'; name="fileData"; filename="{file.name}"', "multipart/form-data", file.content)
        replace = "true" if mode == "OverwriteExisting" else "false"
        return await stored(line, f"/api/{space['Id']}/packages/raw?replace={replace}", of_length(body, boundary), body)
    finally:
        line.close()


async def override_delete(url: str, key: str, package_id: str) -> Any:
    """Octopus.Client deletes by POST with a header; it sends no body."""
    line = Line(url, key, "User-Agent: OctopusClient-dotnet/14.3.0 (Linux; x64; .NET)\r\nAccept: application/json\r\n")
    try:
        home = await _octopus_client_space(line)
        target = home["Links"]["Packages"].partition("{")[0] + f"/{package_id}"
        status, body = await line.send("POST", target, "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n")
        if status != 200:
            raise RefusedError(status, body.decode("utf-8", "replace"))
        return status
    finally:
        line.close()


async def override_modify(url: str, key: str, node: str, cap: int) -> Any:
    """Octopus.Client changes by POST with a header, and gets the resource again afterwards."""
    line = Line(url, key, "User-Agent: OctopusClient-dotnet/14.3.0 (Linux; x64; .NET)\r\nAccept: application/json\r\n")
    try:
        root = await line.get("/api")
        one = root["Links"]["OctopusServerNodes"].partition("{")[0] + f"/OctopusServerNodes-{node}"
        document = {**await line.get(one), "MaxConcurrentTasks": cap}
        body = json.dumps(document).encode()
        headers = f"X-HTTP-Method-Override: PUT\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        status, answer = await line.send("POST", one, headers, body)
        if status != 200:
            raise RefusedError(status, answer.decode("utf-8", "replace"))
        return (await line.get(json.loads(answer)["Links"]["Self"]))["MaxConcurrentTasks"]
    finally:
        line.close()


async def told(work: Awaitable[Any]) -> Told:
    """What came of it."""
    try:
        return Told(ok=True, status=None, result=await work)
    except RefusedError as exc:
        return Told(ok=False, status=exc.status, result=str(exc))


Push = Callable[[str, str, File, str], Awaitable[Any]]
