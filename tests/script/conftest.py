"""Scenarios that tests begin with."""

from collections.abc import Callable

import pytest

PATCH = """\
mocknode-scenario: 1
name: patch
claim: Patching the nodes in turn costs no build its package.
needs: [active-health-check]
parameters:
  away: {type: duration, default: 30s, about: how long a node is down}
cluster: {nodes: 3, tasks-per-node: 5}
workload:
  builds: {push: {users: 8, sizes: 64KiB..16MiB, forms: [chunked, length]}}
  people: {browse: {users: 5}}
  work: {tasks: {every: 10s, duration: 45s}}
steady-state: {within: 30s, all: [fair-share, {errors: people, is: 0}]}
schedule:
  - for-each: {node: [node-1, node-2]}
    do:
      - wait: {upload-on: $node, at: 30%}
        within: 60s
      - drain: $node
      - wait: {quiet: $node}
        within: calibrated
      - offline: {node: $node, how: crash}
      - sleep: $away
      - online: {node: $node, as: draining}
      - expect: {quiet: $node, for: 15s}
      - resume: $node
expect:
  always: [{ledger: builds, lost: 0, delivered-twice: 0}]
  eventually: [{errors: people, is: 0, within: 30s}]
  finally: [{latency: people, p99: "< 1s"}]
"""


@pytest.fixture
def patch() -> str:
    """A scenario that has every part of a file."""
    return PATCH


@pytest.fixture
def with_schedule() -> Callable[[str], str]:
    """Make a scenario of three nodes, whose schedule is given as lines of YAML."""

    def text(schedule: str) -> str:
        head = (
            "mocknode-scenario: 1\nname: x\nclaim: A claim.\ncluster: {nodes: 3}\n"
            "workload: {builds: {push: {users: 2}}, people: {browse: {}}}\nschedule:\n"
        )
        indented = "".join(f"  {line}\n" for line in schedule.splitlines())
        return f"{head}{indented}expect: {{always: [{{ledger: builds, lost: 0}}]}}\n"

    return text
