"""The packages of a run are deleted from clusters that answer plain HTTP with a redirect too."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from mocknode.judge.lab.cleanup import delete_packages
from mocknode.judge.traffic import FrontDoor
from mocknode.mock.cluster.client import ControlClient
from tests.up_process import up

OURS = "0" * 32
THEIRS = "Theirs.1.0.0.zip"


async def pushed_and_cleaned(document: dict[str, Any], attempts: set[str], front: FrontDoor | None) -> list[str]:
    """Push a package of the run and one of somebody else; return the names that are left after the clean-up."""
    async with ControlClient(document["control"]) as control:
        cluster = await control.cluster()
    (node,), key = cluster["nodes"], cluster["api_key"]
    headers = {"X-Octopus-ApiKey": key, "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(base_url=node["http"], headers=headers, trust_env=False) as client:
        for name in (f"mocknode-UP-02.1.0.1-{OURS}.zip", THEIRS):
            answer = await client.post("/api/packages/raw", files={"file": (name, b"zip")})
            assert answer.status_code == 201
        await delete_packages(cluster, attempts, front)
        return [item["PackageId"] for item in (await client.get("/api/packages")).json()["Items"]]


@pytest.mark.parametrize(
    "https", [("--external-url", "https://octopus.test"), ("--https-port", "0")], ids=["plain", "https"]
)
def test_nodes_that_force_https_are_cleaned(https: tuple[str, ...], tmp_path: Path) -> None:
    forced = ("--nodes", "1", "--force-ssl", "303", "--trusted-proxy", "127.0.0.1", *https)
    with up(tmp_path, *forced) as document:
        assert asyncio.run(pushed_and_cleaned(document, {OURS}, None)) == ["Theirs"]


def test_a_node_that_trusts_the_balancer_alone_is_cleaned_through_the_front_door() -> None:
    asked: list[str] = []

    async def main() -> None:
        async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked.append(head.partition("\r\n")[0])
            here = f"Host: {front.authority}".lower() in head.lower() and front.authority != urlsplit(url).netloc
            answer = "200 OK" if here else "303 See Other\r\nLocation: https://elsewhere/"
            writer.write(f'HTTP/1.1 {answer}\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{{"Items":[]}}'.encode())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(node, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        front = FrontDoor(scheme="http", host="octopus.test", connect_host="127.0.0.1", port=port)
        cluster = {"nodes": [{"http": url, "https": None}], "api_key": "API-X", "ca_pem": None}
        async with server:
            with pytest.raises(httpx.HTTPStatusError):
                await delete_packages(cluster, {OURS})
            await delete_packages(cluster, {OURS}, front)

    asyncio.run(main())
    assert len(asked) == 3
