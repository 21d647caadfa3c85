"""YAML files that people write: safe, strict about keys, and every error names the line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class StrictYamlError(ValueError):
    """The file cannot be read or is not valid; the message names the file and, if known, the line."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's only document, with the line of each of its parts.

    Attributes:
        content: The document as Python values; None for an empty file.
    """

    content: Any
    _root: yaml.Node | None

    def line(self, place: Sequence[int | str]) -> int:
        """Return the line of the key or entry at `place`, or of the innermost enclosing one that the file has."""
        line, node = 1, self._root
        for part in place:
            if isinstance(node, yaml.MappingNode):
                key, node = next(((k, v) for k, v in node.value if k.value == part), (None, None))
                line = line if key is None else key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


class _LineError(ValueError):
    """An error with its line, still without the name of the file."""


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses duplicate keys, of which the last one would win silently, and aliases, a few hundred bytes of which
    can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise _LineError(
                f"line {event.start_mark.line + 1}: got the alias *{event.anchor}, allowed: the value itself"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _value in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _LineError(f"line {key_node.start_mark.line + 1}: a key is a word, got {key!r}")
            if key in seen:
                raise _LineError(f"line {key_node.start_mark.line + 1}: {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Document:
    """Read the document in a file.

    Raises:
        StrictYamlError: the file cannot be read, is no YAML of plain values, or has a key twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        return Document(None if root is None else loader.construct_document(root), root)
    except OSError as exc:
        raise StrictYamlError(f"{path}: {exc.strerror}") from exc
    except _LineError as exc:
        raise StrictYamlError(f"{path}, {exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise StrictYamlError(f"{path} is not YAML: {exc}") from exc
    except ValueError as exc:
        raise StrictYamlError(f"{path}: a value, such as a date, is not valid: {exc}") from exc
