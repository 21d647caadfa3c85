"""`mocknode doctor` and `mocknode version`."""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any, Final

import click

import mocknode
from mocknode.cli.errors import Whole
from mocknode.cli.tables import render
from mocknode.mock.cluster.capacity import shortages
from mocknode.mock.cluster.ports import ephemeral_range

_DESCRIPTORS_WANTED: Final = 4096
"""A node under load has about a thousand connections, and both of their ends may be on this machine."""
_CAP_NET_ADMIN: Final = 12
"""Number of the capability that packet filters need (capabilities(7))."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        click.echo(json.dumps({"mocknode": mocknode.__version__, "python": platform.python_version()}))
    else:
        click.echo(f"mocknode {mocknode.__version__}")


@click.command()
@click.option("--tentacles", type=Whole(1), help="Also show whether this machine can run so many simulated Tentacles.")
@click.option(
    "--nodes", type=Whole(1, 32), default=3, show_default=True, help="Number of nodes that each Tentacle polls."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(tentacles: int | None, nodes: int, as_json: bool) -> None:
    """Show what this machine can do, and what it lacks. Nothing is changed, and the exit code is always 0."""
    facts = [_python(), _platform(), *_libraries(), _descriptors(), _ports(), _proxies(), _packet_drop(), *_balancers()]
    if tentacles is not None:
        facts += _tentacles(tentacles, nodes)
    if as_json:
        click.echo(json.dumps(facts))
        return
    rows = [["ok" if fact["ok"] else "--", fact["what"], fact["found"], fact["lacks"] or ""] for fact in facts]
    click.echo(render(["", "what", "found", "without it"], rows), nl=False)


def _fact(what: str, found: str, *, ok: bool, lacks: str) -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "lacks": None if ok else lacks}


def _python() -> dict[str, Any]:
    ok = sys.version_info >= (3, 11)
    return _fact("python", f"{platform.python_version()} {sys.executable}", ok=ok, lacks="3.11 or newer is needed")


def _platform() -> dict[str, Any]:
    found = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores"
    return _fact("platform", found, ok=sys.platform == "linux", lacks="death signals and held ports need Linux")


def _libraries() -> list[dict[str, Any]]:
    wanted = {
        "uvloop": "uploads are received at a quarter of the rate",
        "httptools": "nodes do not start: reinstall mocknode",
    }
    facts = []
    for name, lacks in wanted.items():
        ok = importlib.util.find_spec(name) is not None
        facts.append(_fact(name, importlib.metadata.version(name) if ok else "not installed", ok=ok, lacks=lacks))
    return facts


def _descriptors() -> dict[str, Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lacks = f"run `ulimit -n {_DESCRIPTORS_WANTED}` before load tests"
    return _fact("open files", f"{soft} of {hard}", ok=soft >= _DESCRIPTORS_WANTED, lacks=lacks)


def _tentacles(count: int, nodes: int) -> list[dict[str, Any]]:
    """What these Tentacles need in each process; a connection through a balancer takes two descriptors there."""
    processes = [
        ("the fleet", count * nodes, nodes, 1),
        ("a node", count, 1, 1),
        ("one balancer process for each node", count, 1, 2),
        ("one balancer process for all", count * nodes, nodes, 2),
    ]
    facts = []
    for what, connections, addresses, ends in processes:
        lacks = shortages(connections, addresses, per_connection=ends, what=what)
        found = f"{what}: {connections} connections, {connections * ends} descriptors"
        facts.append(_fact(f"{count} Tentacles", found, ok=not lacks, lacks="; ".join(lacks)))
    return facts


def _ports() -> dict[str, Any]:
    low, high = ephemeral_range()
    free = 65536 - 10240 - (high - low + 1)
    lacks = "ports cannot be picked outside the ephemeral range"
    return _fact("ephemeral ports", f"{low} to {high}", ok=free > 0, lacks=lacks)


def _proxies() -> dict[str, Any]:
    names = [name for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy") if os.environ.get(name)]
    return _fact("proxy variables", f"{', '.join(names)} (ignored)" if names else "none set", ok=True, lacks="")


def _packet_drop() -> dict[str, Any]:
    held = 0
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
        held = int(line.split()[1], 16)
    ok = bool(held >> _CAP_NET_ADMIN & 1)
    # No node can drop packets yet; the capability is only shown.
    return _fact(
        "packet-drop", "CAP_NET_ADMIN held" if ok else "no CAP_NET_ADMIN", ok=ok, lacks="`--how drop` is not possible"
    )


def _balancers() -> list[dict[str, Any]]:
    balancers = importlib.import_module("mocknode.judge.balancers")
    facts = []
    for kind in balancers.KINDS:
        try:
            binary = balancers.find(kind)
        except balancers.BalancerNotFoundError as exc:
            facts.append(_fact(kind, "not found", ok=False, lacks=str(exc)))
        else:
            facts.append(_fact(kind, f"{binary.version} {binary.path} ({binary.source})", ok=True, lacks=""))
    return facts
