"""The `mocknode` command. Each subcommand is a click command in a module that is imported when it is called.

Exit codes: 0 done, 1 tried and failed, 2 wrong usage, 3 a problem of the environment (a port, the control API, the store), 130
interrupted; `check` and `load` add their own.
Every flag has an environment variable, `MOCKNODE_<COMMAND>_<FLAG>`; `MOCKNODE_CONTROL`, `MOCKNODE_CONTROL_TOKEN_FILE`
and `MOCKNODE_CA` apply to all commands that talk to a cluster.
"""

import errno
import os
import sys
from importlib import import_module
from typing import Final

import click

from mocknode.cli.errors import ENVIRONMENT, INTERRUPTED
from mocknode.text.foreign import plain_lines
from mocknode.text.suggestions import did_you_mean

COMMANDS: Final = {
    "help": ("mocknode.cli.help:help_", "Print the guide: a page for each job."),
    "up": ("mocknode.cli.up:up", "Start a cluster of mock nodes; Ctrl-C stops it."),
    "status": ("mocknode.cli.states:status", "Show every node's state, addresses, faults and counters."),
    "drain": ("mocknode.cli.states:drain", "Drain a node: its ping answers 418, everything else is served."),
    "resume": ("mocknode.cli.states:resume", "End a node's drain."),
    "offline": ("mocknode.cli.states:offline", "Take a node offline, in one of several ways."),
    "online": ("mocknode.cli.states:online", "Bring a node back from any state."),
    "fault": ("mocknode.cli.faults:fault", "Make a node misbehave in one way; --help lists the kinds."),
    "faults": ("mocknode.cli.faults:faults", "List the faults of every node."),
    "reset": ("mocknode.cli.states:reset", "Bring all nodes online; remove faults, tasks and data (--keep data)."),
    "snapshot": ("mocknode.cli.snapshots:snapshot", "Save packages, users and all other data under a name."),
    "restore": ("mocknode.cli.snapshots:restore", "Restore packages, users and all other data from a snapshot."),
    "snapshots": ("mocknode.cli.snapshots:snapshots", "List the snapshots; --delete removes one."),
    "task": ("mocknode.cli.tasks:task", "Queue tasks for the nodes; --cancel cancels one."),
    "tasks": ("mocknode.cli.tasks:tasks", "List the tasks: which node runs each, and which wait."),
    "tentacles": ("mocknode.cli.tentacles:tentacles", "Run simulated Tentacles, one or thousands."),
    "tentacle": ("mocknode.cli.tentacle:tentacle", "List, register and call Tentacles."),
    "check": ("mocknode.cli.check:check", "Judge the load balancer in front of a cluster."),
    "checks": ("mocknode.cli.check:checks", "List the checks."),
    "load": ("mocknode.cli.load:load", "Push packages through the balancer and account for every upload."),
    "scenario": ("mocknode.cli.scenario:scenario", "Rehearse a patch night, an outage or a failover from a file."),
    "compare": ("mocknode.cli.compare:compare", "Compare the mock's answers with those of a real server."),
    "explain": ("mocknode.cli.explain:explain", "Explain a check: what it claims, or what happened in a report."),
    "judge": ("mocknode.cli.judge:judge", "Judge a saved run again, from its record."),
    "balancer": ("mocknode.cli.balancer:balancer", "List balancers, or print a configuration for one."),
    "doctor": ("mocknode.cli.doctor:doctor", "Show what this machine can do, and what it lacks."),
    "version": ("mocknode.cli.doctor:version", "Print the version."),
}
"""Module and summary of each command, in the order of the help."""


def _name_variables(command: click.Command, prefix: str) -> None:
    """Name the environment variable of every option after its flag; Click would use the Python name, such as `duration`."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            option.envvar = f"{prefix}_{max(option.opts, key=len).lstrip('-').replace('-', '_').upper()}"
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            _name_variables(part, f"{prefix}_{name.replace('-', '_').upper()}")


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and suggests a close match for an unknown one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        _name_variables(command, f"MOCKNODE_{cmd_name.upper()}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or fail with a suggestion."""
        if args[0] not in COMMANDS:
            hint = did_you_mean(args[0], list(COMMANDS))
            ctx.fail(f"command: got {args[0]!r}, allowed: {', '.join(COMMANDS)}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={
        "auto_envvar_prefix": "MOCKNODE",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
    },
)
@click.version_option(package_name="mocknode", message="%(prog)s %(version)s")
def mocknode() -> None:
    """Run a mock Octopus Deploy cluster behind a load balancer, and judge what the balancer does."""


def main() -> None:
    """Run the command line and exit."""
    try:
        code = mocknode.main(prog_name="mocknode", standalone_mode=False)
    except click.ClickException as exc:
        command = exc.ctx.command_path if isinstance(exc, click.UsageError) and exc.ctx else "mocknode"
        click.echo(f"{command}: {plain_lines(exc.format_message())}", err=True)
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except OSError as exc:
        if exc.errno != errno.ENOSPC or exc.filename is not None:
            raise
        # What is still in the buffer must not fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"mocknode: standard output cannot be written: {exc.strerror}", err=True)
        sys.exit(ENVIRONMENT)
    # Click returns the code of `ctx.exit(code)` as the result.
    sys.exit(code if isinstance(code, int) else 0)
