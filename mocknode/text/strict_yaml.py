"""YAML that people write for us: safe, strict about keys, and every complaint about it names the line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class StrictYamlError(ValueError):
    """The file cannot be read or is no such YAML; the message names the file and, where there is one, the line."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's only document, and where each of its parts stands.

    Attributes:
        content: As Python has it; None for an empty file.
    """

    content: Any
    _root: yaml.Node | None

    def line(self, place: Sequence[int | str]) -> int:
        """Line of the key or entry at `place`, or of the innermost one above it that the file has."""
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
    """What is wrong, with its line and without its file."""


class _Loader(yaml.SafeLoader):
    """Safe, and strict about duplicate keys, which YAML itself lets win silently."""

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
    """The document in a file.

    Raises:
        StrictYamlError: it cannot be read, is no YAML of plain values, or has a key twice.
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
        raise StrictYamlError(f"{path}: a value, such as a date, is none of its kind: {exc}") from exc
