"""`mocknode compare`."""

import asyncio
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from mocknode.cli.connection import EXISTING_FILE
from mocknode.cli.connection import ask as ask_control
from mocknode.cli.errors import EnvironmentFailureError, UsageError

if TYPE_CHECKING:
    from mocknode.mock.comparing.shapes import Comparison
    from mocknode.mock.comparing.table import Asked

_SAME: Final = 0
_DIFFERENT: Final = 1


@click.command()
@click.option("--server", required=True, metavar="URL", help="Server to compare with.")
@click.option(
    "--api-key",
    required=True,
    metavar="API-...",
    help="API key that it accepts; MOCKNODE_COMPARE_API_KEY hides it from other users.",
)
@click.option("--server-ca", type=EXISTING_FILE, help="CA certificate (PEM) to trust at --server.")
@click.option(
    "--control", metavar="URL", help="Control API of the mock cluster. Default: start one for the comparison."
)
@click.option("--control-token-file", type=EXISTING_FILE, help="File with the token of the control API.")
@click.option("--ca", type=EXISTING_FILE, help="CA certificate (PEM) to trust at the control API.")
@click.option("--allow-writes", is_flag=True, help="Also push one package, read it and delete it. Default: read only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(
    server: str,
    api_key: str,
    server_ca: Path | None,
    control: str | None,
    control_token_file: Path | None,
    ca: Path | None,
    allow_writes: bool,
    as_json: bool,
) -> None:
    """Send the same requests to a mock node and to a server, and compare the answers.

    Statuses, media types and the shape of documents are compared. The mock's first node answers. Exit codes: 0 the answers agree,
    1 they differ.
    """
    from mocknode.mock.comparing.table import READING, WRITING

    if urlsplit(server).scheme not in ("http", "https") or not urlsplit(server).hostname:
        raise UsageError(f"--server: got {server!r}, allowed: http://HOST[:PORT] or https://HOST[:PORT]")
    table = (*READING, *(WRITING if allow_writes else ()))
    document = ask_control(control, control_token_file, ca, lambda client: client.cluster()) if control else None
    results = asyncio.run(_compared(document, server, api_key, str(server_ca) if server_ca else None, table))
    differs = any(result.differences for _, result in results)
    click.echo(json.dumps(_document(server, results)) if as_json else _text(server, results))
    click.get_current_context().exit(_DIFFERENT if differs else _SAME)


async def _compared(
    document: dict[str, Any] | None, server: str, api_key: str, server_ca: str | None, table: "tuple[Asked, ...]"
) -> "list[tuple[Asked, Comparison]]":
    from mocknode.mock.comparing.asking import NotReachedError, Package, ask
    from mocknode.mock.comparing.shapes import compare as compare_answers

    package = Package()
    try:
        # First, so that no cluster is started for a server that does not answer.
        theirs = await ask(server, api_key, table, package, server_ca)
        async with _own_cluster(document) as mock:
            ours = await ask(mock["nodes"][0]["http"], mock["api_key"], table, package)
    except NotReachedError as exc:
        raise EnvironmentFailureError(str(exc)) from exc
    return [
        (asked, compare_answers(asked, *pair))
        for asked, pair in zip(table, zip(ours, theirs, strict=True), strict=True)
    ]


@contextlib.asynccontextmanager
async def _own_cluster(document: dict[str, Any] | None) -> "AsyncIterator[dict[str, Any]]":
    """Yield the cluster at `--control`, or one that runs for the length of the block."""
    if document is not None:
        yield document
        return
    from mocknode.mock.cluster.controller import StartError
    from mocknode.mock.cluster.ports import PortError
    from mocknode.mock.cluster.running_cluster import Cluster
    from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes

    with tempfile.TemporaryDirectory(prefix="mocknode-compare-") as directory:
        settings = ClusterSettings(
            nodes=numbered_nodes(1, host="127.0.0.1", http_port=0, https_port=None),
            run_dir=Path(directory) / "run",
            identity_dir=Path(directory) / "identity",
        )
        try:
            async with Cluster(settings) as cluster:
                yield cluster.document()
        except (PortError, StartError) as exc:
            raise EnvironmentFailureError(f"the mock cluster did not start: {exc}") from exc


def _name(asked: "Asked") -> str:
    return f"{asked.method} {asked.path}{' without a key' if asked.anonymous else ''}"


def _text(server: str, results: "list[tuple[Asked, Comparison]]") -> str:
    lines = []
    for asked, result in results:
        lines += [
            f"{_name(asked)}\n    {found.aspect}{f' of {found.at}' if found.at else ''}: "
            f"mock {found.mock}, server {found.server}"
            for found in result.differences
        ]
    unseen = sum(len(result.unseen) for _, result in results)
    count = sum(len(result.differences) for _, result in results)
    lines.append(
        f"{len(results)} requests to the mock and to {server}: " + (f"{count} differences" if count else "same")
    )
    if unseen:
        lines.append(f"{unseen} places were null or empty on one side and could not be compared (--json names them)")
    return "\n".join(lines)


def _document(server: str, results: "list[tuple[Asked, Comparison]]") -> dict[str, Any]:
    return {
        "server": server,
        "same": not any(result.differences for _, result in results),
        "requests": [
            {
                "method": asked.method,
                "path": asked.path,
                "anonymous": asked.anonymous,
                "differences": [dataclasses.asdict(found) for found in result.differences],
                "not_compared": list(result.unseen),
            }
            for asked, result in results
        ],
    }
