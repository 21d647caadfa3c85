"""Real load balancers: the program, the configuration, the running process, and the fixes of each product.

A balancer is a folder here (templates, `fixes.yaml`, an `ADAPTER`) and an entry in `registry`; ARCHITECTURE.md has the recipe.
"""

from mocknode.judge.balancers.adapter import (
    BalancerConfigError,
    BalancerError,
    BalancerNotFoundError,
    BalancerReloadError,
    BalancerStartError,
    Binary,
    Front,
    Node,
    Polled,
    UnknownBalancerError,
)
from mocknode.judge.balancers.binaries import find
from mocknode.judge.balancers.fixes import fitted, fix, fixes_of, generic_fix, impossible, limitation, limitations_of
from mocknode.judge.balancers.products import kinds_with_fixes, title
from mocknode.judge.balancers.registry import KINDS, fails_over, modes, passes, probes, routes_by_name
from mocknode.judge.balancers.rendering import free_ports, placeholders, polling_name, print_config, production, render
from mocknode.judge.balancers.running import Running, start

MODES = modes

__all__ = [
    "KINDS",
    "MODES",
    "BalancerConfigError",
    "BalancerError",
    "BalancerNotFoundError",
    "BalancerReloadError",
    "BalancerStartError",
    "Binary",
    "Front",
    "Node",
    "Polled",
    "Running",
    "UnknownBalancerError",
    "fails_over",
    "find",
    "fitted",
    "fix",
    "fixes_of",
    "free_ports",
    "generic_fix",
    "impossible",
    "kinds_with_fixes",
    "limitation",
    "limitations_of",
    "passes",
    "placeholders",
    "polling_name",
    "print_config",
    "probes",
    "production",
    "render",
    "routes_by_name",
    "start",
    "title",
]
