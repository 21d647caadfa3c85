"""Every claim has a configuration that must fail it, and fails exactly it: the recommended one with one line edited."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.judge.controls.control_runs import check, configuration, edited

pytestmark = pytest.mark.balancer

Edit = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One fault.

    Attributes:
        only: The check it must fail, and its neighbours, which it must not.
        fails: Check id to (outcome, cause).
        consequences: Check id to the root that it has to name; these fail as well.
    """

    name: str
    kind: str
    edits: tuple[Edit, ...]
    only: str
    fails: dict[str, tuple[str, str]]
    consequences: dict[str, str] | None = None
    declared: str | None = None


PROBE = "http-check send meth GET uri /api/octopusservernodes/ping"
EXPECT = "    http-check expect status 200  # HC-02: 418 (draining) and everything else is out\n"
STATUS_200 = "http-check expect status 200 "
BLIND = {"HC-02": "HC-01", "HC-03": "HC-01", "DR-02": "HC-01", "DR-04": "HC-01"}
FORWARDED = (
    "    http-request set-header X-Forwarded-For %[src]\n",
    "    http-request set-header X-Forwarded-Host %[req.hdr(Host)]\n",
    "    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n",
    "    http-request set-header X-Forwarded-Proto http unless { ssl_fc }\n",
    "    http-request del-header Forwarded\n",
    "    http-request del-header x-original- -m beg\n",
    "    http-request del-header X-Forwarded-Prefix\n",
)
ENVOYS_PING = """          http_health_check:
            path: /api/octopusservernodes/ping
            host: octopus.test          # HC-01: the default Host is the cluster's name
            expected_statuses: [ { start: 200, end: 201 } ]   # HC-02
"""

CONTROLS = (
    Control(
        name="redirects-are-healthy",
        kind="haproxy",
        edits=((EXPECT, ""),),
        only="HC-01,HC-02,HC-03,DR-01,DR-02,DR-04,DR-05",
        fails={"HC-02": ("fail", "accepts-redirect")},
    ),
    Control(
        name="asks-with-a-method-that-has-no-status",
        kind="haproxy",
        # The ping has no OPTIONS; whoever makes its 405 the expected answer has a check that is always green.
        edits=(
            ("http-check send meth GET ", "http-check send meth OPTIONS "),
            (STATUS_200, "http-check expect status 405 "),
        ),
        only="HC-01,HC-02,HC-03,DR-02,DR-04",
        fails={"HC-01": ("fail", "probe-method-blind")},
        consequences=BLIND,
    ),
    Control(
        name="believes-in-every-node-at-its-start",
        kind="haproxy",
        # HAProxy before 3.1 without its state file. Its first checks are spread over the shortest interval: of the second of three
        # servers after a third of it, which with 500 ms is hardly later than the tenth of a second that HC-06 forgives.
        edits=(("inter 1s fastinter 500ms ", "inter 2s fastinter 2s "),),
        only="HC-01,HC-06",
        fails={"HC-06": ("advice", "traffic-before-first-verdict")},
    ),
    Control(
        name="balances-connections",
        kind="haproxy",
        edits=(("    mode http\n", "    mode tcp\n"), *((line, "") for line in FORWARDED)),
        only="HC-01,DR-01,DR-02,DR-04",
        fails={"DR-02": ("fail", "kept-alive-pinned")},
    ),
    Control(
        name="cuts-sessions-of-a-node-that-leaves",
        kind="haproxy",
        edits=(("default-server check ", "default-server check on-marked-down shutdown-sessions "),),
        only="HC-01,HC-02,DR-01,DR-02,DR-04,DR-05",
        fails={"DR-01": ("fail", "drain-cuts-upload")},
    ),
    Control(
        name="panic-mode",
        kind="envoy",
        edits=(("healthy_panic_threshold: { value: 0 } ", "healthy_panic_threshold: { value: 50 } "),),
        only="HC-01,HC-02,HC-03,DR-01,DR-02,DR-04",
        fails={"DR-04": ("fail", "panic-mode")},
    ),
    Control(
        name="policy-is-not-the-declared-one",
        kind="haproxy",
        edits=(),
        declared="mocknode-balancer: 1\nall-drained: open\n",
        only="HC-01,DR-01,DR-02,DR-04,DR-05",
        fails={"DR-05": ("fail", "all-drained-policy-differs")},
    ),
    Control(
        name="silence-when-all-are-drained",
        kind="haproxy",
        edits=(
            (
                "    default_backend octopus\n",
                "    http-request tarpit if { nbsrv(octopus) eq 0 }\n    default_backend octopus\n",
            ),
            ("    timeout connect 3s\n", "    timeout connect 3s\n    timeout tarpit 20s\n"),
        ),
        only="HC-01,DR-02,DR-04,DR-05",
        fails={"DR-05": ("fail", "all-drained-no-answer")},
    ),
    Control(
        name="a-sorry-page-with-200",
        kind="haproxy",
        edits=(
            (
                "    default_backend octopus\n",
                "    http-request return status 200 content-type text/plain string sorry if { nbsrv(octopus) eq 0 }\n"
                "    default_backend octopus\n",
            ),
        ),
        only="HC-01,DR-04,DR-05",
        fails={"DR-05": ("fail", "own-answer-is-success")},
    ),
    Control(
        name="a-server-that-is-no-node",
        kind="haproxy",
        edits=(
            (
                "\nbackend octopus\n",
                "\nlisten strange\n    bind 127.0.0.1:${FREE_PORT_1}\n    http-request return status 200 content-type text/plain string hello\n"
                "backend octopus\n    server strange 127.0.0.1:${FREE_PORT_1}\n",
            ),
        ),
        only="PR-01,PR-05",
        fails={"PR-05": ("fail", "foreign-server")},
    ),
    Control(
        name="a-check-that-every-node-refuses",
        kind="haproxy",
        # `option httpchk` and nothing else, where only 200 counts: no node is ever in rotation.
        edits=(("http-check send meth GET uri /api/octopusservernodes/ping ", "http-check send meth OPTIONS uri / "),),
        only="HC-01,UP-02",
        fails={"HC-01": ("fail", "probe-method-blind")},
    ),
    Control(
        name="a-check-that-names-no-host",
        kind="haproxy",
        edits=((" hdr Host ", " hdr X-Host "),),
        only="HC-01,UP-02",
        fails={"HC-01": ("fail", "probe-without-host")},
    ),
    Control(
        name="body-limit",
        kind="nginx",
        edits=(("client_max_body_size 0; ", "client_max_body_size 100m; "),),
        only="UP-01,UP-02,UP-08,PR-01,PR-05",
        fails={"UP-01": ("fail", "body-size-limit")},
    ),
    Control(
        name="stores-uploads-first",
        kind="nginx",
        edits=(("proxy_request_buffering off; ", "proxy_request_buffering on; "),),
        only="UP-02,UP-03,UP-08,PR-01,PR-05",
        fails={"UP-02": ("advice", "request-buffering")},
    ),
    Control(
        name="idle-limit-of-ten-seconds",
        kind="haproxy",
        edits=(("timeout client 15m ", "timeout client 10s "),),
        only="UP-02,UP-03,UP-08,PR-01",
        fails={"UP-03": ("fail", "upload-idle-limit")},
    ),
    Control(
        name="total-limit-of-ten-seconds",
        kind="traefik",
        edits=(("readTimeout: 0s", "readTimeout: 10s"),),
        only="UP-02,UP-03,UP-04,UP-08,PR-01",
        fails={"UP-03": ("fail", "upload-total-limit")},
    ),
    Control(
        name="answers-within-ten-seconds",
        kind="haproxy",
        edits=(("timeout server 15m ", "timeout server 10s "),),
        only="UP-02,UP-03,UP-04,UP-08,RT-01",
        fails={"UP-04": ("fail", "response-timeout")},
    ),
    Control(
        name="posts-are-repeated",
        kind="nginx",
        edits=(("proxy_next_upstream error timeout; ", "proxy_next_upstream error timeout http_503 non_idempotent; "),),
        only="UP-02,UP-08,RT-01,PR-01",
        fails={"RT-01": ("fail", "post-replayed")},
    ),
    Control(
        name="no-forwarded-scheme",
        kind="haproxy",
        edits=(("    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n", ""),),
        only="UP-02,UP-08,PR-01,PR-05",
        fails={"PR-01": ("fail", "forwarded-proto-missing")},
    ),
    Control(
        name="clients-say-who-they-are",
        kind="haproxy",
        edits=(("    http-request del-header Forwarded\n", ""),),
        only="UP-02,UP-08,PR-01,PR-05",
        fails={"PR-01": ("advice", "spoofed-forwarded-passed")},
    ),
    Control(
        name="one-client-one-node",
        kind="haproxy",
        edits=(("balance roundrobin ", "balance source "),),
        only="UP-02,UP-08,PR-01,PR-05",
        fails={"PR-05": ("fail", "node-starved")},
    ),
    Control(
        name="first-node-first",
        kind="haproxy",
        edits=(("balance roundrobin ", "balance first "),),
        only="UP-02,UP-08,PR-01,PR-05",
        fails={"PR-05": ("fail", "node-starved")},
    ),
    # These take one to two minutes each, nearly all of it waiting: nobody says "does not probe" before Envoy's second
    # probe would have come.
    Control(
        name="probe-on-the-wrong-path",
        kind="haproxy",
        edits=((PROBE, "http-check send meth GET uri /api"),),
        only="HC-01,HC-02,HC-03,DR-02,DR-04",
        fails={"HC-01": ("fail", "probe-wrong-path")},
        consequences=BLIND,
    ),
    Control(
        name="probe-without-time-out",
        kind="haproxy",
        edits=(("timeout check 1s ", "timeout check 10m "),),
        only="HC-01,HC-02,HC-03",
        fails={"HC-03": ("fail", "hung-probe-stays")},
    ),
    Control(
        name="only-opens-connections",
        kind="envoy",
        edits=((ENVOYS_PING, "          tcp_health_check: {}\n"),),
        only="HC-01",
        fails={"HC-01": ("fail", "probe-tcp-only")},
    ),
    Control(
        name="sleeps-while-idle",
        kind="envoy",
        edits=(("          no_traffic_interval: 1s ", "          # "),),
        only="HC-01,HC-06",
        fails={"HC-06": ("fail", "slow-probes-while-idle")},
    ),
)


@pytest.mark.timeout(320)
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_fault_fails_its_check_and_nothing_else(control: Control, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(edited(control.kind, control.edits))
    arguments = ["--with", control.kind, "--config", "config", "--only", control.only]
    if control.declared is not None:
        (tmp_path / "declared.yaml").write_text(control.declared)
        arguments += ["--balancer-file", "declared.yaml"]
    found = check(arguments, tmp_path)
    roots = control.consequences or {}
    assert {id_: finding[:2] for id_, finding in found.findings.items() if id_ not in roots} == control.fails
    assert {id_: finding[2] for id_, finding in found.findings.items() if id_ in roots} == roots


@pytest.mark.timeout(320)
def test_headers_that_a_balancer_takes_away_are_no_fault(tmp_path: Path) -> None:
    # Ours in requests and the nodes' in answers: attempts are joined by what is left, and nobody is accused.
    away = ("X-Mocknode-Attempt", "traceparent")
    lines = "".join(f"    http-request del-header {name}\n" for name in away)
    edits = ((FORWARDED[0], FORWARDED[0] + lines + "    http-response del-header Octopus-Node\n"),)
    (tmp_path / "config").write_text(edited("haproxy", edits))
    only = "HC-01,DR-04,UP-02,UP-08,RT-01,PR-01,PR-05"
    found = check(["--with", "haproxy", "--config", "config", "--only", only], tmp_path)
    assert (found.code, found.findings) == (0, {})
    assert found.document["ledger"]["lost"] == 0
    assert found.document["ledger"]["delivered_once"] > 0


def test_workers_that_are_another_user_store_what_they_buffer(tmp_path: Path) -> None:
    """Without root, nginx cannot become another user: it says so and continues."""
    nodes = " ".join(f"server ${{NODE_{n}_HTTP}};" for n in (1, 2, 3))
    (tmp_path / "config").write_text(
        f"user nobody nogroup;\nevents {{ }}\nhttp {{\n  client_max_body_size 0;\n  upstream octopus {{ {nodes} }}\n"
        "  server { listen ${FRONT}; location / { proxy_pass http://octopus; } }\n}\n"
    )
    found = check(["--with", "nginx", "--config", "config", "--only", "UP-01"], tmp_path)
    assert (found.code, found.findings) == (0, {})


@pytest.mark.timeout(320)
def test_an_address_that_pins_and_a_front_without_http2(tmp_path: Path) -> None:
    edits = (("balance roundrobin", "balance source"), (" alpn h2,http/1.1", " alpn http/1.1"))
    (tmp_path / "config").write_text(edited("haproxy", edits))
    found = check(["--with", "haproxy", "--config", "config", "--only", "DR-02,DR-04,DR-05,PR-05"], tmp_path)
    assert found.findings == {"PR-05": ("fail", "node-starved", None)}
    (dr_02,) = (c for c in found.document["checks"] if c["id"] == "DR-02")
    assert {v["name"]: v["outcome"] for v in dr_02["variants"]} == {"http1": "pass", "http2": "skip"}


@pytest.mark.timeout(320)
def test_the_recommended_configuration_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(configuration("haproxy"))
    found = check(["--with", "haproxy", "--config", "config"], tmp_path)
    # Without its state file HAProxy before 3.1 counts every server as up until its first check has failed.
    assert set(found.findings) <= {"HC-06"}
    assert found.code == 0
