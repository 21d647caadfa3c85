"""Judges whether the generator kept up, from the samples that it wrote about itself, so that its limits are not taken for the
balancer's. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mocknode.load.schema import WorkerFacts

CPU_MAX: Final = 0.9
"""Share of one core during a sample of one second. Above it, requests queue inside the generator and add to its latencies."""
BUSY_SHARE_MAX: Final = 0.1
"""Share of samples that may be busy; a busy start or a short peak is harmless."""
MOMENT_OF: Final = 4
"""With this few samples one may be busy regardless of the share, as the probes of a search are short."""
LATE_S_MAX: Final = 1.0
"""A wake-up that is later than this has added the delay to some latency."""
FD_SHARE_MAX: Final = 0.9
MISSED_SHARE_MAX: Final = 0.01
"""Share of open-loop arrivals that may be missed; more would flatter the balancer, as an upload never sent has no latency."""


@dataclass(slots=True)
class _Worker:
    samples: int = 0
    busy: int = 0
    cpu_max: float = 0.0
    cpu_sum: float = 0.0
    waited_max: float = 0.0
    waited_sum: float = 0.0
    late_max: float = 0.0
    rss: int = 0
    fds: int = 0
    fd_limit: int = 0
    connects: int = 0
    sent: int = 0
    errors: int = 0
    missed: int = 0


@dataclass(slots=True)
class Health:
    """The generator's samples of its own health, by worker."""

    workers: dict[int, _Worker] = field(default_factory=dict)

    def take(self, sample: Mapping[str, Any]) -> None:
        """Take one `audit` line."""
        worker = self.workers.setdefault(sample["pid"], _Worker())
        worker.connects, worker.sent = sample["connects"], sample["sent"]
        worker.rss = sample["rss"]
        worker.errors, worker.missed = sample["errors"], sample["missed"]
        worker.fds, worker.fd_limit = max(worker.fds, sample["fds"] or 0), sample["fd_limit"]
        if "cpu" in sample:
            worker.samples += 1
            # Waiting for a core counts as being busy: on a crowded machine a process never uses much CPU.
            worker.busy += sample["cpu"] + sample["waited"] > CPU_MAX
            worker.waited_sum += sample["waited"]
            worker.waited_max = max(worker.waited_max, sample["waited"])
            worker.cpu_sum += sample["cpu"]
            worker.cpu_max = max(worker.cpu_max, sample["cpu"])
            worker.late_max = max(worker.late_max, sample["late"])

    def problems(self) -> list[str]:
        """List the reasons why the figures cannot be trusted; none if they can."""
        found = [] if self.workers else ["the load generator wrote no samples of its own health"]
        for pid, worker in self.workers.items():
            who = f"the load generator (process {pid})"
            if worker.busy > max(worker.samples >= MOMENT_OF, BUSY_SHARE_MAX * worker.samples):
                found.append(
                    f"{who} was short of CPU in {worker.busy} of {worker.samples} seconds (allowed: {BUSY_SHARE_MAX:.0%}); it ran "
                    f"{worker.cpu_sum / worker.samples:.0%} of the time and waited for a core {worker.waited_sum / worker.samples:.0%} "
                    "of it, so its latencies cannot be trusted; "
                    + (
                        "this machine is full: use a slower --link or fewer users, or another machine"
                        if worker.waited_sum > worker.cpu_sum
                        else "use --workers, a slower --link or fewer users"
                    )
                )
            if worker.late_max > LATE_S_MAX:
                found.append(
                    f"{who} woke up {worker.late_max:.2f} s late (allowed: {LATE_S_MAX:.2f} s), so it had too little CPU"
                )
            if worker.connects > worker.sent:
                found.append(
                    f"{who} opened {worker.connects} connections for {worker.sent} requests, so something in it repeats requests"
                )
            if worker.errors:
                found.append(f"{who} raised {worker.errors} errors of its own; they are in its log, locust.log")
            if worker.missed > MISSED_SHARE_MAX * (worker.sent + worker.missed):
                found.append(
                    f"{who} had nobody free for {worker.missed} uploads that were due, so it did not reach the --rate; "
                    "give more --users"
                )
            if worker.fd_limit and worker.fds > FD_SHARE_MAX * worker.fd_limit:
                found.append(f"{who} had {worker.fds} of {worker.fd_limit} file descriptors open; raise `ulimit -n`")
        return found

    @property
    def sent(self) -> int:
        """How many requests the workers have begun to send, all together."""
        return sum(worker.sent for worker in self.workers.values())

    def document(self) -> list[WorkerFacts]:
        """One entry a worker."""
        return [
            {
                "pid": pid,
                "cpu_mean": w.cpu_sum / w.samples if w.samples else None,
                "cpu_max": w.cpu_max,
                "waited_max": w.waited_max,
                "late_max_s": w.late_max,
                "missed": w.missed,
                "connections": w.connects,
                "requests": w.sent,
                "rss_max_bytes": w.rss,
                "fds_max": w.fds,
                "fd_limit": w.fd_limit,
            }
            for pid, w in self.workers.items()
        ]
