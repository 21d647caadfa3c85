"""What stands before every resource: the redirect to HTTPS and the rate limiter."""

import time

from mocknode.mock.data.directory import User
from mocknode.mock.node.http.exchange import Exchange
from mocknode.mock.node.http.request_facts import RequestFacts
from mocknode.mock.node.rest.limiter import Decision, Limiter
from mocknode.mock.node.rest.problems import ProblemError
from mocknode.mock.node.web import WebSettings, networks


class Gate:
    """The gate of one node; its limiter's state is the node's own."""

    def __init__(self, web: WebSettings) -> None:
        self._web = web
        self._trusted = networks(web.trusted_proxies)
        self._users = None if web.rate is None else Limiter(web.rate)
        self._others = None if web.anonymous_rate is None else Limiter(web.anonymous_rate)

    def secure(self, facts: RequestFacts) -> bool:
        """Return whether the client speaks TLS, to this node or to a trusted proxy."""
        return facts.secure(self._trusted)

    def redirect(self, facts: RequestFacts, https_address: str | None) -> ProblemError | None:
        """Return the redirect that a plain request gets where HTTPS is forced.

        The location is the configured URL or this node's own HTTPS address; it was built from the Host header once, which
        let others steer it (CVE-2020-26161).
        """
        if self._web.force_ssl is None or self.secure(facts):
            return None
        base = self._web.external_url or f"https://{https_address}"
        location = base.rstrip("/") + "/" + facts.target.lstrip("/")
        return ProblemError(
            self._web.force_ssl, "This server is reached by HTTPS.", headers=[(b"location", location.encode("latin-1"))]
        )

    def charge(self, exchange: Exchange, user: User | None) -> None:
        """Take a token from the sender's bucket, and put the limiter's headers on the answer.

        Raises:
            ProblemError: 429, the bucket is empty.
        """
        limiter = self._users if user is not None else self._others
        if limiter is None:
            return
        caller = user.id if user is not None else exchange.facts.client(self._trusted)
        decision: Decision = limiter.take(caller, time.monotonic())
        refused = not decision.allowed and not self._web.rate_audit
        exchange.answer_also(decision.refusal if refused else decision.advisory)
        if refused:
            raise ProblemError(
                429,
                f"Too many requests: {decision.rate.per_minute} a minute are allowed. Try again in {decision.retry_in_s} s.",
            )
