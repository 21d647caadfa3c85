"""The ledger's wait, without a cluster."""

import sys
from typing import Any

import pytest

from mocknode.pytest_plugin.ledger import Ledger, TooFewError


def test_too_few_requests_fail_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def seen(wait_s: float) -> list[dict[str, Any]]:
        waits.append(wait_s)
        return []

    assert Ledger(seen).requests() == []
    # The package has a fixture of the same name.
    monkeypatch.setattr(sys.modules[Ledger.__module__], "_WAIT_S", 0.0)
    for ask in (
        Ledger(seen).requests,
        Ledger(seen).pings,
        lambda at_least: Ledger(seen).deliveries("a.zip", at_least=at_least),
    ):
        with pytest.raises(TooFewError, match="received 0 of 2 within 0 s"):
            ask(at_least=2)
