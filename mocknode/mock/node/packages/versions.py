"""The order of versions: SemVer with up to four numbers, as the feed orders them; build metadata does not count."""

import re
from collections.abc import Iterable
from typing import Any, Final

from mocknode.mock.data.store import Package

_NUMBERS: Final = 4


def version_key(version: str) -> tuple[Any, ...]:
    """Return a key that sorts versions, lowest first."""
    core, _, rest = version.partition("+")[0].partition("-")
    numbers = [int(number) for number in core.split(".")]
    numbers += [0] * (_NUMBERS - len(numbers))
    # A release is higher than all its pre-releases; numbers in those are lower than words.
    labels = [
        (0, int(label), "") if re.fullmatch(r"[0-9]+", label) else (1, 0, label.lower()) for label in rest.split(".")
    ]
    return (*numbers, 0, labels) if rest else (*numbers, 1, [])


def newest_first(packages: Iterable[Package]) -> list[Package]:
    """Return packages by version, highest first."""
    return sorted(packages, key=lambda package: version_key(package.version), reverse=True)


def latest_of_each(packages: Iterable[Package]) -> list[Package]:
    """Return the highest version of each id, by id."""
    highest: dict[str, Package] = {}
    for package in newest_first(packages):
        highest.setdefault(package.package_id.lower(), package)
    return [highest[id_] for id_ in sorted(highest)]
