"""The user's manual: one Markdown page for each job, shipped in the wheel and printed by `mocknode help TOPIC`.

A page starts with a heading, which is its line in the list of topics, and says what the reader gets; then come the commands
in order, then the details. `tests/guide` runs every command of every page.
"""

from importlib.resources import files

_PAGES = files("mocknode.guide")
_ORDER = (
    "own-config",
    "running-balancer",
    "reports",
    "load",
    "scenarios",
    "cluster",
    "data",
    "tentacles",
    "regions",
    "pytest",
)


def topics() -> dict[str, str]:
    """Return the heading of every page by its topic, in reading order."""
    return {topic: page(topic).split("\n", 1)[0].removeprefix("# ") for topic in _ORDER}


def page(topic: str) -> str:
    """Return the Markdown text of a topic's page."""
    return (_PAGES / f"{topic}.md").read_text(encoding="utf-8")
