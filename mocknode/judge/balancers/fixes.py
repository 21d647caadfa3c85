"""Fixes of each cause for each product, and the reasons why some product needs none or has none.

For every kind that we start, its `fixes.yaml` says of each cause exactly one of: the lines that fix it, why no configuration
of the product can (a limitation), or why the cause cannot occur with it (impossible).
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mocknode.judge.balancers.products import UNKNOWN, other_lines, title
from mocknode.judge.balancers.registry import ADAPTERS, KINDS
from mocknode.judge.verdict.cause import Cause
from mocknode.judge.verdict.outcome import Fix


def fix(kind: str, cause: Cause) -> Fix | None:
    """Return the lines that fix `cause`, or None where there are none (see `limitation` and `impossible`).

    A kind that we do not start, such as `aws-alb` or `unknown`, gets `generic_fix`.
    """
    if kind not in ADAPTERS:
        return generic_fix(cause, kind)
    found = _data(kind)["fixes"].get(cause.slug)
    return None if found is None else Fix(balancer=kind, **{name: text.strip() for name, text in found.items()})


def fitted(one: Fix, configuration: str) -> Fix:
    """Return the fix without lines to remove that the judged configuration does not have.

    A line that was to replace one of these goes as well, if another one shows what the cause is.
    """
    lines = one.snippet.splitlines()
    absent = [line for line in lines if line.startswith("- ") and not _has(configuration, line)]
    if not configuration or not absent:
        return one
    settings = {_setting(line) for line in absent}
    shown = any(line.startswith("- ") and line not in absent for line in lines)
    kept = [
        line
        for line in lines
        if line not in absent and not (shown and line.startswith("+ ") and _setting(line) in settings)
    ]
    return replace(one, snippet="\n".join(kept)) if kept else one


def _has(configuration: str, line: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(_setting(line))}(?![\w-])", configuration) is not None


def _setting(line: str) -> str:
    """Return the name that a line of a fix sets: its first word."""
    found = re.search(r"[\w-]*\w", line[2:])
    return found[0].lstrip("-") if found else line[2:]


def limitation(kind: str, cause: Cause) -> str | None:
    """Return why no configuration of this product fixes `cause`, and what to change or buy; None where one does."""
    return _reason(kind, "limitations", cause)


def impossible(kind: str, cause: Cause) -> str | None:
    """Return why `cause` cannot occur with this product; None where it can."""
    return _reason(kind, "impossible", cause)


def generic_fix(cause: Cause, kind: str = UNKNOWN) -> Fix:
    """Return the advice that is true of every product, and the lines of the product that `kind` names.

    An unknown product gets the lines of all products that we do not start.
    """
    lines = other_lines(cause.slug)
    if kind != UNKNOWN:
        lines = {name: line for name, line in lines.items() if name == kind}
    text = [cause.advice.do, *(f"{name}: {line}" for name, line in lines.items())]
    return Fix(balancer=kind, file="the balancer's configuration", snippet="\n".join(text), costs=cause.advice.costs)


def fixes_of(causes: Sequence[Cause]) -> list[tuple[str, Fix]]:
    """Return every fix of these causes once, product by product and last for any other, with the slugs that it fixes."""
    found: dict[Fix, list[str]] = {}
    for kind in KINDS:
        for cause in causes:
            if (lines := fix(kind, cause)) is not None:
                found.setdefault(lines, []).append(cause.slug)
    for cause in causes:
        found.setdefault(generic_fix(cause), []).append(cause.slug)
    return [(", ".join(slugs), lines) for lines, slugs in found.items()]


def limitations_of(causes: Sequence[Cause]) -> list[str]:
    """Return why some products cannot fix these causes, each reason once, with the product and the slugs."""
    found: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS:
        for cause in causes:
            if (reason := limitation(kind, cause)) is not None:
                found.setdefault((kind, reason), []).append(cause.slug)
    return [f"{title(kind)} ({', '.join(slugs)}): {reason}" for (kind, reason), slugs in found.items()]


def _reason(kind: str, section: str, cause: Cause) -> str | None:
    if kind not in ADAPTERS:
        return None
    reason: str | None = _data(kind).get(section, {}).get(cause.slug)
    return reason


@functools.cache
def _data(kind: str) -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / kind / "fixes.yaml").read_text(encoding="utf-8")
    data: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return data
