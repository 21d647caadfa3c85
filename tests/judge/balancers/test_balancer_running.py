import asyncio
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mocknode.judge.balancers import (
    KINDS,
    MODES,
    BalancerReloadError,
    BalancerStartError,
    Binary,
    Front,
    Node,
    Running,
    fails_over,
    print_config,
    render,
)
from mocknode.judge.balancers.registry import ADAPTERS

EVERY = [(kind, mode) for kind in KINDS for mode in MODES(kind)]
pytestmark = pytest.mark.balancer


def left_in(directory: Path) -> list[str]:
    """Processes that still live in a balancer's directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == directory.resolve():
                    found.append((entry / "cmdline").read_text())
            except OSError:
                continue
    return found


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


async def negotiated(front: Front, certificate: Any) -> str | None:
    assert front.https_port is not None
    _, writer = await asyncio.open_connection(
        "127.0.0.1", front.https_port, ssl=certificate.context("h2", "http/1.1"), server_hostname="localhost"
    )
    chosen: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.transport.abort()
    return chosen


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_starts_routes_reloads_and_leaves_nothing(kind: str, mode: str, certificate: Any, bench: Any) -> None:
    async def run() -> Running:
        front = certificate.front()
        async with bench.node("node-1").listening() as one, bench.node("node-2").listening() as two:
            running = await bench.launch(kind, mode, front, [one, two])
            try:
                await bench.from_a_node(front.http_port)
                await bench.from_a_node(front.https_port, tls=certificate.context("http/1.1"))
                assert await negotiated(front, certificate) == "h2"
                await running.reload()
                await bench.from_a_node(front.http_port)
                assert running.returncode is None
            finally:
                await running.stop()
        assert await refused(front.http_port)
        return running

    running = asyncio.run(run())
    assert (running.kind, running.mode) == (kind, mode)
    assert all(path.is_file() for path in running.config_files)
    assert left_in(running.directory) == []
    if kind == "envoy":
        # By its own number: another Envoy of this machine may come and go meanwhile.
        base_id = int((running.directory / "base-id").read_text())
        assert not Path(f"/dev/shm/envoy_shared_memory_{base_id * 10}").exists()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ADAPTERS[kind].check_argv is not None])
def test_accepts_its_own_configurations(kind: str, certificate: Any, find_once: Any, tmp_path: Path) -> None:
    adapter, program = ADAPTERS[kind], find_once(kind)
    nodes = [Node(name="node-1", host="127.0.0.1", port=1), Node(name="node-2", host="::1", port=2)]
    second = [Node(name="standby-1", host="127.0.0.1", port=3), Node(name="standby-2", host="::1", port=4)]
    for mode in MODES(kind):
        for shipped_interval, standby in (
            (False, ()),
            (True, ()),
            *([(False, second)] if fails_over(kind, mode) else []),
        ):
            directory = tmp_path / f"{mode}-{shipped_interval}-{len(standby)}"
            directory.mkdir()
            files = render(
                kind,
                mode,
                certificate.front(),
                nodes,
                directory,
                version=program.version,
                shipped_interval=shipped_interval,
                standby=standby,
            )
            for name, text in files.items():
                (directory / name).write_text(text)
            (directory / "front.pem").write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
            checked(adapter.check_argv or (), program, directory)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ADAPTERS[kind].check_argv is not None])
def test_accepts_what_is_printed_to_paste(kind: str, certificate: Any, find_once: Any, tmp_path: Path) -> None:
    adapter, program = ADAPTERS[kind], find_once(kind)
    (tmp_path / "both.pem").write_bytes(certificate.certificate.read_bytes() + certificate.key.read_bytes())
    key = tmp_path / "both.pem" if adapter.joined_certificate else certificate.key
    pem = tmp_path / "both.pem" if adapter.joined_certificate else certificate.certificate
    # What only the machine of the user has: certificates, users, folders.
    here = {adapter.certificate: str(pem), adapter.key: str(key)}
    absent = ("user ", "    user ", "    group ", "error_log ")
    for mode in MODES(kind):
        text = print_config(kind, mode, [Node(name="n1", host="localhost", port=8080)], "octopus.corp.test")
        for production, ours in here.items():
            text = text.replace(production, ours)
        kept = [line for line in text.split("# --- /var")[0].splitlines() if not line.startswith(absent)]
        (tmp_path / adapter.main).write_text("\n".join(kept) + "\n")
        checked(adapter.check_argv or (), program, tmp_path)


def checked(arguments: tuple[str, ...], program: Binary, directory: Path) -> None:
    environment = {**os.environ, **ADAPTERS[program.kind].environment(directory)}
    done = subprocess.run(
        [program.path, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_configuration_shows_the_command_and_the_log(kind: str, bench: Any) -> None:
    broken = (
        "entryPoints: {web: {address: '${FRONT}'}}\nbogus: [\n---\nhttp: {}\n"
        if kind == "traefik"
        else "{\n  bogus ${FRONT}\n}\n"
    )

    async def run() -> str:
        front = bench.front()
        with pytest.raises(BalancerStartError) as caught:
            await bench.launch(kind, "recommended", front, [bench.node("node-1", port=1)], broken)
        return str(caught.value)

    message = asyncio.run(run())
    assert f"{kind}.log" in message
    assert "ended with code" in message
    assert len(message.splitlines()) > 3, "the tail of the log is missing"


def test_a_port_in_use_is_named(bench: Any) -> None:
    async def run() -> None:
        async with bench.node("other").listening() as other:
            front = Front(host="127.0.0.1", http_port=other.port)
            with pytest.raises(BalancerStartError, match=f"127.0.0.1:{other.port}: something else listens"):
                await bench.launch("haproxy", "stock", front, [other])

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["haproxy", "envoy"])
def test_a_node_that_drains_before_the_start_gets_no_request(kind: str, bench: Any) -> None:
    async def run() -> list[tuple[str, dict[str, str]]]:
        front = bench.front()
        async with bench.node("node-1").listening() as one, bench.node("node-2", ping=418).listening() as two:
            running = await bench.launch(kind, "recommended", front, [one, two])
            try:
                await bench.from_a_node(front.http_port)
                for _ in range(60):
                    await bench.ask(front.http_port)
                    await asyncio.sleep(0.01)
            finally:
                await running.stop()
            return two.requests

    assert asyncio.run(run()) == []


@pytest.mark.parametrize("kind", ["haproxy", "envoy", "nginx"])
def test_several_of_one_kind_run_side_by_side(kind: str, bench: Any) -> None:
    async def run() -> None:
        fronts = [Front(host="127.0.0.1", http_port=port) for port in bench.free_ports(3)]
        async with bench.node("node-1").listening() as one:
            started = await asyncio.gather(
                *(bench.launch(kind, "recommended", front, [one], name=f"run-{n}") for n, front in enumerate(fronts))
            )
            try:
                await asyncio.gather(*(bench.from_a_node(front.http_port) for front in fronts))
            finally:
                await asyncio.gather(*(running.stop() for running in started))

    asyncio.run(run())


def test_a_stock_nginx_refuses_a_large_body_and_can_store_a_smaller_one(bench: Any) -> None:
    async def run() -> tuple[int, int]:
        front = bench.front()
        async with bench.node("node-1").listening() as one:
            running = await bench.launch("nginx", "stock", front, [one])
            try:
                # Nobody else lists it; the workers of root's balancer may be another user, who goes through it.
                assert running.directory.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
                stored = await bench.ask(
                    front.http_port, body=b"x" * 500_000
                )  # beyond its memory buffer, below its limit
                return stored.status, (await bench.ask(front.http_port, body=b"x" * 1_100_000)).status
            finally:
                await running.stop()

    assert asyncio.run(run()) == (200, 413)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recommended_balancer_says_who_came_and_overwrites_what_the_client_claims(
    kind: str, certificate: Any, bench: Any
) -> None:
    claims = dict.fromkeys(
        ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Original-Host"), "203.0.113.9"
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in claims.items())

    async def run() -> dict[str, str]:
        front = certificate.front()
        async with bench.node("node-1").listening() as one:
            running = await bench.launch(kind, "recommended", front, [one])
            try:
                await bench.from_a_node(front.http_port)
                request = f"GET /claims HTTP/1.1\r\nHost: octopus.test\r\n{head}Connection: close\r\n\r\n"
                await bench.ask(front.https_port or 0, request.encode(), tls=certificate.context("http/1.1"))
            finally:
                await running.stop()
            return next(headers for target, headers in one.requests if target == "/claims")

    seen = asyncio.run(run())
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-host"] == seen["host"] == "octopus.test"
    assert "203.0.113.9" not in seen.values()


def test_a_users_own_configuration_runs(bench: Any) -> None:
    template = """
        daemon off;
        events { }
        http {
          log_format own '$remote_addr ${request_uri}';
          access_log ${DIRECTORY}/own.log own;
          server { listen ${FRONT}; location / { proxy_pass http://${NODE_1_HTTP}; } }
        }
        pid ${DIRECTORY}/nginx.pid;
    """

    async def run() -> tuple[str | None, str]:
        front = bench.front()
        async with bench.node("node-1").listening() as one:
            running = await bench.launch("nginx", "stock", front, [one], template)
            try:
                reply = await bench.from_a_node(front.http_port)
            finally:
                await running.stop()
            # nginx logs after it has answered: only once it has ended must the line be there.
            return reply.header("octopus-node"), (running.directory / "own.log").read_text()

    node, log = asyncio.run(run())
    assert node == "node-1"
    assert "127.0.0.1 /" in log


@pytest.mark.parametrize("kind", ["nginx", "haproxy", "caddy"])
def test_a_reload_of_a_broken_configuration_is_an_error(kind: str, bench: Any) -> None:
    async def run() -> None:
        front = bench.front()
        async with bench.node("node-1").listening() as one:
            running = await bench.launch(kind, "recommended", front, [one])
            try:
                (running.directory / ADAPTERS[kind].main).write_text("{\n  bogus\n}\n")
                with pytest.raises(BalancerReloadError, match="did not reload its configuration"):
                    await running.reload()
            finally:
                await running.stop()

    asyncio.run(run())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ADAPTERS[kind].reload_signal is not None])
def test_what_is_said_of_a_start_is_not_taken_for_a_reload(kind: str, bench: Any) -> None:
    # A start's last words come after its ports accept: after a reload that was asked for in between they stand first.
    async def run() -> Running:
        async with bench.node("node-1").listening() as one:
            running = await bench.launch(kind, "recommended", bench.front(), [one])
            await running.stop()
            return running

    said = asyncio.run(run()).log.read_text()
    reloaded = ADAPTERS[kind].reloaded
    assert reloaded is not None
    assert re.search(reloaded, said) is None


def test_workers_die_with_their_master(bench: Any) -> None:
    async def run() -> Path:
        front = bench.front()
        async with bench.node("node-1").listening() as one:
            running = await bench.launch("nginx", "recommended", front, [one])
            assert len(left_in(running.directory)) > 1
            os.kill(running.pid, signal.SIGKILL)
            await running.stop()
            return running.directory

    assert left_in(asyncio.run(run())) == []
