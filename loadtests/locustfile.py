"""A locustfile to copy and extend: the users of `mocknode load`, and one of your own beside them.

By hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8080 --octopus-key API-... --sizes 64KiB..16MiB`, with `--help`
for the options. `mocknode load` runs the same users and joins what they record with the nodes' journals.
"""

from locust import User, constant, task

from mocknode.load.users.locustfile import ActionPusher, CiPusher, DeltaPusher, Monitor, PortalBrowser

__all__ = ["ActionPusher", "CiPusher", "DeltaPusher", "Monitor", "PortalBrowser"]


class ServerStatusReader(User):
    """An example of a user of your own: it reads one page every ten seconds, as the users above do, with their API key."""

    weight = 1
    wait_time = constant(10)

    @task
    def read(self) -> None:
        """Read the page; the answer counts in locust's statistics and, with `--records`, in the record."""
        self.environment.bench.ask("/api/serverstatus", "server-status")
