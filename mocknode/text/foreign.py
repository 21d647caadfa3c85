"""Text from outside, made safe to show: a header, a name or an error may hold anything, even commands to the terminal."""

import re
import unicodedata
from typing import Final

_SPACE: Final = re.compile(r"\s+")


def plain(text: object) -> str:
    """Return one line without control characters, format characters (which reorder text) and lone surrogates."""
    line = _SPACE.sub(" ", str(text)).strip()
    if line.isprintable():
        return line
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in line)


def plain_lines(text: str) -> str:
    """Return a text of several lines whose lines are as safe as that of `plain`, indented as they were."""
    return "\n".join(line[: len(line) - len(line.lstrip(" "))] + plain(line) for line in text.split("\n"))


def require_printable(text: str) -> str:
    """Return a name that can be shown as it is.

    Raises:
        ValueError: the text holds control or format characters.
    """
    if not text.isprintable():
        raise ValueError(f"got {text!r}, allowed: printable characters on one line")
    return text
