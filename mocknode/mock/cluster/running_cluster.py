"""A running cluster, from its settings to its end: ports held, nodes started, control API served.

`async with Cluster(settings) as cluster` returns when everything is ready. Leaving the block ends every node and releases every
port, whatever went wrong inside. Start it in the main thread: node processes die with the thread that spawned them.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mocknode.mock.cluster import certificates, ports
from mocknode.mock.cluster.agent import Agent
from mocknode.mock.cluster.controller import Controller, StartError
from mocknode.mock.cluster.lease import Lease
from mocknode.mock.cluster.members import Place, TentaclePlace
from mocknode.mock.cluster.settings import ClusterSettings, NodeSettings, advertised
from mocknode.mock.cluster.shared_config import SharedConfig
from mocknode.mock.data.directory import make_api_key
from mocknode.mock.data.store import StoreError

if TYPE_CHECKING:
    from mocknode.mock.cluster.control_server import ControlServer


class RunDirectoryError(Exception):
    """The run directory cannot be used; the message says why."""


class Cluster:
    """A cluster that runs inside an `async with` block.

    Attributes:
        controller: Controller of the nodes, once the block is entered.
        api_key: API key that the nodes accept.
        ca_pem: PEM text of the cluster's authority; None without TLS or with the user's own certificate.
        control_url: URL of the control API.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.api_key = settings.api_key or make_api_key()
        self.ca_pem: str | None = None
        self.control_url = ""
        self.controller: Controller
        self._server: ControlServer | None = None
        self._leaving = contextlib.AsyncExitStack()
        self._lease = Lease(abandoned=self._heal)
        self._healing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start everything, as `start` does."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        await self.stop()

    async def start(self) -> None:
        """Start everything and return when it is ready. When starting fails or is cancelled, nothing is left running.

        Raises:
            ports.PortError, certificates.CertificateError, RunDirectoryError, controller.StartError: the reason why not.
        """
        async with self._leaving as leaving:
            held = ports.hold(self.settings.wanted_ports())
            for port in held:
                leaving.callback(port.release)
            # Before the run directory is made, so that an identity which cannot be stored leaves none behind.
            installation_id = certificates.installation_id(self.settings.identity_dir)
            leaving.enter_context(_locked(self.settings.run_dir))
            certificate = self._certificate()
            await self._load_fixtures()
            starting = await self._start_nodes(leaving, held, certificate, installation_id)
            await self._serve(held[0], certificate)
            leaving.push_async_callback(self._stop_serving)
            await starting
            self._leaving = leaving.pop_all()

    async def stop(self) -> None:
        """End everything; a second call does nothing."""
        await self._leaving.aclose()

    def document(self) -> dict[str, Any]:
        """Return the document of `mocknode up --json`."""
        return {
            "control": self.control_url,
            "api_key": self.api_key,
            "run_dir": str(self.settings.run_dir),
            "nodes": [self.controller.member(name).place.addresses() for name in self.controller.names],
        }

    async def _start_nodes(
        self,
        leaving: contextlib.AsyncExitStack,
        held: list[ports.Held],
        certificate: certificates.ServerCertificate | None,
        installation_id: str,
    ) -> asyncio.Task[None]:
        settings = self.settings
        self.controller = Controller(
            SharedConfig(
                run_dir=settings.run_dir,
                store=settings.store_url,
                api_key=self.api_key,
                installation_id=installation_id,
                seed=settings.seed,
                keep_packages=settings.keep_packages,
                keep_only=settings.keep_only,
                certificate=certificate.certificate if certificate else None,
                key=certificate.key if certificate else None,
                web=settings.web,
                limits=settings.limits,
                times=settings.times,
                versions=settings.versions,
                null_message_s=settings.null_message_s,
            ),
            self._places(held),
        )
        ours, theirs = socket.socketpair()
        agent = asyncio.create_task(Agent().run(theirs))
        leaving.push_async_callback(asyncio.wait, [agent])
        await self.controller.accept(ours)
        leaving.push_async_callback(self.controller.stop)
        starting = asyncio.create_task(self.controller.start())
        leaving.push_async_callback(_abandon, starting)
        # Spawn every node before the remaining imports of this process compete with them for a core.
        await self.controller.spawned()
        return starting

    async def _load_fixtures(self) -> None:
        """Load the fixtures file before any node starts, as a node would serve the data that are about to be replaced."""
        settings = self.settings
        if settings.fixtures is None:
            return
        from mocknode.mock.cluster.data_commands import load_fixtures

        stop = threading.Event()
        try:
            await asyncio.to_thread(
                load_fixtures, settings.store_url, settings.run_dir, settings.fixtures,
                keep_packages=settings.keep_packages, stop=stop,
            )  # fmt: skip
        except (StoreError, OSError) as exc:
            raise StartError(f"--fixtures: {exc}") from exc
        finally:
            stop.set()

    def _places(self, held: list[ports.Held]) -> list[Place]:
        real = {port.wanted.use: port.port for port in held}
        return [
            Place(
                name=node.name,
                host=node.host,
                http_port=real[f"HTTP port of {node.name}"],
                https_port=real.get(f"HTTPS port of {node.name}"),
                advertise=node.advertise,
                tentacle=self._tentacle_place(node, real.get(f"Tentacle port of {node.name}")),
            )
            for node in self.settings.nodes
        ]

    def _tentacle_place(self, node: NodeSettings, port: int | None) -> TentaclePlace | None:
        if port is None:
            return None
        kept = certificates.tentacle_server(
            self.settings.identity_dir, node.name if self.settings.tentacle_certificate_each else None
        )
        return TentaclePlace(
            host=node.tentacle_host, port=port, advertise=node.tentacle_advertise, identity=kept.file,
            thumbprint=kept.thumbprint,
        )  # fmt: skip

    def _certificate(self) -> certificates.ServerCertificate | None:
        settings = self.settings
        if settings.certificate is not None and settings.key is not None:
            return certificates.bring(settings.certificate, settings.key)
        if not settings.needs_certificate:
            return None
        names = [name for node in settings.nodes for name in (node.host, node.advertise)]
        names += [advertised(settings.host), *settings.control_names]
        issued = certificates.issue(settings.identity_dir, settings.run_dir, names)
        self.ca_pem = issued.ca_pem
        return issued

    async def _serve(self, held: ports.Held, certificate: certificates.ServerCertificate | None) -> None:
        from mocknode.mock.cluster.control_api import control_api
        from mocknode.mock.cluster.control_server import ControlServer

        tls = None
        if self.settings.control_tls and certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate.certificate, certificate.key)
        host = advertised(self.settings.host)
        host = f"[{host}]" if ":" in host else host
        self.control_url = f"{'https' if tls else 'http'}://{host}:{held.port}"
        app = control_api(
            self.controller, self.document, ca_pem=self.ca_pem, token=self.settings.token,
            names=self.settings.names, lease=self._lease,
        )  # fmt: skip
        self._server = ControlServer(app, held.socket, tls)
        await self._server.start()

    def _heal(self) -> None:
        self._healing = asyncio.create_task(self.controller.reset())

    async def _stop_serving(self) -> None:
        self._lease.close()
        if self._healing is not None:
            await _abandon(self._healing)
        self.controller.events.close()
        if self._server is not None:
            # At the same time, as each waits a little for its open requests.
            await asyncio.gather(self._server.stop(), self.controller.stop())


async def _abandon(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _locked(run_dir: Path) -> Iterator[None]:
    """Lock the run directory for one cluster; the lock ends with the process, however that ends."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(run_dir / "controller.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise RunDirectoryError(
            f"--run-dir {run_dir}: {exc.strerror}; allowed is a directory this user can write"
        ) from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise RunDirectoryError(f"--run-dir {run_dir} belongs to a cluster that is running; give another one") from exc
    finally:
        os.close(handle)
