"""A standby takes over and hands back; each way in which it may not fails RG-01, for its own cause."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.judge.controls.control_runs import check, edited

pytestmark = pytest.mark.balancer

NODES = (1, 2, 3)
BESIDE_ITS_NODE = (
    "    server standby-2 ${STANDBY_2_TENTACLE} backup\n",
    "    server standby-2 ${STANDBY_2_TENTACLE}\n",
)
PLAIN_POOL = tuple((f"${{STANDBY_{n}_HTTP}} backup", f"${{STANDBY_{n}_HTTP}}") for n in NODES)
NO_STAND_IN = tuple((f"    server standby-{n} ${{STANDBY_{n}_TENTACLE}} backup\n", "") for n in NODES)
CHECKED = (
    "    option httpchk\n"
    "    http-check send meth GET uri /api/octopusservernodes/ping ver HTTP/1.1 hdr Host octopus.test\n"
    "    http-check expect status 200\n"
    "    default-server check inter 1s fastinter 500ms fall 2 rise 2\n"
)
# Envoy's own factor of 140: two of three healthy nodes, and a share of the traffic goes on.
AS_SHIPPED = (("policy: { overprovisioning_factor: 300 }", "policy: { overprovisioning_factor: 140 }"),)
# The lines that are advised for a failback by hand: what once failed over stays.
BY_HAND = (
    (
        "    default_backend octopus\n",
        "    http-request set-var(proc.failed_over) bool(true) if { nbsrv(octopus) eq 0 }\n"
        "    use_backend octopus-standby if { var(proc.failed_over) -m bool }\n"
        "    default_backend octopus\n",
    ),
    ("    option allbackups\n", f"\nbackend octopus-standby\n{CHECKED}"),
    *PLAIN_POOL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A configuration, and the variants that it fails, with their causes."""

    name: str
    balancer: str = "haproxy"
    edits: tuple[tuple[str, str], ...] = ()
    wrong: dict[str, str] | None = None


CONTROLS = (
    Control(name="recommended"),
    Control(
        name="standby-in-the-same-pool",
        edits=(*PLAIN_POOL, BESIDE_ITS_NODE),
        wrong={"standby-waits": "standby-gets-traffic", "tentacles-wait": "tentacles-at-standby"},
    ),
    Control(name="addresses-stay", edits=NO_STAND_IN, wrong={"tentacles": "tentacles-not-repointed"}),
    Control(
        name="priorities-spill", balancer="envoy", edits=AS_SHIPPED, wrong={"standby-waits": "standby-gets-traffic"}
    ),
    Control(name="by-hand", edits=BY_HAND, wrong={"failback": "failback-not-as-declared"}),
)


@pytest.mark.timeout(320)
@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_standby_takes_over_as_declared_or_fails_for_its_cause(control: Control, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(edited(control.balancer, control.edits, polled=True, standby=True))
    (tmp_path / "declared.yaml").write_text("mocknode-balancer: 1\nfailback: auto\n")
    arguments = [
        "--with",
        control.balancer,
        "--config",
        "config",
        "--profile",
        "region",
        "--balancer-file",
        "declared.yaml",
    ]
    found = check(arguments, tmp_path)
    (result,) = found.document["checks"]
    variants = {v["name"]: (v["outcome"], v["cause"]) for v in result["variants"]}
    assert set(variants) == {
        "standby-waits",
        "standby-serves",
        "at-primary",
        "at-standby",
        "failback",
        "tentacles-wait",
        "tentacles",
    }
    expected = {name: ("fail", cause) for name, cause in (control.wrong or {}).items()}
    # Where the standby serves from the start, the upload meets it by chance, and then tells nothing of a drain.
    by_chance = {"at-primary"} if "standby-waits" in expected and variants["at-primary"][0] == "skip" else set()
    assert {n: verdict for n, verdict in variants.items() if verdict[0] != "pass" and n not in by_chance} == expected
