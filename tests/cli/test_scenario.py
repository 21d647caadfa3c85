"""`mocknode scenario`: what each command prints, and exit code 2 with every mistake."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mocknode.cli import mocknode
from mocknode.script import sources


def call(*words: str) -> Result:
    return CliRunner().invoke(mocknode, ["scenario", *words])


def test_list_has_every_scenario_with_its_claim() -> None:
    lines = call("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sources.names()
    assert json.loads(call("list", "--json").stdout)[0].keys() == {"name", "claim"}


def test_show_prints_the_file() -> None:
    assert call("show", "rolling-patch").stdout == sources.text_of("rolling-patch")


def test_plan_prints_the_plan_of_a_seed_and_of_settings() -> None:
    night = call("plan", "nightmare", "--seed", "5", "--set", "night=1m")
    assert night.exit_code == 0
    assert "seed 5, nodes node-1, node-2, node-3" in night.stdout
    assert "chaos for 60s" in night.stdout
    document = json.loads(call("plan", "nightmare", "--json").stdout)
    assert (document["scenario"], document["seed"], document["steps"][0]["for"]) == ("nightmare", 1, 600.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "rolling-pacth"), "did you mean rolling-patch?"),
        (("show", "no.yaml"), "no.yaml: No such file or directory"),
        (("plan", "rolling-patch", "--set", "away"), "--set: got 'away', allowed: NAME=VALUE"),
        (("plan", "rolling-patch", "--set", "away=5"), "--set away: got '5', allowed: a duration"),
        (("plan", "rolling-patch", "--seed", "-1"), "got '-1', allowed: a whole number from 0 up"),
    ],
)
def test_usage(words: tuple[str, ...], message: str) -> None:
    done = call(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_validate_prints_the_mistakes_of_all_files(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    text = sources.text_of("rolling-patch")
    line = text.splitlines().index("      - drain: $node") + 1
    good.write_text(text, encoding="utf-8")
    bad.write_text(text.replace("drain: $node", "dran: $node").replace("name: ", "nmae: "), encoding="utf-8")
    done = call("validate", str(bad), str(good))
    assert done.exit_code == 2
    assert done.stdout == f"{good}: rolling-patch, 30 steps, no mistakes\n"
    assert [line.split(": ", 1)[0] for line in done.stderr.splitlines()] == [
        f"{bad}:1:1",
        f"{bad}:2:1",
        f"{bad}:{line}:9",
    ]


def test_new_writes_a_scenario_that_is_right_and_its_schema(tmp_path: Path) -> None:
    file = tmp_path / "2 our night.yaml"
    done = call("new", str(file), "--from", "frozen-node")
    assert done.exit_code == 0
    assert file.read_text(encoding="utf-8").startswith(
        "# yaml-language-server: $schema=mocknode-scenario.schema.json\n"
    )
    assert json.loads((tmp_path / "mocknode-scenario.schema.json").read_bytes()) == json.loads(call("schema").stdout)
    assert call("validate", str(file)).stdout == f"{file}: our-night, 7 steps, no mistakes\n"
    again = call("new", str(file))
    assert again.exit_code == 2
    assert "which exists; allowed: a new file" in again.stderr
