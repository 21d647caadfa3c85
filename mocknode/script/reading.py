"""Scenario text as a tree whose every part knows its line and column. It interprets nothing; `parsing` says what a word means.

Only the plain part of YAML is read: mappings, lists and scalars. Anchors, aliases and tags are refused, because a file of a few lines
can grow to gigabytes with them, and because what a reader sees should be what runs. The text of a scalar stays as it was written, so
that `30` is not taken for a duration, nor `no` for a boolean.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from mocknode.text.units import format_size

FILE_MAX: Final = 256 << 10
"""Bytes of a scenario file; the largest scenario that people write by hand is a tenth of this, and reading takes half a second."""
DEPTH_MAX: Final = 24
"""Nested mappings and lists; a wait inside `parallel` inside two loops is at depth 15."""
MISTAKES_SHOWN: Final = 50
"""Mistakes that are listed; whoever has more has given a file of another kind."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: twenty times faster."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file, counted from 1; line 0 is no place in the file."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake: where it is, what was got, and what is allowed."""

    at: Position
    text: str


class ScenarioError(ValueError):
    """A scenario cannot be used.

    Attributes:
        source: Name of the file.
        mistakes: All mistakes, in the order of the file.
    """

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return one line for each mistake, `file:line:column: text`."""
        shown = self.mistakes[:MISTAKES_SHOWN]
        found = [
            f"{self.source}:{mistake.at.line}:{mistake.at.column}: {mistake.text}"
            if mistake.at.line
            else f"{self.source}: {mistake.text}"
            for mistake in shown
        ]
        hidden = len(self.mistakes) - len(shown)
        return [*found, f"{self.source}: and {hidden} more mistakes"] if hidden else found


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value.

    Attributes:
        text: The value as it is written, without quotes.
        quoted: Whether it has quotes, and is therefore text.
        variable: Name of the variable that it came from; empty if it stands in the file.
    """

    text: str
    quoted: bool
    at: Position
    variable: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is written, as after `key:`."""
        return not self.text and not self.quoted

    def used_at(self, at: Position, variable: str) -> "Scalar":
        """Return the value as it is used at another place, through a variable."""
        return replace(self, at=at, variable=variable)

    def __str__(self) -> str:
        """Return the value for messages."""
        shown = "nothing" if self.empty else repr(self.text)
        return f"{shown} (from ${self.variable})" if self.variable else shown


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    items: tuple["Node", ...]
    at: Position

    def __str__(self) -> str:
        """Return what it is, for messages."""
        return "a list"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping."""

    pairs: tuple[tuple[Scalar, "Node"], ...]
    at: Position

    def __str__(self) -> str:
        """Return what it is, for messages."""
        return "a mapping"


Node = Scalar | Listing | Table


def load(path: Path) -> str:
    """Return the text of a scenario file. A byte order mark and line ends of Windows are fine.

    Raises:
        ScenarioError: the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX + 1)
            size = path.stat().st_size
    except OSError as exc:
        raise ScenarioError(str(path), [Mistake(Position(), exc.strerror or str(exc))]) from exc
    if len(content) > FILE_MAX:
        limit = f"got a file of {format_size(size)}, allowed: up to {format_size(FILE_MAX)}"
        raise ScenarioError(str(path), [Mistake(Position(1, 1), limit)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = content[: exc.start]
        at = Position(before.count(b"\n") + 1, exc.start - before.rfind(b"\n"))
        raise ScenarioError(
            str(path), [Mistake(at, f"got byte 0x{content[exc.start]:02x}, allowed: UTF-8 text")]
        ) from exc


def read(text: str, source: str) -> Node:
    """Return the tree of the only document in a text.

    Raises:
        ScenarioError: it is no YAML, or uses a part of YAML that scenarios do not have.
    """
    composer = _Composer()
    try:
        node = composer.document(yaml.parse(text, Loader=_LOADER))
    except _StopError as exc:
        raise ScenarioError(source, [*composer.mistakes, exc.mistake]) from None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        at = Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
        raise ScenarioError(source, [*composer.mistakes, Mistake(at, _problem(exc, text, at))]) from exc
    except (yaml.reader.ReaderError, UnicodeEncodeError) as exc:
        raise ScenarioError(source, [Mistake(_first_control(text), f"got a control character: {exc.reason}")]) from exc
    if composer.mistakes:
        raise ScenarioError(source, composer.mistakes)
    return node


def _problem(exc: yaml.MarkedYAMLError, text: str, at: Position) -> str:
    lines = text.splitlines()
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    if "\t" in line[: at.column] or line.startswith("\t"):
        return "got a tab, allowed: spaces for indentation"
    return f"not YAML: {exc.problem or exc.context}"


def _first_control(text: str) -> Position:
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            if not (character.isprintable() or character in "\t\r"):
                return Position(number, column)
    return Position(1, 1)


class _StopError(Exception):
    """A mistake after which nothing more can be read."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake
        super().__init__(mistake.text)


class _Composer:
    """Makes the tree from the parser's events, and collects what scenarios do not have."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def document(self, events: Iterator[yaml.Event]) -> Node:
        found: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and found is not None:
                raise _StopError(Mistake(_at(event), "got a second document, allowed: one scenario in a file"))
            if isinstance(event, yaml.NodeEvent):
                found = self._node(event, events, 1)
        return Scalar("", quoted=False, at=Position(1, 1)) if found is None else found

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        at = _at(event)
        if depth > DEPTH_MAX:
            raise _StopError(
                Mistake(at, f"got more than {DEPTH_MAX} levels, one inside the other; allowed: {DEPTH_MAX}")
            )
        self._refuse_extras(event, at)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, quoted=bool(event.style), at=at)
        if isinstance(event, yaml.SequenceStartEvent):
            return Listing(tuple(self._items(events, depth)), at)
        if isinstance(event, yaml.MappingStartEvent):
            return Table(tuple(self._pairs(events, depth)), at)
        # An alias; its mistake is noted already.
        return Scalar("", quoted=False, at=at)

    def _items(self, events: Iterator[yaml.Event], depth: int) -> Iterator[Node]:
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            yield self._node(event, events, depth + 1)

    def _pairs(self, events: Iterator[yaml.Event], depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Position] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self.mistakes.append(Mistake(key.at, f"got {key} as a key, allowed: a word"))
            elif key.text in seen:
                where = seen[key.text].line
                self.mistakes.append(Mistake(key.at, f"got {key.text!r} twice; it is given in line {where} already"))
            else:
                seen[key.text] = key.at
                yield key, value

    def _refuse_extras(self, event: yaml.Event, at: Position) -> None:
        anchor: str | None = getattr(event, "anchor", None)
        tag: str | None = getattr(event, "tag", None)
        if anchor:
            what = "alias *" if isinstance(event, yaml.AliasEvent) else "anchor &"
            self.mistakes.append(Mistake(at, f"got the {what}{anchor}, allowed: parameters, written $name"))
        if tag:
            self.mistakes.append(Mistake(at, f"got the tag {tag}, allowed: values without a tag"))


def _at(event: yaml.Event) -> Position:
    mark = event.start_mark
    return Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
