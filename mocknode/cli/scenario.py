"""`mocknode scenario`: scenario files, and what a run of one would do."""

import json
from pathlib import Path

import click

from mocknode.cli.errors import UsageError, Whole
from mocknode.cli.scenario_run import judge, run, settings_of
from mocknode.cli.scenario_shrink import shrink

SCENARIO = click.argument("scenario", metavar="FILE|NAME")
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a parameter of the scenario this value; can be given several times.",
)
SEED = click.option(
    "--seed", type=Whole(0), default=1, show_default=True, help="Decides what is random: chaos, sizes and arrivals."
)


@click.group()
def scenario() -> None:
    """Rehearse a patch night, an outage or a failover that a file describes.

    `mocknode help scenarios` builds one step by step.
    """


@scenario.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the scenarios that are shipped, with their claims."""
    from mocknode.script import sources

    found = {name: sources.scenario_of(name)[1].claim for name in sources.names()}
    if as_json:
        click.echo(json.dumps([{"name": name, "claim": claim} for name, claim in found.items()]))
        return
    width = max(map(len, found))
    for name, claim in found.items():
        click.echo(f"{name:{width}}  {claim}")


@scenario.command()
@SCENARIO
def show(scenario: str) -> None:
    """Print the file of a scenario."""
    from mocknode.script import reading, sources

    try:
        click.echo(sources.text_of(scenario), nl=False)
    except reading.ScenarioError as exc:
        raise UsageError(str(exc)) from exc


@scenario.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--from", "name", default="rolling-patch", show_default=True, metavar="NAME", help="Begin with this one.")
def new(file: Path, name: str) -> None:
    """Write a scenario to begin with, and beside it the schema that editors complete it from."""
    from mocknode.script import drafting, reading

    try:
        schema = drafting.write(file, name)
    except reading.ScenarioError as exc:
        raise UsageError(str(exc)) from exc
    except FileExistsError as exc:
        raise UsageError(f"FILE: got {str(file)!r}, which exists; allowed: a new file") from exc
    except OSError as exc:
        raise UsageError(f"FILE: got {str(file)!r}: {exc.strerror}") from exc
    click.echo(f"wrote {file}, and {schema} for editors; next: mocknode scenario plan {file}")


@scenario.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors and CI."""
    from mocknode.script.editor_schema import scenario_schema

    click.echo(json.dumps(scenario_schema(), indent=2))


@scenario.command()
@click.argument("scenarios", metavar="FILE...", nargs=-1, required=True)
@SETTINGS
@click.pass_context
def validate(ctx: click.Context, scenarios: tuple[str, ...], settings: tuple[str, ...]) -> None:
    """Find all mistakes of scenario files. Nothing is started."""
    from mocknode.script import planning, reading, sources

    wrong = False
    for one in scenarios:
        try:
            found = planning.plan(sources.scenario_of(one, settings_of(settings))[1], source=one)
        except reading.ScenarioError as exc:
            wrong = True
            click.echo(str(exc), err=True)
        else:
            click.echo(f"{one}: {found.scenario.name}, {len(list(found.all_steps))} steps, no mistakes")
    if wrong:
        ctx.exit(UsageError.exit_code)


@scenario.command()
@SCENARIO
@SEED
@SETTINGS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(scenario: str, seed: int, settings: tuple[str, ...], as_json: bool) -> None:
    """Print what a run would do, step by step. Nothing is started, and the same seed always gives the same plan."""
    from mocknode.script import drawing, planning, reading, sources

    try:
        found = planning.plan(sources.scenario_of(scenario, settings_of(settings))[1], seed=seed, source=scenario)
    except reading.ScenarioError as exc:
        raise UsageError(str(exc)) from exc
    click.echo(json.dumps(drawing.document(found), indent=2) if as_json else drawing.text(found).rstrip("\n"))


scenario.add_command(run)
scenario.add_command(judge)
scenario.add_command(shrink)
