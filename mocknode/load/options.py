"""What `mocknode load` is asked to do: its options, checked against each other before anything starts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from mocknode.judge.lab.target import OptionError, TargetOptions
from mocknode.load.conditions import LEDGER, Condition, contradictions, parse_condition
from mocknode.load.generator import Workload
from mocknode.load.limit import SIZE_AT_ONCE, parse_demand
from mocknode.load.schedule import Event, first_outage, parse_schedule
from mocknode.load.users.shapes import parse_shape
from mocknode.load.users.sizes import parse_sizes
from mocknode.mock.cluster import ports
from mocknode.mock.cluster.settings import is_loopback

RATE_MAX: Final = 100_000.0
"""Uploads a second; no generator on one machine comes near it."""
DURATION_S: Final = 60.0
SOAK_S: Final = 3600.0
FORMS: Final = ("chunked", "length")
_T = TypeVar("_T")
_SPACE: Final = re.compile(r"[\w.-]+", re.ASCII)
"""Characters that need no escaping in a request line."""
_KEY: Final = re.compile(r"[!-~]+")
"""Characters that a header can hold."""


@dataclass(frozen=True, kw_only=True)
class LoadOptions(TargetOptions):
    """The options of `mocknode load`, as its help describes them.

    Attributes:
        duration: Seconds; None means the default of the shape.
        given: Names of the options that the user set, as opposed to their defaults.
        reproduce: The command line, for the report, without the API key.
    """

    tls: bool = False
    users: int
    actions: int = 0
    deltas: int = 0
    shape: str = "steady"
    rate: str | None = None
    browsers: int = 0
    monitors: int = 0
    workers: int = 1
    duration: float | None = None
    uploads: int = 0
    sizes: str
    forms: str
    link: float
    schedule: str | None = None
    fail_if: tuple[str, ...] = ()
    abort_on_fail: bool = False
    web_ui: str | None = None
    unverified: bool = False
    api_key: str | None = None
    space: str
    space_name: str
    find_limit: str | None = None
    limit_of: str = "rate"
    json: Path | None = None
    html: Path | None = None
    csv: Path | None = None
    given: frozenset[str] = field(default_factory=frozenset)
    reproduce: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """The report files that were asked for, by format."""
        paths = {"json": self.json, "html": self.html, "csv": self.csv}
        return {name: path for name, path in paths.items() if path is not None}

    @property
    def duration_s(self) -> float:
        """How long uploads are started."""
        if self.duration is not None:
            return self.duration
        return SOAK_S if self.shape.strip() == "soak" else DURATION_S

    @property
    def used_sizes(self) -> str:
        """Package sizes, which default to large ones where the search is for uploads at once."""
        return SIZE_AT_ONCE if self.limit_of == "uploads" and "sizes" not in self.given else self.sizes

    @property
    def used_schedule(self) -> str | None:
        """The schedule; a storm without one gets an outage of all nodes, since a storm follows an outage."""
        if self.shape.strip() == "storm" and self.schedule is None and not self.unverified:
            quarter_s = self.duration_s / 4
            return f"refuse all at {quarter_s:g}s for {quarter_s:g}s"
        return self.schedule

    @cached_property
    def conditions(self) -> list[Condition]:
        """The conditions of `--fail-if`.

        Raises:
            OptionError: one that cannot be read, or conditions by which every run would fail.
        """
        found = []
        for text in self.fail_if:
            found.append(_parsed("--fail-if: ", parse_condition, text))
            if self.unverified and found[-1].metric in LEDGER:
                raise OptionError(f"--fail-if: {text!r} needs the ledger, which a run with --unverified does not have")
        if clashes := contradictions(found):
            raise OptionError(f"--fail-if: {clashes[0]}")
        return found

    @cached_property
    def demand(self) -> list[Condition] | None:
        """What `--find-limit` demands; None without a search.

        Raises:
            OptionError: it cannot be read, or another option contradicts it.
        """
        if self.find_limit is None:
            return None
        self.refuse(
            ("rate", "schedule", "html", "csv", "fail_if"),
            "does not go with --find-limit, which makes several runs and chooses their rates itself",
        )
        return _parsed("--find-limit: ", parse_demand, self.find_limit)

    @cached_property
    def workload(self) -> Workload:
        """What the generator is to send.

        Raises:
            OptionError: a value that cannot be read, or a number that does not fit the others.
        """
        _parsed("--", parse_sizes, self.used_sizes)
        if unknown := [form for form in self.forms.split(",") if form not in FORMS]:
            raise OptionError(f"--forms: got {unknown[0]!r}, allowed: {', '.join(FORMS)}, or both separated by a comma")
        if self.duration_s < 1:
            raise OptionError(f"--duration: got {self.duration_s:g} s, allowed: 1s or more")
        self._refuse_counts()
        return Workload(
            users=self.users,
            actions=self.actions,
            deltas=self.deltas,
            shape=self._used_shape(),
            uploads=self.uploads,
            space=self.space,
            space_name=self.space_name,
            duration_s=self.duration_s,
            sizes=self.used_sizes,
            forms=self.forms,
            link=self.link,
            seed=self.seed,
            browsers=self.browsers,
            monitors=self.monitors,
            rate=_rate(self.rate),
            workers=self.workers,
        )

    @cached_property
    def web(self) -> tuple[str, int] | None:
        """Where the web UI listens: on loopback only, as everybody who reaches it can start load.

        Raises:
            OptionError: another address, or one that is in use.
        """
        if self.web_ui is None:
            return None
        host, _, number = self.web_ui.rpartition(":")
        host = host.strip("[]")
        if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536 or not is_loopback(host):
            raise OptionError(
                f"--web-ui: got {self.web_ui!r}, allowed: HOST:PORT with a loopback HOST, such as 127.0.0.1:8089; to see it from another "
                "machine, forward that port"
            )
        try:
            for held in ports.hold([ports.Wanted(flag="--web-ui", use="locust's web UI", host=host, port=int(number))]):
                held.release()
        except ports.PortError as exc:
            raise OptionError(str(exc)) from exc
        return host, int(number)

    def events(self, nodes: Sequence[str]) -> list[Event]:
        """The schedule, for nodes of these names.

        Raises:
            OptionError: it cannot be read, or has no outage for a storm to follow.
        """
        if self.used_schedule is None:
            return []
        try:
            events = parse_schedule(self.used_schedule, nodes, self.duration_s)
        except ValueError as exc:
            raise OptionError(f"--schedule: {exc}") from exc
        if self.shape.strip() == "storm" and first_outage(events) is None:
            raise OptionError(
                "--shape storm follows an outage, and --schedule has none; add one, such as 'refuse all', or write storm:FROM..TO"
            )
        return events

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            OptionError: naming the first that does.
        """
        if bool(self.lb) == bool(self.balancer):
            raise OptionError("give --lb URL for a balancer that runs already, or --with NAME to start one")
        if self.unverified and self.balancer:
            raise OptionError("--unverified goes with --lb; --with starts mock nodes, which keep journals")
        if self.tls and self.lb:
            raise OptionError("--tls goes with --with; for --lb write https://HOST:PORT")
        self._refuse_search()
        self._refuse_unverified()
        if not _SPACE.fullmatch(self.space):
            raise OptionError(f"--space: got {self.space!r}, allowed: letters, digits, - and ., such as Spaces-1")
        if self.api_key and not _KEY.fullmatch(self.api_key):
            raise OptionError("--api-key: allowed: printable ASCII without spaces, such as API-...")
        _ = self.workload, self.conditions, self.demand, self.web

    def _refuse_search(self) -> None:
        if self.find_limit is None:
            if self.limit_of != "rate":
                raise OptionError("--limit-of goes with --find-limit, which says what must hold")
            return
        if self.limit_of == "uploads" and "users" in self.given:
            raise OptionError("--users does not go with --limit-of uploads, which searches for their number")
        self.refuse(
            ("abort_on_fail", "web_ui", "uploads", "actions", "deltas"),
            "does not go with --find-limit, which makes many short runs",
        )
        if self.shape.strip() != "steady":
            raise OptionError(
                "--shape does not go with --find-limit, which looks for a rate that can be kept up steadily"
            )

    def _refuse_unverified(self) -> None:
        if not self.unverified:
            if self.api_key:
                raise OptionError("--api-key goes with --unverified; the API key of mock nodes is known")
            return
        self.refuse(
            ("control", "control_token_file", "control_ca", "schedule", "find_limit"),
            "needs mock nodes; it does not go with --unverified",
        )
        if not self.api_key:
            raise OptionError(
                "--unverified needs the API key of a user who may push to these servers: set MOCKNODE_LOAD_API_KEY, or give --api-key"
            )

    def _refuse_counts(self) -> None:
        pushers = self.users + self.actions + self.deltas
        if not pushers:
            raise OptionError("--users: got 0, allowed: 1 or more, unless --actions or --deltas push")
        if self.rate and not self.users:
            raise OptionError(
                "--rate: got 0 --users, allowed: 1 or more, who make these uploads; --actions and --deltas push one after another"
            )
        if self.workers > pushers:
            raise OptionError(
                f"--workers: got {self.workers}, allowed: up to {pushers}, the number of --users, --actions and --deltas"
            )

    def _used_shape(self) -> str:
        """The shape with its times; the times of `storm` alone come from the schedule later."""
        text = self.shape.strip()
        if text != "storm" or self.unverified:
            parsed = _parsed("--", lambda given: parse_shape(given, self.duration_s), text)
            if parsed.points[-1][0] > self.duration_s:
                raise OptionError(
                    f"--shape: got {text!r}, allowed: times within the {self.duration_s:g} s of --duration"
                )
            text = parsed.text
        if text.startswith("storm") and self.rate is not None:
            raise OptionError(
                "--shape storm does not go with --rate: a storm is a group of waiting users who all return together"
            )
        return text


def _parsed(prefix: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except ValueError as exc:
        raise OptionError(f"{prefix}{exc}") from exc


def _rate(text: str | None) -> float:
    """Uploads a second; 0 is a closed loop."""
    if text is None:
        return 0.0
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate <= RATE_MAX:
        raise OptionError(f"--rate: got {text!r}, allowed: a number above 0 and up to {RATE_MAX:g}, such as 40/s")
    return rate
