"""Where scenarios come from: files of the user's, and the library that is shipped with the package."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from mocknode.script.model import Scenario
from mocknode.script.parsing import parse
from mocknode.script.reading import Mistake, Position, ScenarioError, load
from mocknode.text.suggestions import did_you_mean


def names() -> list[str]:
    """Return the names of the library's scenarios."""
    library = files("mocknode.script") / "library"
    return sorted(entry.name.removesuffix(".yaml") for entry in library.iterdir() if entry.name.endswith(".yaml"))


def text_of(word: str) -> str:
    """Return the text of a scenario.

    Args:
        word: Path of a file, or a name of the library.

    Raises:
        ScenarioError: there is no such file and no such name, or the file cannot be read.
    """
    known = names()
    if word in known:
        return (files("mocknode.script") / "library" / f"{word}.yaml").read_text(encoding="utf-8")
    path = Path(word)
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        allowed = f"got {word!r}, allowed: a file, or one of {', '.join(known)}{did_you_mean(word, known)}"
        raise ScenarioError(word, [Mistake(Position(), allowed)])
    return load(path)


def scenario_of(
    word: str, settings: Mapping[str, str] | None = None, nodes: Sequence[str] | None = None
) -> tuple[str, Scenario]:
    """Return the text of a scenario, and what it says.

    Args:
        settings: Values of parameters by name.
        nodes: Names of the nodes of a cluster that runs already.

    Raises:
        ScenarioError: it cannot be found or used.
    """
    text = text_of(word)
    return text, parse(text, word, settings, nodes)
