"""Runs `mocknode check` on a configuration that carries exactly one fault, and reads what it found."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocknode.judge import balancers

RUN_S_MAX = 150
STOPPED = "the judge itself was stopped for "
"""A run says this instead of giving a verdict, where it had too little CPU. On a busy machine that may happen; twice in a row is an error."""
# Outcomes that say that something is wrong.
FINDINGS = ("fail", "advice", "unknown")
CERTIFICATE, KEY = Path("/certificate.pem"), Path("/key.pem")
PLACEHOLDERS = {
    "127.0.0.1:19000": "${FRONT}",
    "127.0.0.1:19443": "${FRONT_HOST}:${FRONT_HTTPS_PORT}",
    "127.0.0.1:18081": "${NODE_1_HTTP}",
    "127.0.0.1:18082": "${NODE_2_HTTP}",
    "127.0.0.1:18083": "${NODE_3_HTTP}",
    str(CERTIFICATE): "${CERTIFICATE}",
    str(KEY): "${KEY}",
}
# Envoy writes address and port apart.
APART = {"19000": ("${FRONT_HOST}", "${FRONT_PORT}"), "19443": ("${FRONT_HOST}", "${FRONT_HTTPS_PORT}")}
for _n in (1, 2, 3):
    PLACEHOLDERS[f"127.0.0.1:1994{_n}"] = f"${{FRONT_TENTACLE_{_n}}}"
    PLACEHOLDERS[f"127.0.0.1:1894{_n}"] = f"${{NODE_{_n}_TENTACLE}}"
    PLACEHOLDERS[f"127.0.0.1:2808{_n}"] = f"${{STANDBY_{_n}_HTTP}}"
    PLACEHOLDERS[f"127.0.0.1:2894{_n}"] = f"${{STANDBY_{_n}_TENTACLE}}"
    APART[f"1994{_n}"] = ("${FRONT_HOST}", f"${{FRONT_TENTACLE_{_n}_PORT}}")
    for _base, _name in (("18", "NODE"), ("28", "STANDBY")):
        APART[f"{_base}08{_n}"] = (f"${{{_name}_{_n}_HOST}}", f"${{{_name}_{_n}_PORT}}")
        APART[f"{_base}94{_n}"] = (f"${{{_name}_{_n}_TENTACLE_HOST}}", f"${{{_name}_{_n}_TENTACLE_PORT}}")
# HAProxy's state file is not part of one configuration file; without it a start is HC-06's finding.
STATE_FILE = ("    server-state-file server-state\n", "    load-server-state-from-file global   # HC-06\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a run found: check id to (outcome, cause, caused_by), for what is not fine; and the whole report."""

    findings: Mapping[str, tuple[str, str | None, str | None]]
    document: Mapping[str, Any]
    code: int


def configuration(kind: str, mode: str = "recommended", *, polled: bool = False, standby: bool = False) -> str:
    """The configuration of a mode as a template for `--config`; with `polled`, addresses for Tentacles as well; with `standby`, a
    second pool."""
    front = balancers.Front(
        host="127.0.0.1", http_port=19000, https_port=19443, certificate=CERTIFICATE, key=KEY,
        tentacle_ports={f"node-{n}": 19940 + n for n in (1, 2, 3)} if polled else {},
    )  # fmt: skip
    first, second = (
        [
            balancers.Node(
                name=f"{name}-{n}", host="127.0.0.1", port=base + 80 + n, tentacle=balancers.Polled(host="127.0.0.1", port=base + 940 + n)
            )
            for n in (1, 2, 3)
        ]
        for name, base in (("node", 18000), ("standby", 28000))
    )  # fmt: skip
    files = balancers.render(
        kind, mode, front, first, Path("/run"), version=balancers.find(kind).version, standby=second if standby else ()
    )
    files.pop("server-state", None)
    text = "\n---\n".join(files.values())
    for line in STATE_FILE:
        text = text.replace(line, "")
    for port, (host, own) in APART.items():
        text = text.replace(f'address: "127.0.0.1", port_value: {port}', f'address: "{host}", port_value: {own}')
    for written, placeholder in PLACEHOLDERS.items():
        text = text.replace(written, placeholder)
    return text


def edited(
    kind: str,
    edits: Sequence[tuple[str, str]],
    mode: str = "recommended",
    *,
    polled: bool = False,
    standby: bool = False,
) -> str:
    """A configuration with a fault; each edit must change something."""
    text = configuration(kind, mode, polled=polled, standby=standby)
    for old, new in edits:
        assert old in text, f"the {mode} configuration of {kind} has no {old!r} to edit"
        text = text.replace(old, new)
    return text


def check(arguments: Sequence[str], directory: Path) -> Found:
    """Run the command; anything but a verdict fails with what it printed."""
    report = directory / "report.json"
    command = [sys.executable, "-m", "mocknode", "check", *arguments, "--quick", "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, cwd=directory)
    if STOPPED in done.stdout:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, cwd=directory)
    assert done.returncode in (0, 1, 4), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    document = json.loads(report.read_text())
    findings = {
        c["id"]: (c["outcome"], c["cause"], c["caused_by"]) for c in document["checks"] if c["outcome"] in FINDINGS
    }
    return Found(findings=findings, document=document, code=done.returncode)
