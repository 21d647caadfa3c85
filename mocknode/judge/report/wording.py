"""Has the words and signs that all formats share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mocknode.judge.balancers import title
from mocknode.judge.report.schema import ReportedBalancer
from mocknode.text.foreign import plain
from mocknode.text.units import format_duration, format_size

# A figure is one cell of a line; longer text is in the evidence of the JSON.
FIGURE_CHARACTERS_MAX: Final = 80
# A list of a few nodes or sizes is readable on one line; a list of attempt ids is not.
LIST_MAX: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """How an outcome is shown: a character, a terminal style, and its name in a legend, for one and for many."""

    mark: str
    style: str
    legend: str
    one: str
    many: str


SIGNS: Final[Mapping[str, Sign]] = {
    "fail": Sign(mark="✗", style="bold red", legend="core fault", one="core fault", many="core faults"),
    "unknown": Sign(mark="?", style="bold magenta", legend="unknown", one="unknown", many="unknown"),
    "advice": Sign(mark="·", style="yellow", legend="advice", one="advice", many="advice"),
    "limitation": Sign(mark="L", style="blue", legend="limitation", one="limit", many="limits"),
    "observed": Sign(mark="o", style="cyan", legend="observed", one="observed", many="observed"),
    "accepted": Sign(mark="A", style="dim", legend="accepted", one="accepted", many="accepted"),
    "pass": Sign(mark="✓", style="green", legend="pass", one="pass", many="pass"),
    "skip": Sign(mark="–", style="dim", legend="skipped", one="skipped", many="skipped"),
}
WORST_FIRST: Final = tuple(SIGNS)

RESULTS: Final[Mapping[str, str]] = {
    "conformant": "CONFORMANT",
    "passed": "PASSED",
    "limited": "CONFORMANT WITHIN LIMITS",
    "partial": "PARTIAL",
    "nonconformant": "NOT CONFORMANT",
    "untrusted": "NOT TO BE TRUSTED",
}

# Evidence names attempts so that they can be found in the record; readers of figures do not need them.
_LOOKUPS: Final = ("attempt", "attempts")
# Every character of ours that ASCII lacks. Any other character, such as one in a package's name, becomes a question mark.
_ASCII: Final = str.maketrans(
    {"±": "+-", "…": "...", "→": "->", "—": "-"} | dict(zip("✓✗·–×▓┄┤✂▶━╌•▒░≈", "+x.-x#.|%>=-o/:~", strict=True))
)


def ascii_only(text: str) -> str:
    """Return the text in ASCII."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def counted(count: int, outcome: str) -> str:
    """Return a number of outcomes in words: `2 core faults`."""
    return f"{count} {SIGNS[outcome].one if count == 1 else SIGNS[outcome].many}"


def product(balancer: ReportedBalancer) -> str:
    """Return the name of a balancer: `HAProxy 2.8.25 stock (detected)`."""
    kind = balancer["kind"]
    if kind is None:
        return "balancer unknown"
    how = [balancer["version"], balancer["mode"], "(detected)" if balancer["detected"] else None]
    return plain(" ".join([title(kind), *(word for word in how if word)]))


def seconds(value: float) -> str:
    """Format a measured time: `50.02 s`, `250 ms`, `2 m 10 s`, with two decimals up to two minutes."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + " s" if value == 0 or 1 <= value < 120 else format_duration(value)


def figures(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of each fact: `cut_after_s: 50.02` gives `cut after` and `50.02 s`.

    Long lists and nested facts are left to the raw evidence.
    """
    found = []
    for key, value in evidence.items():
        if key in _LOOKUPS:
            continue
        values = value if isinstance(value, list) else [value]
        if 0 < len(values) <= LIST_MAX and not any(item is None or isinstance(item, (dict, list)) for item in values):
            found.append((plain(_unitless(key)), ", ".join(_figure(key, item) for item in values)))
    return found


def _unitless(key: str) -> str:
    return re.sub(r"_(s|bytes|percent)$", "", key).replace("_", " ")


def _figure(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        if key.endswith("_s"):
            return seconds(value)
        if key.endswith("bytes"):
            return format_size(int(value))
        return f"{value:g} %" if key.endswith("_percent") else f"{value:,}"
    text = plain(value)
    return text if len(text) <= FIGURE_CHARACTERS_MAX else text[: FIGURE_CHARACTERS_MAX - 1] + "…"
