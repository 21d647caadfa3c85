"""Measures the cost of thousands of polling Tentacles and how they return: `python loadtests/tentacle_bench.py --count 3000`.

Method: `mocknode up` starts the nodes and `mocknode tentacles` the fleet, all on this machine; every Tentacle polls every node.
Between them is nothing (`--balancer none`, which shows the cost of a connection at a node), one HAProxy for all nodes (`one`), or
one HAProxy process for each node (`each`); HAProxy passes TCP through, with one listen port for each node. A node's processor time
and resident memory are read from /proc before the fleet starts and when every connection is established, and divided by the
number of connections; those of the first node include the registrations. For comparison, the server's side of the same TLS handshake
is measured with OpenSSL alone, in memory, on the same machine just before.

With `--crash`, one node is then killed and brought back after `--down`, and the time is measured until all of its Tentacles are
back. Real ones return five seconds after a drop, and at most two minutes after a node that was away for long. Absolute figures depend
on the machine.
"""

import argparse
import contextlib
import datetime
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alternating import script
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from servers import free_port
from stage import HOST, cluster, cpu_seconds, process, rss

from mocknode.judge import balancers
from mocknode.text.units import format_duration

MOCKNODE = (sys.executable, "-m", "mocknode")
START_S = 60.0
BALANCER = """\
global
  maxconn {maxconn}
  log stderr local0 warning
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
{listeners}
"""


def bare_handshake_ms(count: int = 200) -> float:
    """Return the processor time of the server's side of one handshake with client certificate, without network or Halibut."""
    server, client = SSL.Context(SSL.TLS_SERVER_METHOD), SSL.Context(SSL.TLS_CLIENT_METHOD)
    for context in (server, client):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        context.use_certificate(certificate.sign(key, hashes.SHA256()))
        context.use_privatekey(key)
    server.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    client.set_tmp_ecdh(ec.SECP256R1())
    used_s = 0.0
    for _ in range(count):
        ends = SSL.Connection(server, None), SSL.Connection(client, None)
        ends[0].set_accept_state()
        ends[1].set_connect_state()
        for turn in (1, 0, 1, 0):
            began = time.process_time()
            with contextlib.suppress(SSL.WantReadError):
                ends[turn].do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                while data := ends[turn].bio_read(4096):
                    ends[1 - turn].bio_write(data)
            used_s += (time.process_time() - began) * (1 - turn)
    return used_s / count * 1e3


def verb(control: str, *words: str) -> Any:
    """Run a command of mocknode and return its JSON answer."""
    done = subprocess.run(
        [*MOCKNODE, *words, "--control", control, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def connections(control: str) -> dict[str, int]:
    """Return the open connections at the Tentacle port of each node that answers."""
    nodes = verb(control, "status")
    return {n["name"]: n["counters"]["tentacles"]["connections"] for n in nodes if n["counters"]}


def wait_for(what: str, done: Any, limit_s: float) -> float:
    """Wait until the condition holds and return the seconds that took."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > limit_s:
            raise SystemExit(f"{what}: not within {limit_s:g} s")
        time.sleep(0.25)
    return time.monotonic() - began


def haproxies(directory: Path, kind: str, nodes: list[dict[str, Any]], count: int) -> tuple[list[Path], list[str]]:
    """Write the configuration of each HAProxy process; return the files and the addresses that Tentacles poll."""
    behind = [f"{n['tentacle']['host']}:{n['tentacle']['port']}" for n in nodes]
    if kind == "none":
        return [], behind
    fronts = [f"{HOST}:{free_port()}" for _ in nodes]
    listeners = [
        f"listen {n['name']}\n  bind {front}\n  server {n['name']} {address}"
        for n, front, address in zip(nodes, fronts, behind, strict=True)
    ]
    groups = [listeners] if kind == "one" else [[listener] for listener in listeners]
    files = []
    for number, group in enumerate(groups):
        file = directory / f"haproxy-{number}.cfg"
        file.write_text(BALANCER.format(maxconn=count * len(group) + 100, listeners="\n".join(group)))
        files.append(file)
    return files, fronts


def run(arguments: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Run the whole measurement."""
    count, nodes = arguments.count, arguments.nodes
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(cluster(nodes, "--null-message", arguments.interval))
        control = str(up.document["control"])
        files, addresses = haproxies(directory, arguments.balancer, up.document["nodes"], count)
        bare = bare_handshake_ms()
        haproxy = balancers.find("haproxy") if files else None
        fronts = [
            stack.enter_context(process([str(haproxy.path), "-f", str(file), "-db"], stderr=subprocess.DEVNULL))
            for file in files
            if haproxy is not None
        ]
        before = {n["name"]: (n["pid"], cpu_seconds(n["pid"]), rss(n["pid"])) for n in verb(control, "status")}
        fleet = [*MOCKNODE, "tentacles", "--control", control, "--count", str(count), "--to", ",".join(addresses)]
        fleet += ["--json", "--interval", arguments.interval, "--identities", str(arguments.identities)]
        tentacles = stack.enter_context(process(fleet, start_new_session=True))
        all_there = dict.fromkeys(before, count)
        # The first run makes the Tentacles' certificates; later runs find them in --identities.
        wait_for("registration", lambda: any(connections(control).values()), START_S + count / 10)
        took = wait_for("all connected", lambda: connections(control) == all_there, START_S + count * nodes / 50)
        result: dict[str, Any] = {
            "haproxy": haproxy.version if haproxy is not None else None,
            "bare_handshake_cpu_ms": bare,
            "all_connected_s": took,
            "node_cpu_ms": [(cpu_seconds(pid) - cpu) / count * 1e3 for pid, cpu, _ in before.values()],
            "node_rss_kib": [(rss(pid) - resident) / count / 1024 for pid, _, resident in before.values()],
            "balancer_rss_kib": [rss(child.pid) / (count * nodes / len(fronts)) / 1024 for child in fronts],
        }
        time.sleep(arguments.hold)
        result["held"] = connections(control) == all_there
        if arguments.crash:
            verb(control, "offline", "node-2", "--how", "crash")
            time.sleep(arguments.down)
            verb(control, "online", "node-2")
            result["back_s"] = wait_for("all back", lambda: connections(control) == all_there, 300)
            time.sleep(arguments.hold_after)
        tentacles.send_signal(signal.SIGINT)
        out, _ = tentacles.communicate(timeout=60)
        result["fleet"] = json.loads(out)
        return result


def table(result: dict[str, Any], arguments: argparse.Namespace) -> str:
    """Return the ratio and the table as Markdown."""
    count, nodes, fleet = arguments.count, arguments.nodes, result["fleet"]
    cpu, bare = statistics.median(result["node_cpu_ms"]), result["bare_handshake_cpu_ms"]
    between = {
        "none": "directly to the nodes",
        "one": f"through one HAProxy {result['haproxy']} with one listen port for each node",
        "each": f"through one process of HAProxy {result['haproxy']} for each node",
    }[arguments.balancer]
    on_time = [node["on_time"] for node in fleet["nodes"]]
    silence = max(node["longest_silence_s"] for node in fleet["nodes"])
    crash = f"; then node-2 killed and brought back after {format_duration(arguments.down)}" if arguments.crash else ""
    rows = [
        (f"all {count * nodes:,} connected after", format_duration(result["all_connected_s"])),
        ("all still connected after the hold", "yes" if result["held"] else "**no**"),
        ("Tentacles that polled every node in time", f"{min(on_time):,} of {count:,}; longest wait {silence:.1f} s"),
        ("resident memory of a node for each connection", f"{statistics.median(result['node_rss_kib']):.0f} KiB"),
        ("processor time of a node to establish a connection", f"{cpu:.1f} ms; a bare OpenSSL handshake {bare:.1f} ms"),
    ]
    if result["balancer_rss_kib"]:
        memory = statistics.median(result["balancer_rss_kib"])
        rows.append(("resident memory of HAProxy for each connection", f"{memory:.1f} KiB"))
    if arguments.crash:
        cut = sum(node["cut"] for number, node in enumerate(fleet["nodes"], 1) if number != 2)
        rows.append(
            ("all Tentacles of the killed node back, after it was online again", format_duration(result["back_s"]))
        )
        rows.append(("connections to the other nodes cut meanwhile", f"{cut:,}"))
    lines = [
        f"- processor time of a node to establish a connection / of a bare OpenSSL handshake: **{cpu / bare:.2f}**",
        "",
        f"{count:,} simulated Tentacles, each polling {nodes} nodes ({count * nodes:,} connections, TLS 1.3, RSA 2048 on both sides), "
        f"{between}; null message every {arguments.interval}{crash}:",
        "",
        "| what | result |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {what} | {found} |" for what, found in rows)])


def measure(words: Sequence[str]) -> str:
    """Measure and return the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--balancer", choices=("none", "one", "each"), default="one")
    parser.add_argument("--interval", default="30s", help="null message")
    parser.add_argument("--hold", type=float, default=35.0, help="seconds to hold all connections")
    parser.add_argument("--hold-after", type=float, default=35.0, help="and once more after the crash")
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--down", type=float, default=5.0, help="seconds that the node is away")
    parser.add_argument("--identities", type=Path, default=Path(tempfile.gettempdir()) / "mocknode-bench-identities")
    parser.add_argument("--json", action="store_true", help="print all results as JSON instead")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="mocknode-bench-") as directory:
        result = run(arguments, Path(directory))
    return json.dumps(result, indent=2) if arguments.json else table(result, arguments)


if __name__ == "__main__":
    script(measure)
