"""Leaves out what the nodes journalled before a run: old evidence says nothing about the balancer that stands in front now."""

from collections.abc import Mapping
from typing import Any, Final

_KEYS: Final = {"request": "req", "connection": "conn"}
_BEGINS: Final = ("head", "whole", "open")
_ENDS: Final = ("end", "close")


class Since:
    """Sorts the journal lines of one cluster into those of a run and older ones.

    Args:
        since_ns: When the run began, on the nodes' clock.

    Attributes:
        probed_before: Whether a ping that did not come through a balancer is among the older lines.
    """

    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns
        self._old: set[tuple[str, str, int, int]] = set()
        self.probed_before = False

    def keeps(self, record: Mapping[str, Any]) -> bool:
        """Return whether a line belongs to the run: it is not older, nor the rest of an exchange that began before."""
        kind = record["kind"]
        if kind == "dropped":
            # A journal that is full stays full, so what was dropped before the run limits its evidence too.
            return True
        old = int(record["t_ns"]) < self._since_ns
        if kind not in _KEYS:
            self.probed_before |= old and kind == "probe" and not record.get("forwarded")
            return not old
        key, phase = (kind, record["node"], record["boot"], record[_KEYS[kind]]), record["phase"]
        if phase in _BEGINS:
            if old and phase != "whole":
                self._old.add(key)
            return not old
        known_as_old = key in self._old
        if phase in _ENDS:
            self._old.discard(key)
        return not known_as_old
