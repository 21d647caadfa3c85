"""Users of an Octopus server behind a load balancer.

By hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --octopus-key API-... --sizes 64KiB..16MiB`. `mocknode load`
runs the same file and joins what it records with the nodes' journals.
"""

import argparse
import base64
import json
import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
import gevent.event
import gevent.pool
import locust.stats
from locust import User, between, constant_pacing, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner

from mocknode.load.users.arrivals import Arrivals
from mocknode.load.users.audit import Audit
from mocknode.load.users.content import Form, PackageBody
from mocknode.load.users.deltas import SIZE_MAX, WORTH, Edition, delta
from mocknode.load.users.exchange import Door, Exchange
from mocknode.load.users.plan import Plan
from mocknode.load.users.records import Records
from mocknode.load.users.shapes import parse_shape
from mocknode.load.users.sizes import parse_sizes
from mocknode.load.users.visitors import refusal

KEY = "MOCKNODE_LOAD_KEY"
PING = "/api/octopusservernodes/ping"
GO_CLIENT = "go-octopusdeploy (mocknode-load)"
TYPESCRIPT_CLIENT = "ts-octopusdeploy mocknode-load"
WATCH_S = 0.1
"""Pause between two pings that check whether the balancer answers again."""
SIGNATURE_MAX = 64 + 2 * SIZE_MAX // 2048 * 26
"""Length of the answer with the signature, in base64, of the largest package that is sent as a delta."""


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    # Never on the web UI's page, whose source would show the key.
    parser.add_argument(
        "--octopus-key",
        default="",
        include_in_web_ui=False,
        help=f"API key. {KEY} is safer: other users cannot see it.",
    )
    parser.add_argument("--space", default="Spaces-1", help="Id of the space to push to.")
    parser.add_argument(
        "--space-name", default="Default", help="Name of that space, which the GitHub Action looks it up by."
    )
    parser.add_argument("--sizes", type=_text_for(parse_sizes), default="64KiB..16MiB", help="Package sizes.")
    parser.add_argument(
        "--forms", default="chunked,length", help="Framing of uploads: chunked, length, or both separated by a comma."
    )
    parser.add_argument(
        "--rate", type=float, default=0.0, help="Uploads a second that all pushers start (open loop); 0 = closed loop."
    )
    parser.add_argument(
        "--shape",
        default="steady",
        type=_text_for(parse_shape),
        help="How many pushers are active over time, such as ramp:30s.",
    )
    parser.add_argument(
        "--uploads", type=int, default=0, help="Stop after this many uploads of all pushers; 0 = no limit."
    )
    parser.add_argument(
        "--pushers", type=int, default=0, help="How many users push one package at a time; 0 leaves it to weights."
    )
    parser.add_argument(
        "--actions",
        type=int,
        default=0,
        help="How many users push several packages in parallel, as the GitHub Action does.",
    )
    parser.add_argument(
        "--deltas", type=int, default=0, help="How many users push only what changed since their last version."
    )
    parser.add_argument("--browsers", type=int, default=0, help="How many users browse the portal.")
    parser.add_argument("--monitors", type=int, default=0, help="How many users ping.")
    parser.add_argument(
        "--link", type=float, default=0.0, help="Bytes a second that each pusher can send; 0 = no limit."
    )
    parser.add_argument(
        "--push-timeout",
        type=float,
        default=600.0,
        help="Seconds that an upload may take; the default is the .NET client's.",
    )
    parser.add_argument("--records", default="", help="Directory to record attempts and audit samples in.")
    parser.add_argument("--ca", default="", help="CA certificate (PEM) to trust.")
    parser.add_argument("--accept-any-certificate", action="store_true", help="Do not verify certificates.")
    parser.add_argument("--connect-to", default="", help="Address to connect to instead of that of --host.")
    parser.add_argument("--ask-for", default="", help="Name for the Host header and for TLS.")
    parser.add_argument("--seed", type=int, default=1, help="Seed for everything random.")


def _text_for(parse: Callable[[str], object]) -> Callable[[str], str]:
    """Check an option on the command line, but keep it as text, since options travel from master to workers."""

    def checked(text: str) -> str:
        try:
            parse(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc
        return text

    return checked


def _three_digits(milliseconds: float) -> int:
    """Return the key of a response time in locust's histograms, with three digits; locust's own two mean half a second at 14.5 s."""
    return round(round(milliseconds, -max(0, len(str(int(milliseconds))) - 3)))


locust.stats.bucket_response_time = _three_digits


class Bench:
    """State that the users of one process share."""

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        self.environment = environment
        self.options = options
        self.events = environment.events
        self.credentials = [
            ("X-Octopus-ApiKey", options.octopus_key or os.environ.get(KEY, "")),
            ("Accept", "application/json"),
        ]
        self.records = Records(Path(options.records) if options.records else None)
        self.audit = Audit(self.records)
        # With the same seed, browsers and monitors of a process repeat their pauses.
        self.rng = random.Random(f"{options.seed}-{os.getpid() if options.worker else 0}")
        self._sampling: gevent.Greenlet | None = None
        self.pushers = options.pushers + options.actions + options.deltas
        if options.shape != "steady" and not self.pushers:
            raise ValueError("--shape needs --pushers, --actions or --deltas, which say how many users there are")
        if not (environment.host or environment.web_ui or options.worker):
            raise ValueError("give --host http://HOST:PORT to upload to; with a web UI you can enter it there")

    def begin(self) -> None:
        """Start a test: time, plan and arrivals begin anew. Health is sampled from here on, since a busy start-up is harmless."""
        options = self.options
        # Not earlier, because the host may have been entered in the web UI.
        self.door = Door(
            url=self.environment.host or "",
            address=options.connect_to or None,
            name=options.ask_for or None,
            ca=options.ca or None,
            insecure=options.accept_any_certificate,
        )
        self.audit.port = self.door.target[1]
        self._sampling = self._sampling or gevent.spawn(self.audit.run)
        self.index, self.of = 0, 1
        if options.worker:
            self.of = max(options.expect_workers, 1)
            self.index = self.environment.runner.worker_index % self.of
        ours = {"index": self.index, "of": self.of}
        self.shape = parse_shape(options.shape)
        self.plan = Plan(
            parse_sizes(options.sizes), options.forms.split(","), seed=options.seed, limit=options.uploads, **ours
        )
        rng = random.Random(f"{options.seed}-arrivals")
        self.arrivals = Arrivals(options.rate, rng, self.shape.share, **ours) if options.rate else None
        self._ranks = 0
        self._began_s = time.monotonic()
        self._calm = gevent.event.Event()
        if self.shape.hold_until_s is not None:
            gevent.spawn(self._watch, self.shape.hold_until_s)

    def level(self) -> float:
        """Return the share above which one more pusher is active; all pushers of all processes get different ones."""
        rank = self._ranks * self.of + self.index
        self._ranks += 1
        return min(rank, self.pushers - 1) / self.pushers if self.pushers else 0.0

    def wait_for_turn(self, level: float) -> None:
        """Wait until a pusher of this level is active.

        Raises:
            StopUser: it will never be active again.
        """
        now_s = time.monotonic() - self._began_s
        at_s = self.shape.opens(now_s, level)
        if at_s is None:
            raise StopUser
        if at_s > now_s:
            gevent.sleep(at_s - now_s)
        if self.shape.hold_until_s is not None and at_s >= self.shape.hold_until_s:
            self._calm.wait()

    def _watch(self, from_s: float) -> None:
        """Let the storm begin as soon as a ping succeeds; all who waited start at once."""
        gevent.sleep(max(0.0, self._began_s + from_s - time.monotonic()))
        while self.run(Exchange(attempt=uuid.uuid4().hex, method="GET", path=PING), "ping").status != 200:
            gevent.sleep(WATCH_S)
        self._calm.set()

    def ask(self, path: str, name: str, *, method: str = "GET", **options: Any) -> Exchange:
        """Send a request without a body, with our credentials."""
        exchange = Exchange(attempt=uuid.uuid4().hex, method=method, path=path, headers=self.credentials, **options)
        return self.run(exchange, name)

    def upload(
        self, body: PackageBody, path: str, *, user_agent: str | None = None, due_ns: int = 0, at_once: int = 1
    ) -> Exchange:
        """Send a package or a delta to a path below the space's packages; `at_once` uploads share the uplink of one build."""
        exchange = Exchange(
            attempt=body.attempt,
            method="POST",
            path=f"/api/{self.options.space}/packages/{path}?overwriteMode=FailIfExists",
            headers=[*self.credentials, ("Content-Type", body.content_type)],
            body=body.pieces(),
            length=body.total if body.form == "length" else None,
            link=self.options.link / at_once or None,
            timeout_s=self.options.push_timeout,
            user_agent=user_agent or (TYPESCRIPT_CLIENT if body.form == "length" else GO_CLIENT),
            due_ns=due_ns,
        )
        return self.run(exchange, "push", body=body)

    def run(self, exchange: Exchange, name: str, *, body: PackageBody | None = None) -> Exchange:
        """Run an exchange, record it, and report it to locust."""
        # locust ends waiting users by an exception, which reaches them when they next yield. For a user that has just woken up that
        # would be during an upload. Yielding here makes it arrive before anything is sent.
        gevent.sleep(0)
        exchange.start_ns = time.monotonic_ns()
        exchange.due_ns = exchange.due_ns or exchange.start_ns
        self.audit.sent += 1
        self.records.start(exchange, name, body.size if body else None, body.form if body else None)
        exchange.run(self.door)
        if body and exchange.told == "acknowledged" and (other := body.foreign(exchange.answer)) is not None:
            # The client learned about another package, and nothing about its own.
            exchange.told, exchange.end = "error", "foreign-answer"
            exchange.error = f"the answer is about {other}, which is another package"
        self.records.end(exchange, body.sha1 if body else None)
        failure = (
            None if exchange.told == "acknowledged" else f"{exchange.status or exchange.end}: {exchange.error or ''}"
        )
        self.events.request.fire(
            request_type=exchange.method, name=name, response_time=(exchange.end_ns - exchange.due_ns) / 1e6,
            response_length=len(exchange.answer), exception=Exception(failure) if failure else None, context={},
        )  # fmt: skip
        return exchange


def _refuse_visitors() -> tuple[str, int] | None:
    # Flask comes with locust's web UI, and only a process that serves it needs it.
    from flask import request

    reason = refusal(request.headers)
    return None if reason is None else (f"{reason}\n", 403)


@events.init.add_listener
def _prepare(environment: Environment, **_: Any) -> None:
    # gevent's timers count from when its loop last ran. Without this, the seconds that the start took would be missing from
    # the run time, whose timer locust starts next.
    gevent.get_hub().loop.update_now()
    if environment.web_ui is not None:
        environment.web_ui.app.before_request(_refuse_visitors)
    options = environment.parsed_options
    counts = {
        CiPusher: options.pushers,
        ActionPusher: options.actions,
        DeltaPusher: options.deltas,
        PortalBrowser: options.browsers,
        Monitor: options.monitors,
    }
    for cls, count in counts.items():
        cls.fixed_count = count
    if isinstance(environment.runner, MasterRunner):
        return
    environment.bench = Bench(environment)  # type: ignore[attr-defined]


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    if (bench := getattr(environment, "bench", None)) is not None:
        bench.begin()


@events.user_error.add_listener
def _count_error(user_instance: User, **_: Any) -> None:
    user_instance.environment.bench.audit.errors += 1  # type: ignore[attr-defined]


@events.test_stopping.add_listener
def _count_missed(environment: Environment, **_: Any) -> None:
    bench = getattr(environment, "bench", None)
    # After the last upload of the plan, arrivals do not count as missed.
    if bench is not None and bench.arrivals is not None and not bench.plan.taken:
        bench.audit.missed = bench.arrivals.overdue(time.monotonic_ns())


@events.quitting.add_listener
def _last_sample(environment: Environment, **_: Any) -> None:
    if (bench := getattr(environment, "bench", None)) is not None:
        bench.audit.sample()


class Pusher(User):
    """A user who uploads while the load shape includes it."""

    abstract = True
    level = 0.0

    @property
    def bench(self) -> Bench:
        """State that the users of this process share."""
        return self.environment.bench  # type: ignore[attr-defined, no-any-return]

    def on_start(self) -> None:
        """Wait until the shape includes this user."""
        self.level = self.bench.level()
        self.wait()

    def wait_time(self) -> float:
        """Wait until the shape includes this user; return 0, so that it pushes immediately."""
        self.bench.wait_for_turn(self.level)
        return 0.0

    def planned(self) -> tuple[int, Form]:
        """Take the next upload; return its size and framing.

        Raises:
            StopUser: no upload is left.
        """
        found = self.bench.plan.take()
        if found is None:
            raise StopUser
        return found  # type: ignore[return-value]


class CiPusher(Pusher):
    """A build that pushes one package after another, each on its own connection, as build steps do.

    In a closed loop the next push follows the last. In an open loop (`--rate`) pushes are due at set times, whether or not a pusher is
    free; the latency of a late one counts from when it was due.
    """

    due_ns = 0

    def wait_time(self) -> float:
        """Return the seconds until the next push of this user."""
        arrivals = self.bench.arrivals
        if arrivals is None:
            return super().wait_time()
        self.due_ns = arrivals.take(time.monotonic_ns())
        return max(0.0, (self.due_ns - time.monotonic_ns()) / 1e9)

    @task
    def push(self) -> None:
        """Push one package that no other attempt has pushed."""
        size, form = self.planned()
        self.bench.upload(PackageBody(attempt=uuid.uuid4().hex, size=size, form=form), "raw", due_ns=self.due_ns)


class ActionPusher(Pusher):
    """A run of the GitHub Action: ask for the server's root document, find the space by name, then push all packages in parallel.

    Source: `client.ts`, `spaceResolver.ts` and `packageRepository.ts` of the TypeScript client, which the Action uses.
    """

    packages = 3

    @task
    def push(self) -> None:
        """Do one run of the Action; it ends early if the server does not return the space."""
        bench = self.bench
        planned = [self.planned()]
        planned += [found for _ in range(self.packages - 1) if (found := bench.plan.take()) is not None]
        if bench.ask("/api", "look-up", user_agent=TYPESCRIPT_CLIENT).told != "acknowledged":
            return
        name = bench.options.space_name
        query = f"partialName={quote(name)}&skip=0&take=2147483647"
        answer = bench.ask(f"/api/spaces?{query}", "look-up", user_agent=TYPESCRIPT_CLIENT)
        if answer.told != "acknowledged" or name not in [space["Name"] for space in json.loads(answer.answer)["Items"]]:
            return
        # The client reads the whole file before it sends it, so it knows the length.
        bodies = [PackageBody(attempt=uuid.uuid4().hex, size=size, form="length") for size, _ in planned]
        group = gevent.pool.Group()
        group.map(lambda body: bench.upload(body, "raw", at_once=len(bodies)), bodies)


class DeltaPusher(Pusher):
    """A build that pushes what changed: it asks for the signature of the last version, and sends a delta or the whole package.

    The last two versions are kept, as a retention policy of the feed would. Source: `package_delta_upload.go` of go-octopusdeploy.
    """

    def on_start(self) -> None:
        """Give its package a name, then wait as every pusher does."""
        self.edition = Edition(owner=uuid.uuid4().hex, version=0, size=0)
        super().on_start()

    @task
    def push(self) -> None:
        """Push the next version."""
        bench, size, last = self.bench, self.planned()[0], self.edition
        new = Edition(owner=last.owner, version=last.version + 1, size=last.size or min(size, SIZE_MAX))
        self.edition = new
        packages = f"/api/{bench.options.space}/packages"
        found = bench.ask(
            f"{packages}/{new.package_id}/{new.number}/delta-signature", "signature",
            user_agent=GO_CLIENT, answer_max=SIGNATURE_MAX, fine=frozenset({404}),
        )  # fmt: skip
        body, path = self._whole(new), "raw"
        if found.status == 200:
            base = json.loads(found.answer)
            data, made = delta(base64.b64decode(base["Signature"]), new.content())
            if len(data) <= WORTH * new.size:
                path = f"{new.package_id}/{base['BaseVersion']}/delta"
                body = PackageBody(
                    attempt=uuid.uuid4().hex, size=len(data), form="delta", file_name=new.file_name,
                    content=[memoryview(data)], made=made,
                )  # fmt: skip
        elif found.told == "error":
            return
        if bench.upload(body, path).told == "acknowledged" and new.version > 2:
            old = f"{packages}/packages-{new.package_id}.1.0.{new.version - 2}"
            bench.ask(old, "retention", method="DELETE", fine=frozenset({404}))

    def _whole(self, edition: Edition) -> PackageBody:
        return PackageBody(
            attempt=uuid.uuid4().hex,
            size=edition.size,
            form="chunked",
            file_name=edition.file_name,
            content=edition.content(),
        )


class PortalBrowser(User):
    """A person who browses the portal: one page every 5 to 10 seconds, as SeaMonkey's load simulation does, of pages that nodes serve."""

    wait_time = between(5, 10)
    pages = (
        "/api",
        "/api/{space}",
        "/api/{space}/packages?take=30",
        "/api/{space}/environments",
        "/api/{space}/machines?take=30",
        "/api/octopusservernodes",
        "/api/users/me",
        "/api/serverstatus",
    )

    @task
    def browse(self) -> None:
        """Read one page."""
        bench: Bench = self.environment.bench  # type: ignore[attr-defined]
        bench.ask(bench.rng.choice(self.pages).format(space=bench.options.space), "browse")


class Monitor(User):
    """A monitoring system that pings through the balancer every second; the 418 of a draining node counts as success."""

    wait_time = constant_pacing(1)

    @task
    def ping(self) -> None:
        """Ping once."""
        bench: Bench = self.environment.bench  # type: ignore[attr-defined]
        bench.run(Exchange(attempt=uuid.uuid4().hex, method="GET", path=PING, fine=frozenset({418})), "ping")
