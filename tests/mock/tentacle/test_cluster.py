"""Tentacles and a whole cluster: trust is shared, calls go both ways, and states and faults reach the Tentacle port too."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from port_stage import server_identity, tentacle_identity

from mocknode.mock.cluster.client import CALL_FAILED, ControlClient, ControlError
from mocknode.mock.cluster.running_cluster import Cluster
from mocknode.mock.cluster.settings import ClusterSettings, numbered_nodes
from mocknode.mock.cluster.tentacle_commands import SHOWN
from mocknode.mock.tentacle import registering
from mocknode.mock.tentacle.identity import TENTACLE_NAME
from mocknode.mock.tentacle.listening_tentacle import ListeningTentacle
from mocknode.mock.tentacle.polling_tentacle import EndedError, PollingTentacle, UnreachableError
from mocknode.mock.tentacle.services import CAPABILITIES, VERSION, Services

URI = "poll://abc/"


class Staged:
    """A cluster, its client, and simulated Tentacles at its nodes."""

    def __init__(self, cluster: Cluster, client: ControlClient) -> None:
        self.cluster, self.client = cluster, client
        self.nodes: list[dict[str, Any]] = cluster.document()["nodes"]

    def tentacle(self, node: int = 0, **options: Any) -> PollingTentacle:
        at = self.nodes[node]["tentacle"]
        options = {"pinned": at["thumbprint"], "identity": tentacle_identity(), "subscription": URI, **options}
        return PollingTentacle(host=at["host"], port=at["port"], **options)

    async def registered(self) -> None:
        await self.client.register_tentacle("web-1", tentacle_identity().thumbprint.lower(), URI)


@asynccontextmanager
async def staged(tmp_path: Path, *, nodes: int = 2, **settings: Any) -> AsyncIterator[Staged]:
    identity_dir = tmp_path / "identity"
    identity_dir.mkdir(exist_ok=True)
    (identity_dir / "tentacle-server.pem").write_bytes(server_identity().pem)
    settings = {"null_message_s": 0.2, **settings}
    cluster = Cluster(
        ClusterSettings(
            nodes=numbered_nodes(nodes, host="127.0.0.1", http_port=0, https_port=None, tentacle_port=0),
            run_dir=tmp_path / "run", identity_dir=identity_dir, **settings,
        )
    )  # fmt: skip
    async with cluster, ControlClient(cluster.control_url) as client:
        yield Staged(cluster, client)


def test_all_nodes_trust_whom_one_registration_names_and_calls_go_both_ways(tmp_path: Path) -> None:
    async def work() -> None:
        async with staged(tmp_path) as stage:
            with pytest.raises(EndedError):
                await stage.tentacle().connect()
            await stage.registered()
            async with stage.tentacle(0) as first, stage.tentacle(1) as second:
                assert first.thumbprint == second.thumbprint == server_identity().thumbprint
                assert [t["nodes"] for t in await stage.client.tentacles()] == [{"node-1": 1, "node-2": 1}]
                polling = asyncio.create_task(_poll_for_ever(second))
                health = await stage.client.call_tentacle("node-2", "web-1", "health")
                assert (health["healthy"], health["version"], health["exit_code"]) == (True, VERSION, 0)
                assert health["capabilities"] == list(CAPABILITIES)
                ran = await stage.client.call_tentacle("node-2", "web-1", "script", body="hostname\nexit 0")
                assert ran["output"] == ["hostname"]
                polling.cancel()
            async with ListeningTentacle(tentacle_identity(2), {server_identity().thumbprint}) as listening:
                host, port = listening.address
                await stage.client.register_tentacle("db-1", tentacle_identity(2).thumbprint, f"https://{host}:{port}/")
                health = await stage.client.call_tentacle("node-1", "db-1", "health")
                assert (health["healthy"], health["version"]) == (True, VERSION)
                assert listening.calls == 3
            page = await stage.client.journal(kind="rpc")
            methods = [(record["by"], record["method"]) for record in page.records]
            assert ("polling", "GetCapabilities") in methods
            assert ("listening", "CompleteScript") in methods

    asyncio.run(work())


async def _poll_for_ever(tentacle: PollingTentacle) -> None:
    while True:
        await tentacle.poll()


def test_calls_that_nobody_collects_or_that_are_refused_say_why(tmp_path: Path) -> None:
    async def work() -> None:
        async with staged(tmp_path, nodes=1) as stage:
            await stage.registered()
            with pytest.raises(
                ControlError, match="polling endpoint did not collect the request within the allowed time"
            ) as failed:
                await stage.client.call_tentacle("node-1", "web-1", "health", collect_s=0.05)
            assert failed.value.status == CALL_FAILED
            with pytest.raises(
                ControlError, match="call: got 'helth', allowed: health, capabilities, script"
            ) as mistyped:
                await stage.client.call_tentacle("node-1", "web-1", "helth")
            with pytest.raises(ControlError, match=r"Tentacle: got 'web-2', allowed: web-1; did you mean web-1\?"):
                await stage.client.call_tentacle("node-1", "web-2", "health")
            # A listening Tentacle that trusts another server cuts us off; one with another certificate, we it.
            async with ListeningTentacle(tentacle_identity(2), set()) as listening:
                uri = "https://{}:{}/".format(*listening.address)
                await stage.client.register_tentacle("db-1", tentacle_identity(2).thumbprint, uri)
                await stage.client.register_tentacle("db-2", tentacle_identity(3).thumbprint, uri)
                with pytest.raises(ControlError, match="before the request could begin"):
                    await stage.client.call_tentacle("node-1", "db-1", "health")
                with pytest.raises(ControlError, match="presented an unexpected security certificate"):
                    await stage.client.call_tentacle("node-1", "db-2", "health")
                assert listening.denied == [server_identity().thumbprint]
            assert mistyped.value.status == 422
            for number in range(SHOWN):
                thumbprint = f"{number:040}"
                await stage.client.register_tentacle(f"a-{number}", thumbprint, f"poll://a{number}/")
            with pytest.raises(ControlError, match=r"allowed: a-0, a-1, a-2, .*, a-9 and 3 more$"):
                await stage.client.call_tentacle("node-1", "nosuch", "health")
            await stage.client.set_state("node-1", "offline", "crash")
            with pytest.raises(ControlError, match=r"node-1 is offline \(crash\) and takes no commands"):
                await stage.client.call_tentacle("node-1", "web-1", "health")

    asyncio.run(work())


@pytest.mark.parametrize(
    ("name", "thumbprint", "uri", "says"),
    [
        ("web-1", "0" * 40, URI, "which is registered"),
        ("new", "12:34", URI, "got '12:34', allowed: 40 hex digits"),
        ("new", "0" * 40, "http://host/", "got 'http://host/', allowed: poll://NAME/ or https://HOST:PORT/"),
        ("new", "0" * 40, "https://host:99999/", "allowed: poll://NAME/ or https://HOST:PORT/"),
        ("", "0" * 40, URI, "name"),
    ],
)
def test_what_cannot_be_registered(tmp_path: Path, name: str, thumbprint: str, uri: str, says: str) -> None:
    async def work() -> None:
        async with staged(tmp_path, nodes=1) as stage:
            await stage.registered()
            with pytest.raises(ControlError, match=says.replace("(", r"\(")):
                await stage.client.register_tentacle(name, thumbprint, uri)
            assert len(await stage.client.tentacles()) == 1

    asyncio.run(work())


def test_states_and_faults_at_the_tentacle_port(tmp_path: Path) -> None:
    async def work() -> None:
        async with staged(tmp_path) as stage:
            await stage.registered()
            client = stage.client
            async with stage.tentacle() as tentacle, stage.tentacle(1) as other:
                # A drain ends nothing and refuses nobody.
                await client.set_state("node-1", "draining")
                await tentacle.poll()
                async with stage.tentacle() as late:
                    await late.poll()
                # Refusing closes what is idle, and the port.
                await client.set_state("node-1", "offline", "refuse")
                assert (await tentacle.ended).how == "fin"
                with pytest.raises(UnreachableError):
                    await stage.tentacle().connect()
                # A crash resets, and the port refuses until the node is back; then the same certificate answers there.
                await client.set_state("node-2", "offline", "crash")
                await other.ended
                with pytest.raises(UnreachableError):
                    await stage.tentacle(1).connect()
            await client.set_state("node-1", "online")
            await client.set_state("node-2", "online")
            async with stage.tentacle(1) as again:
                await again.poll()
            # A blackhole takes connections and says nothing.
            async with stage.tentacle() as held:
                await client.set_state("node-1", "offline", "blackhole")
                with pytest.raises(TimeoutError):
                    await stage.tentacle().connect(limit_s=0.3)
                with pytest.raises(TimeoutError):
                    await held.poll(limit_s=0.5)
                await client.set_state("node-1", "online")
                assert (await held.ended).how == "rst"
            await client.add_fault("node-1", "reset", on="tentacle", first=1)
            with pytest.raises(EndedError) as caught:
                await stage.tentacle().connect()
            assert caught.value.end.how == "rst"
            await client.add_fault("node-1", "close", on="tentacle", first=1)
            with pytest.raises(EndedError) as caught:
                await stage.tentacle().connect()
            assert caught.value.end.how == "fin"
            await client.add_fault("node-1", "latency", options={"delay": "200ms"}, on="tentacle", first=1)
            async with stage.tentacle() as late:
                await late.poll()
            await client.add_fault("node-1", "hang", on="tentacle")
            with pytest.raises(TimeoutError):
                await stage.tentacle().connect(limit_s=0.3)
            # Requests are none of its business.
            async with httpx.AsyncClient(trust_env=False) as http:
                assert (await http.get(f"{stage.nodes[0]['http']}/api/octopusservernodes/ping")).status_code == 200
            page = await client.journal(kind="connection,fault")
            causes = [r["cause"] for r in page.records if r.get("port") == "tentacle" and r.get("phase") == "close"]
            assert {"fault", "node-refused", "end"} <= set(causes)
            await client.reset()
            async with stage.tentacle() as tentacle:
                await tentacle.poll()
                await client.unregister_tentacle("web-1")
                assert (await tentacle.ended).how == "rst"

    asyncio.run(work())


def test_one_certificate_a_node_on_demand(tmp_path: Path) -> None:
    async def work() -> None:
        async with staged(tmp_path, tentacle_certificate_each=True) as stage:
            await stage.registered()
            seen = set()
            for node in (0, 1):
                async with stage.tentacle(node) as tentacle:
                    seen.add(tentacle.thumbprint)
            assert len(seen) == 2
            assert seen == {node["tentacle"]["thumbprint"] for node in stage.nodes}

    asyncio.run(work())


def test_a_long_call_is_silent_and_answered(tmp_path: Path) -> None:
    async def work() -> None:
        async with staged(tmp_path, nodes=1) as stage:
            await stage.registered()
            async with stage.tentacle(services=Services(takes_s=0.5)) as tentacle:
                polling = asyncio.create_task(_poll_for_ever(tentacle))
                found = await stage.client.call_tentacle("node-1", "web-1", "capabilities")
                assert found["capabilities"] == list(CAPABILITIES)
                polling.cancel()

    asyncio.run(work())


def test_a_real_registration_over_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `Tentacle register-with` does: handshake probe, the server's thumbprint, a machine by name, then create or change."""

    async def work() -> None:
        async with staged(tmp_path) as stage:
            one, other = (node["http"] for node in stage.nodes)
            headers = {"X-Octopus-ApiKey": stage.cluster.api_key}
            async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
                root = (await http.get(f"{one}/api")).json()
                template = root["Links"]["CertificateConfiguration"].partition("{")[0]
                kept = (await http.get(f"{one}{template}/certificate-global")).json()
                assert kept["Thumbprint"] == server_identity().thumbprint
                environments = f"{one}{root['Links']['Environments'].partition('{')[0]}"
                named = (await http.get(environments, params={"name": "test"})).json()["Items"]
                assert [item["Id"] for item in named] == ["Environments-2"]
                machines = f"{one}{root['Links']['Machines'].partition('{')[0]}"
                found = (await http.get(machines, params={"partialName": "web-1"})).json()
                assert found["Items"] == []
                machine = {
                    "Name": "web-1", "MachinePolicyId": "MachinePolicies-1", "EnvironmentIds": [named[0]["Id"]],
                    "Roles": ["web"], "TenantIds": [], "TenantTags": [],
                    "Endpoint": {
                        "CommunicationStyle": "TentacleActive", "Uri": URI, "Thumbprint": tentacle_identity().thumbprint,
                    },
                }  # fmt: skip
                created = await http.post(machines, json=machine)
                assert created.status_code == 201, created.text
                document = created.json()
                assert document["Id"].startswith("Machines-")
                assert document["Roles"] == ["web"]
                again = await http.post(machines, json=machine)
                assert again.status_code == 400
                # Every node has it, and lets it poll.
                there = (await http.get(f"{other}{document['Links']['Self']}")).json()
                assert there["Endpoint"]["Thumbprint"] == tentacle_identity().thumbprint
                async with stage.tentacle(0) as first, stage.tentacle(1) as second:
                    await first.poll()
                    await second.poll()
                changed = {**document, "Roles": ["web", "db"]}
                assert (await http.put(f"{one}{document['Links']['Self']}", json=changed)).json()["Roles"] == [
                    "web",
                    "db",
                ]
                bad = {**machine, "Name": "bad", "Endpoint": {**machine["Endpoint"], "Thumbprint": "xyz"}}  # type: ignore[dict-item]
                refused = await http.post(machines, json=bad)
                assert refused.status_code == 400
                assert "40 hex digits" in json.dumps(refused.json())
                assert (await http.delete(f"{one}{document['Links']['Self']}")).status_code == 200
                assert (await http.get(f"{other}{document['Links']['Self']}")).status_code == 404
            # Ours do the same, and say how far they are, the end once.
            monkeypatch.setattr(registering, "REPORT_EVERY", 2)
            told: list[int] = []
            wanted = [
                registering.Registration(name=f"f-{n}", uri=f"poll://f{n}/", thumbprint=f"{n:040}") for n in range(4)
            ]
            thumbprint = await registering.register(one, stage.cluster.api_key, wanted, told.append)
            assert (thumbprint, told) == (server_identity().thumbprint, [2, 4])
            assert TENTACLE_NAME == "Octopus Tentacle"

    asyncio.run(work())
