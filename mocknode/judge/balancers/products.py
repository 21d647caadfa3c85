"""Products by their kind: titles, and the lines of `other_products.yaml` for those that we do not start."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from mocknode.judge.balancers.registry import ADAPTERS

UNKNOWN: Final = "unknown"
"""Kind of a balancer whose product nobody named or detected."""


def title(kind: str) -> str:
    """Return the name of a product in a sentence; a kind that we have no title for is shown as it is."""
    if kind in ADAPTERS:
        return ADAPTERS[kind].title
    if kind == UNKNOWN:
        return "any other"
    found: str = _others()["titles"].get(kind, kind)
    return found


def other_lines(slug: str) -> Mapping[str, str]:
    """Return what fixes a cause in the products that we do not start, by kind."""
    found: Mapping[str, str] = _others()["fixes"].get(slug, {})
    return found


def kinds_with_fixes() -> frozenset[str]:
    """Return the kinds for which we have lines of their own, including those that we do not start."""
    return frozenset({*ADAPTERS, *(kind for lines in _others()["fixes"].values() for kind in lines)})


@functools.cache
def _others() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("other_products.yaml").read_text(encoding="utf-8")
    data: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return data
