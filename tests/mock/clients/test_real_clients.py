"""Real clients, unmodified, against the nodes: directly, through each balancer, while a node drains and while one dies.

A thin part of `client_matrix.py`, which has every client with every operation through every balancer.
"""

import asyncio
import shutil

import pytest
from client_matrix import BrokenPromiseError, account, by_delta, crashing, draining, modes, overriding, read, refusal
from client_programs import CLIENTS, FAIL, OVERWRITE, PUSHERS, Client
from client_stage import DIRECT, Stage
from client_wire import Told

from mocknode.judge.balancers import KINDS

pytestmark = [pytest.mark.balancer, pytest.mark.timeout(180)]
BY_NAME = {client.name: client for client in CLIENTS}


# The two small npm clients differ from these in nothing that a mode or a refusal would show; the matrix has them.
@pytest.fixture(
    params=[c for c in PUSHERS if c.name not in ("@octopusdeploy/octopackjs", "octopus-deploy (npm)")], ids=str
)
def pusher(request: pytest.FixtureRequest) -> Client:
    client: Client = request.param
    if client.name.startswith("@"):
        request.getfixturevalue("npm_clients")
    if client.name.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("`curl` is not on PATH")
    return client


@pytest.mark.parametrize("front", [DIRECT, *KINDS])
def test_every_client_pushes_through_every_balancer(npm_clients, runner, stage: Stage, front):
    async def push(client: Client):
        (file,) = stage.packages("Thin.Push", 1)
        return file, await client.push(stage.fronts[front], stage.api_key, [file], FAIL)

    async def all_at_once():
        pushed = await asyncio.gather(*map(push, PUSHERS))
        assert all(outcome.ok for _, outcome in pushed), pushed
        return await account(stage, pushed)

    assert runner.run(all_at_once()) == {"stored": len(PUSHERS)}


def test_the_account_finds_a_client_that_was_told_a_lie(runner, stage):
    (never, twice) = stage.packages("Thin.Lie", 2)
    sample = BY_NAME["LINQPad sample"]
    url, key = stage.fronts[DIRECT], stage.api_key
    assert runner.run(sample.push(url, key, [twice], FAIL)).ok
    assert runner.run(account(stage, [(twice, Told(ok=True, status=201, result=None))])) == {"stored": 1}
    with pytest.raises(BrokenPromiseError, match="the catalogue lacks it"):
        runner.run(account(stage, [(never, Told(ok=True, status=201, result=None))]))
    runner.run(sample.push(url, key, [twice], OVERWRITE))
    with pytest.raises(BrokenPromiseError, match="was delivered 2 times"):
        runner.run(account(stage, [(twice, Told(ok=True, status=201, result=None))]))


def test_overwrite_modes_do_what_they_say(pusher, runner, stage):
    runner.run(modes(stage, DIRECT, pusher))


def test_refusals_reach_the_client_and_store_nothing(pusher, runner, stage):
    runner.run(refusal(stage, DIRECT, pusher))


@pytest.mark.parametrize("name", ["@octopusdeploy/api-client", "octopus-deploy-swagger-client (PyPI)"])
def test_readers_find_spaces_nodes_and_packages(npm_clients, runner, stage, name):
    runner.run(read(stage, "caddy", BY_NAME[name]))


@pytest.mark.parametrize("name", ["Octopus.Client, async", "Octopus.Client, sync"])
def test_put_and_delete_are_posts_with_a_header(runner, stage, name):
    runner.run(overriding(stage, "nginx", BY_NAME[name]))


@pytest.mark.parametrize(("name", "front"), [("Go CLI", "envoy"), ("Octopus.Client, async", "caddy")])
def test_a_version_that_differs_a_little_is_sent_as_a_delta(runner, stage, name, front):
    runner.run(by_delta(stage, front, BY_NAME[name]))


DISTURBED = [("@octopusdeploy/api-client", DIRECT), ("@octopusdeploy/api-client", "haproxy")]


@pytest.mark.parametrize(("name", "front"), [*DISTURBED, ("Go CLI", "nginx")])
def test_nothing_is_lost_while_a_node_drains(npm_clients, runner, stage, name, front):
    runner.run(draining(stage, front, BY_NAME[name]))
    runner.run(stage.reset([front]))


@pytest.mark.parametrize(("name", "front"), [*DISTURBED, ("Octopus.Client, sync", "traefik")])
def test_nothing_is_lost_when_a_node_dies_within_a_push(npm_clients, runner, stage, name, front):
    runner.run(crashing(stage, front, BY_NAME[name]))
    runner.run(stage.reset([front]))
