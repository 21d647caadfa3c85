"""Every claim about polling Tentacles has a configuration that fails it, and fails exactly it."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.judge.controls.control_runs import check, configuration, edited

pytestmark = pytest.mark.balancer

Edit = tuple[str, str]
NODES = (1, 2, 3)
ALL = "TL-01,TL-02,TL-03,TL-04,TL-05,TL-06"


def bind(more: str) -> tuple[Edit, ...]:
    return tuple((f"bind ${{FRONT_TENTACLE_{n}}}\n", f"bind ${{FRONT_TENTACLE_{n}}} {more}\n") for n in NODES)


def server(more: str) -> tuple[Edit, ...]:
    return tuple(
        (f"server node-{n} ${{NODE_{n}_TENTACLE}} ", f"server node-{n} ${{NODE_{n}_TENTACLE}} {more} ") for n in NODES
    )


def pinged(node: int, more: str = "") -> tuple[Edit, ...]:
    """The web's check for the Tentacles of one node too."""
    ping = "option httpchk\n    http-check send meth GET uri /api/octopusservernodes/ping ver HTTP/1.1 hdr Host octopus.test\n"
    server = f"    server node-{node} ${{NODE_{node}_TENTACLE}} "
    return ((server, f"    {ping}    http-check expect status 200\n{server}check port ${{NODE_{node}_PORT}} {more} "),)


POOL = tuple(
    (
        f"    server node-{n} ${{NODE_{n}_TENTACLE}} ",
        "    balance roundrobin\n" + "".join(f"    server node-{m} ${{NODE_{m}_TENTACLE}}\n" for m in NODES) + "    #",
    )
    for n in NODES
)
COPIED = "${DIRECTORY}/../../identity/tentacle-server.pem"
"""The servers' certificate with its key: who copies it to the balancer deceives Tentacles, not nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One fault.

    Attributes:
        kind: Balancer whose configuration has it.
        fails: Check id to (outcome, cause).
        consequences: Check id to the root that it has to name; these fail as well.
    """

    name: str
    edits: tuple[Edit, ...]
    fails: dict[str, tuple[str, str]]
    consequences: dict[str, str] = field(default_factory=dict)
    kind: str = "haproxy"


NOBODY = {f"TL-0{n}": "TL-01" for n in range(2, 7)}
CONTROLS = (
    Control(
        name="tls-ends-at-the-balancer",
        edits=bind("ssl crt ${CERTIFICATE}"),
        fails={"TL-01": ("fail", "server-certificate-replaced")},
        consequences=NOBODY,
    ),
    Control(
        name="tls-ends-at-the-balancer-with-the-servers-certificate",
        edits=bind(f"ssl crt {COPIED}"),
        fails={"TL-01": ("fail", "tls-terminated")},
        consequences=NOBODY,
    ),
    Control(
        name="a-new-tls-without-a-client-certificate",
        edits=bind(f"ssl crt {COPIED}") + server("ssl verify none"),
        fails={"TL-01": ("fail", "client-certificate-missing")},
        consequences=NOBODY,
    ),
    Control(
        name="a-new-tls-with-a-client-certificate-of-its-own",
        edits=bind(f"ssl crt {COPIED}") + server("ssl verify none crt ${CERTIFICATE}"),
        fails={"TL-01": ("fail", "client-certificate-replaced")},
        consequences=NOBODY,
    ),
    Control(
        name="proxy-header-v1",
        edits=server("send-proxy"),
        fails={"TL-01": ("fail", "proxy-header-added")},
        consequences=NOBODY,
    ),
    Control(
        name="proxy-header-v2",
        edits=server("send-proxy-v2"),
        fails={"TL-01": ("fail", "proxy-header-added")},
        consequences=NOBODY,
    ),
    Control(
        name="a-pool-instead-of-addresses",
        edits=POOL,
        fails={"TL-02": ("fail", "address-leads-elsewhere")},
        consequences={"TL-03": "TL-02", "TL-04": "TL-02", "TL-05": "TL-02"},
    ),
    Control(
        name="a-node-is-replaced-by-another",
        edits=((
            "    server node-3 ${NODE_3_TENTACLE} ",
            "    option redispatch 1\n    server node-2 ${NODE_2_TENTACLE} backup check inter 500ms\n"
            "    server node-3 ${NODE_3_TENTACLE} check inter 200ms fall 1 rise 1 ",
        ),),
        fails={"TL-02": ("fail", "fails-over-to-another-node")},
    ),
    Control(
        name="the-ping-decides-about-tentacles",
        edits=pinged(2),
        fails={"TL-03": ("fail", "drained-node-refuses-polling")},
    ),
    Control(
        name="the-ping-decides-about-tentacles-and-cuts-them",
        edits=pinged(3, "on-marked-down shutdown-sessions"),
        fails={"TL-03": ("fail", "drain-cuts-polling")},
    ),
    Control(
        # At the first address alone, where other checks drain and restart the node: silence there has to wait for none of them.
        name="silent-for-twenty-seconds",
        edits=(
            ("bind ${FRONT_TENTACLE_1}\n", "bind ${FRONT_TENTACLE_1}\n    timeout client 20s\n"),
            ("    server node-1 ${NODE_1_TENTACLE} ", "    timeout server 20s\n    server node-1 ${NODE_1_TENTACLE} "),
        ),
        fails={"TL-04": ("fail", "polling-idle-limit")},
    ),
    Control(
        # No other balancer here has such a limit. Shorter than a drain is watched, so that TL-03 has to tell it from one, and so short that
        # only a connection that is called all the time tells it from silence.
        name="five-seconds-old",
        kind="envoy",
        edits=((
            "cluster: tentacle-node-3\n                idle_timeout: 0s ",
            "cluster: tentacle-node-3\n                max_downstream_connection_duration: 5s\n                idle_timeout: 0s ",
        ),),
        fails={"TL-04": ("fail", "polling-lifetime-limit")},
        consequences={"TL-03": "TL-04"},
    ),
    Control(
        name="a-hundred-and-fifty-connections",
        edits=(("maxconn 20000 ", "maxconn 150 "),),
        fails={"TL-06": ("advice", "connection-limit")},
    ),
)  # fmt: skip


@pytest.mark.timeout(320)
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_fault_fails_its_check_and_nothing_else(control: Control, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(edited(control.kind, control.edits, polled=True))
    found = check(["--with", control.kind, "--config", "config", "--only", ALL], tmp_path)
    roots = control.consequences
    assert {id_: finding[:2] for id_, finding in found.findings.items() if id_ not in roots} == control.fails
    assert {id_: finding[2] for id_, finding in found.findings.items() if id_ in roots} == roots


@pytest.mark.timeout(320)
def test_the_recommended_configuration_fails_nothing(tmp_path: Path) -> None:
    """One file serves the lanes of the web as well, whose nodes nobody polls."""
    (tmp_path / "config").write_text(configuration("haproxy", polled=True))
    found = check(["--with", "haproxy", "--config", "config", "--only", f"UP-02,HC-02,{ALL}"], tmp_path)
    assert not found.findings
    assert found.code == 0
    assert {c["id"]: c["outcome"] for c in found.document["checks"]}.keys() == {"UP-02", "HC-02", *ALL.split(",")}


def by_name(**swapped: int) -> str:
    """One port on which names decide and no other; `swapped` says which node a name leads to instead."""
    leads = {n: swapped.get(f"node_{n}", n) for n in NODES}
    rules = "".join(f"  use_backend t{leads[n]} if {{ req.ssl_sni -i ${{FRONT_TENTACLE_{n}_NAME}} }}\n" for n in NODES)
    return (
        "defaults\n  timeout connect 5s\n  timeout client 20m\n  timeout server 20m\n"
        "frontend web\n  mode http\n  bind ${FRONT}\n  default_backend web\n"
        "frontend tentacles\n  mode tcp\n  bind ${FRONT_TENTACLE}\n  tcp-request inspect-delay 5s\n"
        f"  tcp-request content accept if {{ req.ssl_hello_type 1 }}\n{rules}"
        + "".join(f"backend t{n}\n  mode tcp\n  server n ${{NODE_{n}_TENTACLE}}\n" for n in NODES)
        + "backend web\n  mode http\n"
        + "".join(f"  server n{n} ${{NODE_{n}_HTTP}}\n" for n in NODES)
    )


def test_names_alone_lead_tentacles_to_their_nodes(tmp_path: Path) -> None:
    """Without a port for each node; two names that are swapped are TL-02's finding and nobody else's."""
    (tmp_path / "config").write_text(by_name(node_1=2, node_2=1))
    arguments = ["--with", "haproxy", "--config", "config", "--host", "octopus.corp.test", "--only", "TL-01,TL-02"]
    found = check(arguments, tmp_path)
    assert {id_: finding[:2] for id_, finding in found.findings.items()} == {
        "TL-02": ("fail", "address-leads-elsewhere")
    }
    summary = next(c["summary"] for c in found.document["checks"] if c["id"] == "TL-02")
    assert "node-1 and node-2 are swapped" in summary
