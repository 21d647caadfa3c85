"""`mocknode help [TOPIC]`: the pages of the guide."""

import os
import sys
from typing import Final

import click

from mocknode import guide
from mocknode.text.suggestions import did_you_mean

_WIDTH_MAX: Final = 100
"""Longer lines of prose are hard to read."""


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def help_(ctx: click.Context, topic: str | None) -> None:
    """Print the guide's page on TOPIC; without TOPIC, list the topics.

    The options of a command are listed by `mocknode COMMAND --help`.
    """
    topics = guide.topics()
    if topic is None:
        width = max(map(len, topics))
        for name, heading in topics.items():
            click.echo(f"{name:{width}}  {heading}")
        click.echo("\nmocknode help TOPIC prints a page; mocknode COMMAND --help lists the options of a command")
    elif topic in topics:
        _print(guide.page(topic))
    else:
        raise click.UsageError(f"topic: got {topic!r}, allowed: {', '.join(topics)}{_hint(ctx, topic, list(topics))}")


def _hint(ctx: click.Context, topic: str, topics: list[str]) -> str:
    """Name the closest topic, or the command that is called so."""
    group = ctx.parent.command if ctx.parent else None
    if isinstance(group, click.Group) and topic in group.list_commands(ctx):
        return f"; for the command: mocknode {topic} --help"
    return did_you_mean(topic, topics)


def _print(text: str) -> None:
    """Print a page: laid out on a terminal, as its Markdown source elsewhere."""
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(no_color=bool(os.environ.get("NO_COLOR")))
    console.print(Markdown(text, code_theme="ansi_light"), width=min(console.width, _WIDTH_MAX))
