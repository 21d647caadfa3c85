"""Advice on causes that several checks find."""

from typing import Final

from mocknode.judge.verdict.cause import Advice

PROBE_WHILE_IDLE: Final = Advice(
    do="Probe as often while there is no traffic as under load, every 5 s or less.",
    costs="One small request per probe to each node, even without traffic.",
)
RETRY_FAILED_CONNECTIONS_ONLY: Final = Advice(
    do="Retry a request on another node only when the connection failed, never after it was sent; no retries on timeouts or 5xx.",
    costs="A request that reached a failing node fails, and the client has to decide whether to repeat it.",
)
PASS_ON_BROKEN_TRANSFERS: Final = Advice(
    do="Update or replace the product; a body or answer that broke off must end in a broken connection, never in a complete one.",
    costs="An upgrade.",
)
