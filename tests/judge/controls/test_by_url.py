"""Balancers that run already: the same findings as where we start them, and a proxy that is broken as no product is."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx
import pytest

from mocknode.judge import balancers
from mocknode.mock.cluster import ports
from mocknode.mock.cluster.client import ControlClient
from tests.judge.controls.broken_proxy import Fault, broken_proxy
from tests.judge.controls.control_runs import Found, check, edited
from tests.up_process import up

# The shipped interval of 2 s makes a run of two minutes.
OFTEN = (" check\n", " check inter 500ms\n")

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(320)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Three nodes, as `mocknode up --json` describes them."""
    with up(tmp_path, "--nodes", "3", "--tentacle-port", "0") as document:
        yield document


def free_ports(count: int) -> list[int]:
    return ports.free("--lb", "127.0.0.1", [f"front {n}" for n in range(count)])


@contextlib.contextmanager
def haproxy_as_shipped(
    cluster: dict[str, Any], directory: Path, tentacles: dict[str, int] | None = None
) -> Iterator[str]:
    """HAProxy as a person starts it, with these ports for Tentacles, by node; gives its URL."""
    (port,) = free_ports(1)
    front = balancers.Front(host="127.0.0.1", http_port=port, tentacle_ports=tentacles or {})
    nodes = [
        balancers.Node(
            name=node["name"],
            host="127.0.0.1",
            port=urlsplit(node["http"]).port or 0,
            tentacle=balancers.Polled(host="127.0.0.1", port=node["tentacle"]["port"]),
        )
        for node in cluster["nodes"]
    ]
    binary = balancers.find("haproxy")
    directory.mkdir()
    for name, text in balancers.render("haproxy", "stock", front, nodes, directory, version=binary.version).items():
        (directory / name).write_text(text.replace(*OFTEN))
    with (directory / "log").open("w") as log:
        command = [str(binary.path), "-db", "-f", "haproxy.cfg"]
        with subprocess.Popen(command, cwd=directory, stdout=log, stderr=log) as process:
            try:
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def test_a_configuration_without_https_is_judged_by_http_alone(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text("""
        defaults
          mode http
          timeout connect 5s
          timeout client 50s
          timeout server 50s
        frontend web
          bind ${FRONT}
          default_backend octopus
        backend octopus
          server n1 ${NODE_1_HTTP}
          server n2 ${NODE_2_HTTP}
          server n3 ${NODE_3_HTTP}

""")
    found = check(["--with", "haproxy", "--config", "my.cfg", "--only", "UP-02,PR-01"], tmp_path)
    assert causes(found) == {"PR-01": ("fail", "forwarded-proto-missing")}
    (pr_01,) = (c for c in found.document["checks"] if c["id"] == "PR-01")
    assert {variant["name"].split("-")[0] for variant in pr_01["variants"]} == {"http"}


REDIRECTED = """
    # ${FRONT_TENTACLE_1} comes later
    defaults
      mode http
      timeout connect 5s
      timeout client 50s
      timeout server 50s
    frontend http-in
      bind *:${FRONT_PORT}
      http-request redirect scheme https code 301
    frontend https-in
      bind *:${FRONT_HTTPS_PORT} ssl crt ${CERTIFICATE} alpn h2,http/1.1
      option forwardfor
      http-request deny deny_status 404 unless { hdr(host) -i octopus.corp.test }
      default_backend octopus
    frontend stats
      bind *:${FREE_PORT_1}
      stats enable
    backend octopus
      server n1 ${NODE_1_HTTP}
      server n2 ${NODE_2_HTTP}
      server n3 ${NODE_3_HTTP}

"""
HTTPS_ALONE = REDIRECTED.replace("bind *:${FRONT_PORT}", "bind *:${FREE_PORT_2}")


TRAEFIK = """
entryPoints:
  web: { address: ":${FRONT_PORT}", http: { redirections: { entryPoint: { to: websecure, scheme: https } } } }
  websecure: { address: ":${FRONT_HTTPS_PORT}", forwardedHeaders: { insecure: true } }
providers: { file: { filename: dynamic.yml } }
--- # it answers 404 until it has read this
http:
  routers: { octopus: { entryPoints: [websecure], rule: "Host(`octopus.corp.test`)", service: octopus, middlewares: [no], tls: {} } }
  middlewares: { no: { headers: { customRequestHeaders: { X-Forwarded-Proto: "" } } } }
  services:
    octopus: { loadBalancer: { servers: [{ url: "http://${NODE_1_HTTP}" }, { url: "http://${NODE_2_HTTP}" }, { url: "http://${NODE_3_HTTP}" }] } }
tls: { certificates: [{ certFile: "${CERTIFICATE}", keyFile: "${KEY}" }] }
"""


@pytest.mark.parametrize(
    ("kind", "text"),
    [("haproxy", REDIRECTED), ("haproxy", HTTPS_ALONE), ("traefik", TRAEFIK)],
    ids=["redirected", "https-alone", "known-later"],
)
def test_a_configuration_for_https_and_one_name_is_judged_as_its_users_come(
    kind: str, text: str, tmp_path: Path
) -> None:
    """The check uses HTTPS and that name; the configuration has the line ends and the mark of Windows."""
    (tmp_path / "my.cfg").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    named = ["--host", "octopus.corp.test"]
    found = check(["--with", kind, "--config", "my.cfg", *named, "--only", "UP-02,PR-01"], tmp_path)
    assert causes(found) == {"PR-01": ("fail", "forwarded-proto-missing")}
    (pr_01,) = (c for c in found.document["checks"] if c["id"] == "PR-01")
    assert {variant["name"].split("-")[0] for variant in pr_01["variants"]} == {"https"}
    assert found.document["balancer"]["url"].startswith("https://")


def causes(found: Found) -> dict[str, tuple[str, str | None]]:
    return {id_: finding[:2] for id_, finding in found.findings.items()}


def test_a_url_alone_gives_the_causes_that_starting_it_gives(cluster: dict[str, Any], tmp_path: Path) -> None:
    only = ["--only", "HC-02,UP-02,PR-01"]
    (tmp_path / "with").mkdir()
    (tmp_path / "with" / "config").write_text(edited("haproxy", (OFTEN,), "stock"))
    with haproxy_as_shipped(cluster, tmp_path / "haproxy") as url, ThreadPoolExecutor() as side_by_side:
        ours = side_by_side.submit(check, ["--with", "haproxy", "--config", "config", *only], tmp_path / "with")
        met = check(["--lb", url, "--control", cluster["control"], *only], tmp_path)
        started = ours.result()
    assert causes(met) == {"HC-02": ("fail", "accepts-redirect"), "PR-01": ("fail", "forwarded-proto-missing")}
    assert causes(met) == causes(started)
    assert (met.document["balancer"]["kind"], met.document["balancer"]["detected"]) == ("haproxy", True)
    assert {fix["balancer"] for c in met.document["checks"] for fix in c["fixes"]} == {"haproxy"}


def test_one_run_after_another_finds_the_same_and_two_at_once_are_refused(
    cluster: dict[str, Any], tmp_path: Path
) -> None:
    with haproxy_as_shipped(cluster, tmp_path / "haproxy") as url:
        arguments = ["--lb", url, "--control", cluster["control"], "--only", "RT-01"]
        address, key = cluster["nodes"][1]["http"], {"X-Octopus-ApiKey": cluster["api_key"]}
        httpx.post(f"{address}/api/packages/raw", headers=key, files={"file": ("Theirs.1.0.0.zip", b"zip")})
        # The second finds the journals of the first.
        assert [check(arguments, tmp_path).findings for _ in range(2)] == [{}, {}]
        left = httpx.get(f"{address}/api/packages", headers=key).json()["Items"]
        assert [item["PackageId"] for item in left] == ["Theirs"]

        async def while_held() -> str:
            async with ControlClient(cluster["control"]) as control, control.hold("somebody else"):
                command = [sys.executable, "-m", "mocknode", "check", *arguments]
                second = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
                _, said = await second.communicate()
                assert second.returncode == 3
                return said.decode()

        assert "the cluster is held by somebody else" in asyncio.run(while_held())


def test_tentacles_are_judged_where_their_addresses_are_given(cluster: dict[str, Any], tmp_path: Path) -> None:
    names = [node["name"] for node in cluster["nodes"]]
    own = dict(zip(names, free_ports(len(names)), strict=True))
    with haproxy_as_shipped(cluster, tmp_path / "haproxy", own) as url:
        arguments = ["--lb", url, "--control", cluster["control"], "--only", "TL-01,TL-02"]
        right = [f"{name}=127.0.0.1:{port}" for name, port in own.items()]
        found = check([*arguments, "--tentacle", ",".join(right)], tmp_path)
        assert found.findings == {}
        assert [c["outcome"] for c in found.document["checks"]] == ["pass", "pass"]
        # Two addresses changed places, in the balancer file this time.
        first, second, *rest = own.values()
        swapped = {name: f"127.0.0.1:{port}" for name, port in zip(names, (second, first, *rest), strict=True)}
        declared = {"mocknode-balancer": 1, "url": url, "tentacles": swapped}
        (tmp_path / "declared.yaml").write_text(json.dumps(declared))
        met = check([*arguments[2:], "--balancer-file", "declared.yaml"], tmp_path)
        assert met.document["balancer"]["mode"] is None
        assert causes(met) == {"TL-02": ("fail", "address-leads-elsewhere")}


def test_one_node_alone_is_refused_where_nodes_are_taken_away(tmp_path: Path) -> None:
    """A balancer that has nowhere to go was said to keep a drained node in rotation."""
    with up(tmp_path, "--nodes", "1") as document, haproxy_as_shipped(document, tmp_path / "haproxy") as url:
        arguments = ["--lb", url, "--control", document["control"]]
        command = [sys.executable, "-m", "mocknode", "check", *arguments, "--only", "HC-02,UP-02"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert (done.returncode, done.stdout) == (3, "")
        assert (
            "the cluster has one node, and these checks take a node away and need a second one: HC-02; start two or more"
            in done.stderr
        )
        assert check([*arguments, "--only", "UP-02,PR-05"], tmp_path).findings == {}


def test_nobody_listens(cluster: dict[str, Any], tmp_path: Path) -> None:
    async def probed() -> None:
        # Somebody probes these nodes, so the run believes that its balancer is there and begins with idling.
        async with httpx.AsyncClient(trust_env=False) as prober:
            await prober.get(cluster["nodes"][0]["http"] + "/api/octopusservernodes/ping")

    asyncio.run(probed())
    command = [sys.executable, "-m", "mocknode", "check", "--lb", "http://127.0.0.1:1", "--control", cluster["control"]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 3
    assert "nothing answers at http://127.0.0.1:1" in done.stderr
    assert "idle first" not in done.stderr


@pytest.mark.parametrize("fault", get_args(Fault))
def test_a_proxy_that_mishandles_chunks(fault: Fault, cluster: dict[str, Any], tmp_path: Path) -> None:
    async def judged() -> Found:
        async with broken_proxy([node["http"] for node in cluster["nodes"]], fault) as url:
            arguments = ["--lb", url, "--control", cluster["control"], "--only", "UP-02,UP-08,PR-05"]
            return await asyncio.to_thread(check, arguments, tmp_path)

    cause = {"completes-what-broke-off": "truncated-body-completed", "loses-a-chunk": "chunked-not-forwarded"}[fault]
    assert causes(asyncio.run(judged())) == {"UP-08": ("fail", cause)}
