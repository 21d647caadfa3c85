"""Reads the fields of verbs, conditions and streams as they are declared, and notes every mistake with its position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mocknode.script.declared import ConditionShape, Field, StreamShape, Verb
from mocknode.script.model import Condition
from mocknode.script.reading import Listing, Mistake, Node, Position, Scalar, Table
from mocknode.script.values import NODE, STREAM, UPLOADS, Kind
from mocknode.text.suggestions import did_you_mean

_NUMBERS: Final = frozenset("0123456789.-+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A mapping such as `{wait: ..., within: 60s}`: the word that says what it is, its value, and the other keys."""

    word: Scalar
    value: Node | None
    beside: tuple[tuple[Scalar, Node], ...] = ()


class FieldReader:
    """Reads fields, with what is known of the file so far.

    Attributes:
        mistakes: All mistakes so far; the same one can be noted several times.
        variables: Values of parameters and loops by name; None for one whose own mistake is noted already.
        nodes: Names of the nodes; empty where the file does not say how many there are.
        streams: Names of the streams, and whether each uploads.
    """

    def __init__(self, conditions: Mapping[str, ConditionShape]) -> None:
        self.mistakes: list[Mistake] = []
        self.variables: dict[str, Scalar | None] = {}
        self.nodes: tuple[str, ...] = ()
        self.streams: dict[str, bool] = {}
        self._conditions = conditions

    def word(self, node: Node, words: Sequence[str], what: str) -> Entry | None:
        """Find the word that says what a mapping, or a value alone, is; None after a mistake."""
        if isinstance(node, Scalar) and node.text in words:
            return Entry(node, None)
        if not isinstance(node, Table) or not node.pairs:
            self.wrong(node.at, f"got {node}, allowed: a {what}, one of {', '.join(words)}{self._hint(node, words)}")
            return None
        found = [(key, value) for key, value in node.pairs if key.text in words]
        if not found:
            self.unknown(node.pairs[0][0], what, words)
            return None
        key, value = found[0]
        beside = tuple(pair for pair in node.pairs if pair[0] is not key)
        return Entry(key, None if isinstance(value, Scalar) and value.empty else value, beside)

    def read(self, shape: Verb | ConditionShape | StreamShape, entry: Entry) -> dict[str, Any]:
        """Return the arguments of a verb, a condition or a stream; a field with a mistake is missing."""
        name, value, beside = entry.word.text, entry.value, list(entry.beside)
        short = next((field for field in shape.fields if field.name == shape.short), None)
        pairs = beside
        if value is not None:
            if short is not None and short.kind is None:
                inner, lifted = self._split(value, shape.fields)
                pairs = [(Scalar(short.name, quoted=False, at=entry.word.at), inner), *lifted, *beside]
            elif isinstance(value, Table):
                pairs = [*value.pairs, *beside]
            elif short is not None:
                pairs = [(Scalar(short.name, quoted=False, at=entry.word.at), value), *beside]
            else:
                allowed = ", ".join(field.name for field in shape.fields)
                self.wrong(value.at, f"{name}: got {value}, allowed: a mapping with {allowed}")
                return {}
        before = len(self.mistakes)
        args = self._fields(pairs, shape.fields, name, entry.word.at)
        if len(self.mistakes) == before and shape.check is not None and (wrong := shape.check(args)):
            self.wrong(entry.word.at, f"{name}: {wrong}")
        return args

    def plain(self, node: Node, fields: Sequence[Field], what: str, also: Sequence[str] = ()) -> dict[str, Any]:
        """Return the fields of a mapping that no word names.

        Args:
            also: Keys that are allowed, but read by the caller.
        """
        if not isinstance(node, Table):
            self.wrong(
                node.at, f"{what}: got {node}, allowed: a mapping with {', '.join(field.name for field in fields)}"
            )
            return {}
        return self._fields(node.pairs, fields, what, node.at, also)

    def condition(self, node: Node) -> Condition | None:
        """Return a condition; None after a mistake."""
        entry = self.word(node, list(self._conditions), "condition")
        if entry is None:
            return None
        before = len(self.mistakes)
        args = self.read(self._conditions[entry.word.text], entry)
        return Condition(word=entry.word.text, args=args) if len(self.mistakes) == before else None

    def scalar(self, node: Node, kind: Kind, prefix: str = "") -> Any:
        """Return a value of a kind; None after a mistake."""
        found = self.resolved(node)
        if found is None:
            return None
        if not isinstance(found, Scalar):
            self.wrong(found.at, f"{prefix}got {found}, allowed: {kind.allowed}")
            return None
        if found.empty or not _fits(found, kind):
            self.wrong(found.at, f"{prefix}got {_as_typed(found)}, allowed: {kind.allowed}")
            return None
        try:
            value = kind.read(found.text)
        except ValueError as exc:
            shown = str(exc).replace(f"got {found.text!r}", f"got {found}", 1)
            self.wrong(found.at, f"{prefix}{shown}")
            return None
        return value if self._is_known(found, value, kind, prefix) else None

    def resolved(self, node: Node) -> Node | None:
        """Return the value of a variable, or the node itself if it names none; None after a mistake."""
        if not isinstance(node, Scalar) or not node.text.startswith("$") or node.quoted:
            return node
        name = node.text[1:]
        if name not in self.variables:
            allowed = [f"${known}" for known in self.variables]
            self.wrong(
                node.at,
                f"got the variable {node.text!r}, allowed: {', '.join(allowed) or 'none here'}{did_you_mean(node.text, allowed)}",
            )
            return None
        value = self.variables[name]
        return None if value is None else value.used_at(node.at, name)

    def unknown(self, key: Scalar, what: str, allowed: Sequence[str]) -> None:
        """Note a word that does not exist."""
        self.wrong(
            key.at,
            f"unknown {what} {key.text!r}, allowed: {', '.join(allowed) or 'none'}{did_you_mean(key.text, allowed)}",
        )

    def wrong(self, at: Position, text: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(at, text))

    def pairs(self, node: Node | None, what: str) -> Sequence[tuple[Scalar, Node]]:
        """Return keys and values of a mapping, and nothing after a mistake."""
        if node is None or isinstance(node, Table):
            return self.pairs_if(node)
        self.wrong(node.at, f"{what}: got {node}, allowed: a mapping")
        return ()

    def pairs_if(self, node: Node | None) -> Sequence[tuple[Scalar, Node]]:
        """Return keys and values of a mapping, and nothing for anything else."""
        return node.pairs if isinstance(node, Table) else ()

    def items(self, node: Node | None, what: str) -> Sequence[Node]:
        """Return the entries of a list, and nothing after a mistake."""
        if isinstance(node, Listing):
            return node.items
        if node is not None:
            self.wrong(node.at, f"got {node}, allowed: a list of {what}")
        return ()

    def place_of(self, node: Node, name: str) -> Position:
        """Return where the value of a key stands, or else its mapping."""
        return next((value.at for key, value in self.pairs_if(node) if key.text == name), node.at)

    def _fields(
        self,
        pairs: Sequence[tuple[Scalar, Node]],
        fields: Sequence[Field],
        what: str,
        at: Position,
        also: Sequence[str] = (),
    ) -> dict[str, Any]:
        known = {field.name: field for field in fields}
        args: dict[str, Any] = {}
        seen: set[str] = set()
        for key, value in pairs:
            if key.text in also:
                continue
            if key.text not in known:
                self.unknown(key, f"field of {what}:", [*known, *also])
            elif key.text in seen:
                self.wrong(key.at, f"{what}: got {key.text!r} twice")
            else:
                args[key.text] = self._value(known[key.text], value, what)
            seen.add(key.text)
        for field in fields:
            if field.required and field.name not in seen:
                kind = f"; allowed: {field.kind.allowed}" if field.kind is not None else "; allowed: a condition"
                self.wrong(at, f"{what}: the key {field.name!r} is missing: {field.about.rstrip('.')}{kind}")
            args.setdefault(field.name, field.default)
        return args

    def _value(self, field: Field, node: Node, what: str) -> Any:
        if not field.many:
            return self._one(field, node, f"{what}: {field.name}: ")
        if isinstance(node, Listing):
            if field.required and not node.items:
                self.wrong(node.at, f"{what}: {field.name}: got an empty list, allowed: at least one")
            return tuple(self._one(field, item, f"{what}: {field.name}: ") for item in node.items)
        return (self._one(field, node, f"{what}: {field.name}: "),)

    def _one(self, field: Field, node: Node, prefix: str) -> Any:
        return self._look(node) if field.kind is None else self.scalar(node, field.kind, prefix)

    def _look(self, node: Node) -> Condition | None:
        """Read a condition that is looked at during the run."""
        found = self.condition(node)
        if found is None or self._conditions[found.word].look is not None:
            return found
        self.wrong(
            node.at,
            f"got {found.word!r}, which is known only when the run is over; allowed: under `expect:` of the file",
        )
        return None

    def _split(self, node: Node, fields: Sequence[Field]) -> tuple[Node, list[tuple[Scalar, Node]]]:
        """Divide `{quiet: node-1, for: 15s}` into the condition and the fields of the verb around it."""
        if not isinstance(node, Table):
            return node, []
        word = next((key.text for key, _ in node.pairs if key.text in self._conditions), None)
        inner = {field.name for field in self._conditions[word].fields} if word else set()
        outer = {field.name for field in fields if field.kind is not None} - inner
        lifted = [pair for pair in node.pairs if pair[0].text in outer]
        return Table(tuple(pair for pair in node.pairs if pair[0].text not in outer), node.at), lifted

    def _is_known(self, found: Scalar, value: Any, kind: Kind, prefix: str) -> bool:
        """Note a node or a stream that the file does not have."""
        known: Sequence[str] = ()
        if kind is NODE:
            known = self.nodes
        elif kind in (STREAM, UPLOADS):
            known = [name for name, uploads in self.streams.items() if uploads or kind is STREAM]
        if value in known or kind not in (NODE, STREAM, UPLOADS) or (kind is NODE and not known):
            return True
        what = "node" if kind is NODE else "stream"
        why = ", which uploads nothing" if value in self.streams else ""
        allowed = ", ".join(known) or "none"
        self.wrong(found.at, f"{prefix}got {what} {found}{why}, allowed: {allowed}{did_you_mean(value, known)}")
        return False

    def _hint(self, node: Node, words: Sequence[str]) -> str:
        return did_you_mean(node.text, words) if isinstance(node, Scalar) else ""


def _fits(scalar: Scalar, kind: Kind) -> bool:
    """Whether a value has the JSON type that the kind's schema asks for, so that an editor and this reader agree."""
    if scalar.variable or not scalar.at.line:
        return True
    numeric = kind.schema.get("type") == "integer"
    if numeric:
        return not scalar.quoted
    return scalar.quoted or "anyOf" in kind.schema or not is_typed(scalar.text)


def is_typed(text: str) -> bool:
    """Whether YAML takes an unquoted value for a number, a boolean or null."""
    if text.lower() in ("true", "false", "null", "~", "yes", "no", "on", "off"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return text[0] in _NUMBERS


def _as_typed(scalar: Scalar) -> str:
    if scalar.empty:
        return "nothing"
    if scalar.quoted:
        return f"the text {scalar.text!r}"
    return f"{scalar.text} without quotes" if is_typed(scalar.text) else str(scalar)
