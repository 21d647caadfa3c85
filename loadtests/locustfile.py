"""Users of an Octopus server behind a load balancer.

By hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --octopus-key API-... --sizes 64KiB..16MiB`. `mocknode load`
runs the same file and joins what it records with the nodes' journals.
"""

import argparse
import itertools
import os
import random
import time
import uuid
from pathlib import Path
from typing import Any

import gevent
import locust.stats
from locust import User, between, constant_pacing, events, task
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.arrivals import Arrivals
from loadtests.audit import Audit
from loadtests.content import PackageBody
from loadtests.exchange import Door, Exchange
from loadtests.records import Records
from loadtests.sizes import Sizes, parse_sizes


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    parser.add_argument("--octopus-key", env_var="MOCKNODE_LOAD_KEY", default="", is_secret=True, help="API key.")
    parser.add_argument("--space", default="Spaces-1", help="Id of the space to push to.")
    parser.add_argument("--sizes", type=_sizes, default="64KiB..16MiB", help="Package sizes.")
    parser.add_argument("--forms", default="chunked,length", help="Framing of uploads: chunked, length, or both.")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="Open loop: uploads a second of all pushers; 0 = closed."
    )
    parser.add_argument("--pushers", type=int, default=0, help="How many of the users push; 0 leaves it to weights.")
    parser.add_argument("--browsers", type=int, default=0, help="How many of them browse the portal.")
    parser.add_argument("--monitors", type=int, default=0, help="How many of them ping.")
    parser.add_argument("--link", type=float, default=0.0, help="Bytes a second of each pusher's uplink; 0 = no limit.")
    parser.add_argument("--push-timeout", type=float, default=600.0, help="Seconds, as the .NET client has it.")
    parser.add_argument("--records", default="", help="Directory for attempts and audit samples.")
    parser.add_argument("--ca", default="", help="CA to trust.")
    parser.add_argument("--accept-any-certificate", action="store_true")
    parser.add_argument("--connect-to", default="", help="Address to connect to instead of the host's.")
    parser.add_argument("--ask-for", default="", help="Host header and TLS name.")
    parser.add_argument("--seed", type=int, default=1)


def _sizes(text: str) -> str:
    """Refused on the command line; kept as text, since options travel from master to workers."""
    try:
        parse_sizes(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
    return text


def _three_digits(milliseconds: float) -> int:
    """The key of locust's own histograms, which it merges across workers; its own has two digits, half a second at 14.5 s."""
    return round(round(milliseconds, -max(0, len(str(int(milliseconds))) - 3)))


locust.stats.bucket_response_time = _three_digits


class Bench:
    """What the users of one process share."""

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        self.options = options
        self.events = environment.events
        self.door = Door(
            url=environment.host or "",
            address=options.connect_to or None,
            name=options.ask_for or None,
            ca=options.ca or None,
            insecure=options.accept_any_certificate,
        )
        self.credentials = [("X-Octopus-ApiKey", options.octopus_key), ("Accept", "application/json")]
        self.records = Records(Path(options.records) if options.records else None)
        self.audit = Audit(self.records, self.door.target)
        self.sizes: Sizes = parse_sizes(options.sizes)
        self.forms = itertools.cycle(options.forms.split(","))
        # Workers draw from streams of their own; one process repeats its sizes and pauses for the same seed.
        self.rng = random.Random(f"{options.seed}-{os.getpid() if options.worker else 0}")
        workers = max(options.expect_workers, 1) if options.worker else 1
        self.arrivals = Arrivals(options.rate / workers, self.rng) if options.rate else None

    def run(self, exchange: Exchange, name: str, *, body: PackageBody | None = None) -> None:
        """Run an exchange, record it, and tell locust."""
        # locust ends users that wait by an exception that reaches them at their next turn, which for one that has just woken
        # up would be in the middle of an upload. Here it arrives before anything is sent.
        gevent.sleep(0)
        exchange.start_ns = time.monotonic_ns()
        exchange.due_ns = exchange.due_ns or exchange.start_ns
        self.audit.sent += 1
        self.records.start(exchange, name, body.size if body else None, body.form if body else None)
        exchange.run(self.door)
        self.records.end(exchange, body.sha1 if body else None)
        failure = (
            None if exchange.told == "acknowledged" else f"{exchange.status or exchange.end}: {exchange.error or ''}"
        )
        self.events.request.fire(
            request_type=exchange.method, name=name, response_time=(exchange.end_ns - exchange.due_ns) / 1e6,
            response_length=len(exchange.answer), exception=Exception(failure) if failure else None, context={},
        )  # fmt: skip


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    for cls, count in ((CiPusher, options.pushers), (PortalBrowser, options.browsers), (Monitor, options.monitors)):
        cls.fixed_count = count
    if isinstance(environment.runner, MasterRunner):
        return
    environment.bench = Bench(environment)  # type: ignore[attr-defined]
    gevent.spawn(environment.bench.audit.run)  # type: ignore[attr-defined]


@events.user_error.add_listener
def _count_error(user_instance: User, **_: Any) -> None:
    user_instance.environment.bench.audit.errors += 1  # type: ignore[attr-defined]


@events.test_stopping.add_listener
def _count_missed(environment: Environment, **_: Any) -> None:
    bench = getattr(environment, "bench", None)
    if bench is not None and bench.arrivals is not None:
        bench.audit.missed = bench.arrivals.overdue(time.monotonic_ns())


@events.quitting.add_listener
def _last_sample(environment: Environment, **_: Any) -> None:
    if (bench := getattr(environment, "bench", None)) is not None:
        bench.audit.sample()


class CiPusher(User):
    """A build that pushes one package after another, each on a connection of its own, as build steps do.

    Closed loop: the next push follows the last. Open loop (`--rate`): pushes have their times, whether or not a pusher is free
    by then; one that starts late counts from when it was due.
    """

    due_ns = 0

    def on_start(self) -> None:
        """Wait for the first turn."""
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Seconds until the next push of this user."""
        arrivals = self.environment.bench.arrivals  # type: ignore[attr-defined]
        if arrivals is None:
            return 0.0
        self.due_ns = arrivals.take(time.monotonic_ns())
        return max(0.0, (self.due_ns - time.monotonic_ns()) / 1e9)

    @task
    def push(self) -> None:
        """Push one package that no other attempt has pushed."""
        bench: Bench = self.environment.bench  # type: ignore[attr-defined]
        options = bench.options
        body = PackageBody(attempt=uuid.uuid4().hex, size=bench.sizes.draw(bench.rng), form=next(bench.forms))
        exchange = Exchange(
            attempt=body.attempt,
            method="POST",
            path=f"/api/{options.space}/packages/raw?overwriteMode=FailIfExists",
            headers=[*bench.credentials, ("Content-Type", body.content_type)],
            body=body.pieces(),
            length=body.total if body.form == "length" else None,
            link=options.link or None,
            timeout_s=options.push_timeout,
            due_ns=self.due_ns,
        )
        bench.run(exchange, "push", body=body)


class PortalBrowser(User):
    """Somebody who looks at the portal: a page every 5 to 10 seconds, as SeaMonkey's load simulation reads, of pages that nodes have."""

    wait_time = between(5, 10)
    pages = (
        "/api",
        "/api/{space}",
        "/api/{space}/packages?take=30",
        "/api/octopusservernodes",
        "/api/users/me",
        "/api/serverstatus",
    )

    @task
    def browse(self) -> None:
        """Read one page."""
        bench: Bench = self.environment.bench  # type: ignore[attr-defined]
        path = bench.rng.choice(self.pages).format(space=bench.options.space)
        bench.run(Exchange(attempt=uuid.uuid4().hex, method="GET", path=path, headers=bench.credentials), "browse")


class Monitor(User):
    """A monitoring system that pings through the balancer every second; a draining node's 418 is a good answer to it."""

    wait_time = constant_pacing(1)

    @task
    def ping(self) -> None:
        """Ping once."""
        bench: Bench = self.environment.bench  # type: ignore[attr-defined]
        path = "/api/octopusservernodes/ping"
        bench.run(Exchange(attempt=uuid.uuid4().hex, method="GET", path=path, fine=frozenset({418})), "ping")
