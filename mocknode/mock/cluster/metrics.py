"""`GET /metrics`: the nodes in Prometheus' text exposition format 0.0.4."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mocknode.mock.node.lifecycle import State

_PREFIX: Final = "mocknode_node"


def exposition(nodes: Iterable[Mapping[str, Any]]) -> str:
    """Return gauges for state and faults and every counter of the nodes, labelled by node."""
    nodes = list(nodes)
    lines = [*_family("alive", [(n["name"], "", int(n["alive"])) for n in nodes])]
    states = [(n["name"], f',state="{state}"', int(n["state"] == state)) for n in nodes for state in State]
    lines += _family("state", states)
    lines += _family("boots", [(n["name"], "", n["boot"]) for n in nodes])
    lines += _family("faults", [(n["name"], "", len(n["faults"])) for n in nodes])
    names = dict.fromkeys(name for n in nodes for name, value in _numbers(n["counters"] or {}))
    for name in names:
        samples = [
            (n["name"], "", dict(_numbers(n["counters"]))[name])
            for n in nodes
            if name in dict(_numbers(n["counters"] or {}))
        ]
        lines += _family(name, samples)
    return "\n".join(lines) + "\n"


def _family(name: str, samples: Iterable[tuple[str, str, float]]) -> list[str]:
    lines = [f"# TYPE {_PREFIX}_{name} gauge"]
    return lines + [f'{_PREFIX}_{name}{{node="{node}"{labels}}} {value}' for node, labels, value in samples]


def _numbers(counters: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in counters.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}_")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", value
