"""The flags of `up` that say what kind of server the nodes are, from the command line to the wire."""

import subprocess
import sys
import urllib.error
import urllib.request

import pytest


def get(up, node, path, **headers):
    request = urllib.request.Request(up.http(node) + path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def test_flags_reach_every_node_and_outlive_its_process(start):
    up = start(
        "--nodes", "2", "--octopus-version", "2026.1.1", "--octopus-version", "node-2=2026.2.2",
        "--anonymous-rate", "60:3", "--trusted-proxy", "127.0.0.0/8", "--external-url", "https://octopus.corp.test",
        "--max-body", "1KiB", "--task-cap", "7",
    )  # fmt: skip
    up.talk(lambda client: client.set_state("node-2", "offline", "crash"))
    up.talk(lambda client: client.set_state("node-2", "online"))
    for node, version in (("node-1", "2026.1.1"), ("node-2", "2026.2.2")):
        status, headers, body = get(up, node, "/api", X_Forwarded_For="198.51.100.1")
        assert (status, f'"Version":"{version}"' in body) == (200, True)
        assert headers["Octopus-RateLimit-Policy"] == "l=3;rpm=60"
        assert '"MaxConcurrentTasks":7' in get(up, node, "/api/octopusservernodes/ping")[2]
        discovery = get(up, node, "/.well-known/openid-configuration", X_Forwarded_For="198.51.100.2")[2]
        assert '"https://octopus.corp.test/api/token/v1"' in discovery


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--rate", "fast"], "rate: got 'fast', allowed: REQUESTS-A-MINUTE"),
        (["--external-url", "octopus"], "external URL: got 'octopus', allowed: http(s)://host"),
        (["--trusted-proxy", "10.0.0.0/99"], "trusted proxy: got '10.0.0.0/99'"),
        (["--force-ssl", "304"], "'304' is not one of"),
        (
            ["--force-ssl", "303"],
            "--force-ssl: node-1 has no HTTPS to send clients to; give --https-port or --external-url",
        ),
        (["--max-body", "big"], "'big' is not a size"),
        (["--octopus-version", "node-9=1"], "--octopus-version: got node-9=1, allowed: VERSION or NODE=VERSION"),
        (["--octopus-version", "node-1="], "--octopus-version: got node-1="),
        (["--heartbeat", "400s"], "--offline-after: got 300 s, allowed: more than --heartbeat"),
        (["--task-cancel-after", "30s"], "--task-cancel-after: got 30 s, allowed: more than --heartbeat"),
    ],
)
def test_a_flag_that_cannot_be_is_a_usage_error(tmp_path, flags, says):
    command = [sys.executable, "-m", "mocknode", "up", "--run-dir", str(tmp_path / "run"), "--http-port", "0", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, says in ended.stderr) == (2, True), ended.stderr
    assert ended.stdout == ""
