"""Ledgers of runs, by class."""

from mocknode.judge.record.ledger import Ledger, LedgerCounts

NO_UPLOADS: LedgerCounts = Ledger(attempts=0, counts={}, provoked=0).document()
UPLOADS: LedgerCounts = Ledger(
    attempts=42,
    counts={"delivered_once": 36, "stored_but_reported_failed": 4, "refused": 1, "broken_off": 1},
    provoked=6,
).document()
